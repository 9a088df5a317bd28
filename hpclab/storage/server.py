"""One server of the emulated striped store, for data or for metadata: a program of its own.

    python -m hpclab.storage.server PARENT BANDWIDTH OPERATIONS CAPACITY

It reads its key from standard input, prints its port, and ends when PARENT is no longer its parent. A
connection says the key, then asks one thing after another:

    request    a line of JSON {"do": ..., "asked": ..., ...}, and what is to be written
    answer     a line "errno or 0, length", that many bytes, and a line with the moment when it was due

"asked" is the moment, on this machine's monotonic clock, from which a request counts, at most BEHIND seconds
ago, for what is lost by these programs and not by what they emulate; null: no rate holds.
"""

import errno
import heapq
import hmac
import itertools
import json
import os
import socketserver
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

PIECE = 2**16  # bytes sent or received in one go, so that concurrent requests get equal shares
BEHIND = 0.02
KEY, LONGEST_NAME, LONGEST_REQUEST, MOST_FILES = 64, 255, 2**12, 2**17
ASKED = ("read", "remove", "number", "show", "find", "forget", "names", "statistics")
FREE = ("show", "statistics")  # limited by no rate of operations


class Clock:
    """Says when a resource of `rate` units/s would have done each part of a request; `done` are the units so
    far. Requests take turns, a part at a time, however late their waiting threads run."""

    def __init__(self, rate: float) -> None:
        self.rate, self.free, self.done, self._lock = rate, 0.0, 0, threading.Lock()
        self._queue, self._numbers = list[tuple[float, int, deque[int], deque[float]]](), itertools.count()

    def take(self, amounts: Iterable[int], asked: float) -> Iterator[float]:
        """Yield for each part (`amounts`: units) of a request made at the moment `asked` when it is done."""
        parts, dues, now = deque(amounts), deque[float](), time.monotonic()
        asked = max(now - BEHIND, min(asked, now))
        with self._lock:
            while self._queue and self.free < asked:
                self._serve()
            self.free = max(self.free, asked)
            heapq.heappush(self._queue, (asked, next(self._numbers), parts, dues))
        try:
            while parts or dues:
                with self._lock:
                    while not dues:
                        self._serve()
                yield dues.popleft()
        finally:
            parts.clear()

    def _serve(self) -> None:
        """Do one part of the request whose turn it is."""
        _, number, parts, dues = heapq.heappop(self._queue)
        if parts:
            part = parts.popleft()
            self.free = max(self.free, time.monotonic() - BEHIND) + part / self.rate
            self.done += part
            dues.append(self.free)
            heapq.heappush(self._queue, (self.free, number, parts, dues))


class Server(socketserver.ThreadingTCPServer):
    """Objects by number, as a storage server has them, and files by name, as a metadata server does."""

    daemon_threads, request_queue_size = True, 128

    def __init__(self, key: bytes, bandwidth: float, operations: float, capacity: int) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.key, self.room, self.lock = key, capacity, threading.Lock()
        self.bandwidth, self.operations = Clock(bandwidth), Clock(operations)
        self.objects, self.files = dict[int, bytearray](), dict[str, dict[str, Any]]()
        self.numbers = itertools.count()

    def reserve(self, length: int) -> None:
        """Take `length` bytes of what is free, or give back -`length`; OSError where it is too little."""
        with self.lock:
            if length > self.room:
                raise OSError(errno.ENOSPC, "A server of the striped store has no space left for this.")
            self.room -= length

    def read(self, number: int, start: int, end: int) -> memoryview:
        """Bytes `start` to `end` of an object; OSError where it has none."""
        content = self.objects.get(number, b"")
        if not 0 <= start < end <= len(content):
            raise OSError(errno.ENOENT, "A file of the striped store was removed or replaced meanwhile.")
        return memoryview(content)[start:end]

    def remove(self, number: int) -> None:
        """Remove an object, if there is one, and give its room back."""
        self.reserve(-len(self.objects.pop(number, b"")))

    def number(self) -> int:
        """Return a new number, for a file that is about to be written."""
        return next(self.numbers)

    def show(self, name: str, file: dict[str, Any]) -> dict[str, Any] | None:
        """Make a written file visible under `name`, and return the one that had this name, or None."""
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            said = f"A file's name has 1 to {LONGEST_NAME} characters that can be printed."
            raise OSError(errno.EINVAL, said)
        if len(self.files) >= MOST_FILES:
            raise OSError(errno.ENOSPC, f"A striped store knows at most {MOST_FILES:,} files.")
        with self.lock:
            before, self.files[name] = self.files.get(name), file
        return before

    def find(self, name: str) -> dict[str, Any]:
        """The file of this name, as `show` was given it; OSError where there is none."""
        if file := self.files.get(name):
            return file
        raise OSError(errno.ENOENT, f"The striped store has no file {name!r:.80}.")

    def forget(self, name: str) -> dict[str, Any]:
        """Take the name off a file, and return that file; OSError where there is none."""
        with self.lock:
            self.find(name)
            return self.files.pop(name)

    def names(self) -> dict[str, dict[str, Any]]:
        """All files by name."""
        return self.files.copy()

    def statistics(self) -> dict[str, int]:
        """Operations and bytes of clients whose rate is limited, and the bytes that are free."""
        return {"operations": self.operations.done, "bytes": self.bandwidth.done, "free": self.room}


class Connection(socketserver.StreamRequestHandler):
    """Answers one client, in a thread of its own; a malformed request ends only this connection."""

    server: Server
    timeout, disable_nagle_algorithm = 10.0, True  # seconds to say the key

    def handle(self) -> None:
        if not hmac.compare_digest(self.rfile.read(KEY), self.server.key):
            return
        self.connection.settimeout(None)
        while request := self.rfile.readline(LONGEST_REQUEST):
            self.answer(**json.loads(request))

    def answer(self, do: str, asked: float | None, **words: Any) -> None:
        """Execute the request `do` with its fields `words`, and send the answer when the rates allow."""
        self.asked, self.due, status = asked, 0.0, 0
        found: Any
        if asked is not None and do not in FREE:
            (self.due,) = self.server.operations.take([1], asked)
        method = self.write if do == "write" else getattr(self.server, ASKED[ASKED.index(do)])
        try:
            found = method(**words)
        except OSError as refusal:
            status, found = refusal.errno or errno.EIO, refusal.strerror
        said = found if isinstance(found, memoryview) else memoryview(json.dumps(found).encode())
        self.wfile.write(b"%d %d\n" % (status, len(said)))
        for piece in self.pieces(said) if said is found else [said]:
            self.wfile.write(piece)
        sleep_until(self.due)
        self.wfile.write(b"%r\n" % self.due)

    def pieces(self, content: memoryview) -> Iterator[memoryview]:
        """Yield `content` in parts, each when the bandwidth allows it."""
        parts = [content[begin : begin + PIECE] for begin in range(0, len(content), PIECE)]
        if self.asked is None:
            yield from parts
            return
        dues = self.server.bandwidth.take(map(len, parts), self.asked)
        for part, due in zip(parts, dues, strict=True):
            sleep_until(due)
            self.due = max(self.due, due)
            yield part

    def write(self, number: int, length: int) -> None:
        """Receive the whole object `number`; bytes for which there is no room are read, too, and dropped."""
        try:
            self.server.reserve(length)
        except OSError:
            while length > 0 and (passed := self.rfile.read(min(length, PIECE))):
                length -= len(passed)
            raise
        content = bytearray(length)
        try:
            for piece in self.pieces(memoryview(content)):
                if self.rfile.readinto(piece) < len(piece):
                    raise EOFError
        except BaseException:
            self.server.reserve(-length)
            raise
        self.server.objects[number] = content


def main() -> None:
    parent, bandwidth, operations, capacity = sys.argv[1:]
    server = Server(os.read(0, KEY), float(bandwidth), float(operations), int(capacity))
    threading.Thread(target=server.serve_forever, args=(60.0,), daemon=True).start()
    print(server.server_address[1], flush=True)
    while os.getppid() == int(parent):
        time.sleep(1.0)
    os._exit(0)


def sleep_until(moment: float) -> None:
    """Sleep until `moment` on time.monotonic()."""
    time.sleep(max(0.0, moment - time.monotonic()))


if __name__ == "__main__":
    main()
