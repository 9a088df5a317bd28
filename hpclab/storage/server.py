"""One server of the emulated striped store, for data or for metadata: a program of its own.

    python -m hpclab.storage.server PARENT BANDWIDTH OPERATIONS CAPACITY

It reads its key from standard input, prints its port, keeps what it is given in its memory, and ends when its
standard input closes or PARENT is no longer its parent. A connection says the key and then asks, one request
after the other:

    request    length (4 bytes), JSON {"do": ..., "asked": ..., ...}, then "length" bytes if it is a write
    answer     an errno or 0 (4 bytes), length (8 bytes), that many bytes, when it was due (8 bytes, a double)

"asked" is the moment, on this machine's monotonic clock, from which the request counts, null where nothing is
to be waited for. A client's moment may lie up to BEHIND seconds in the past, namely where the time since was
lost by this program and the client, and not by what they emulate.
"""

import errno
import hmac
import itertools
import json
import os
import select
import socketserver
import struct
import sys
import threading
import time
from typing import Any

LENGTH, HEAD, TAIL = struct.Struct("!I"), struct.Struct("!iQ"), struct.Struct("!d")
KEY = 64  # characters
PIECE = 2**16  # bytes that are sent or received in one go, so that concurrent requests get equal shares
BEHIND = 0.02  # seconds
LONGEST_NAME, LONGEST_REQUEST, MOST_FILES = 255, 2**12, 2**17
HANDSHAKE = 10.0  # seconds for a connection to say its key


class Clock:
    """When something that does `rate` units/s, one after the other, is done; `done` is what it did so far."""

    def __init__(self, rate: float) -> None:
        self.rate, self.free, self.done, self._lock = rate, 0.0, 0, threading.Lock()

    def take(self, amount: int, asked: float) -> float:
        """The moment when `amount` more is done that was asked for at the moment `asked`.

        Having been idle gives no credit, having slept too long does, within BEHIND.
        """
        now = time.monotonic()
        with self._lock:
            self.done += amount
            self.free = max(self.free, now - BEHIND, min(asked, now)) + amount / self.rate
            return self.free


class Refused(Exception):
    """An errno, and a sentence for whoever asked."""


class Server(socketserver.ThreadingTCPServer):
    """Objects by number, as a storage server has them, and files by name, as a metadata server does."""

    daemon_threads, request_queue_size = True, 128

    def __init__(self, key: bytes, bandwidth: float, operations: float, capacity: int) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.key, self.capacity, self.lock = key, capacity, threading.Lock()
        self.bandwidth, self.operations = Clock(bandwidth), Clock(operations)
        self.objects: dict[int, bytearray] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.numbers, self.held = itertools.count(), 0

    def reserve(self, length: int) -> None:
        """Take room for `length` bytes more (or give it back), or refuse."""
        with self.lock:
            if self.held + length > self.capacity:
                raise Refused(errno.ENOSPC, f"a storage server has only {self.capacity:,} bytes in all.")
            self.held += length

    def keep(self, number: int, content: bytearray) -> None:
        self.objects[number] = content

    def remove(self, number: int) -> None:
        self.reserve(-len(self.objects.pop(number, b"")))

    def number(self) -> int:
        """For a file that is about to be written."""
        return next(self.numbers)

    def show(self, name: str, file: dict[str, Any]) -> dict[str, Any] | None:
        """Make a file visible that has been written; the one that had its name before."""
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name.strip("/") != name:
            wanted = f"1 to {LONGEST_NAME} printable characters, with no slash at its ends"
            raise Refused(errno.EINVAL, f"the name of a file has {wanted}, not {name!r:.60}.")
        if len(self.files) >= MOST_FILES:
            raise Refused(errno.ENOSPC, f"a metadata server knows at most {MOST_FILES:,} files.")
        with self.lock:
            before = self.files.get(name)
            self.files[name] = file
        return before

    def find(self, name: str) -> dict[str, Any]:
        try:
            return self.files[name]
        except KeyError:
            raise Refused(errno.ENOENT, f"there is no file {name!r:.60}.") from None

    def forget(self, name: str) -> dict[str, Any]:
        file = self.find(name)
        with self.lock:
            self.files.pop(name, None)
        return file

    def names(self) -> dict[str, dict[str, Any]]:
        return self.files.copy()

    def statistics(self) -> dict[str, int]:
        """What was done for those who waited for it, and the bytes held."""
        return {"operations": self.operations.done, "bytes": self.bandwidth.done, "held": self.held}


FREE = ("show", "statistics")  # of what is asked only these are no operations


class Connection(socketserver.StreamRequestHandler):
    """Answers one client, in a thread of its own; whatever is wrong with what it says ends only this."""

    server: Server
    timeout, disable_nagle_algorithm = HANDSHAKE, True

    def handle(self) -> None:
        if not hmac.compare_digest(self.rfile.read(KEY), self.server.key):
            return
        self.connection.settimeout(None)
        while head := self.rfile.read(LENGTH.size):
            length = LENGTH.unpack(head)[0]
            if length > LONGEST_REQUEST:
                return
            words = json.loads(self.rfile.read(length))
            self.answer(words.pop("do"), words.pop("asked"), words)

    def answer(self, do: str, asked: float | None, words: dict[str, Any]) -> None:
        """Do it, and send what came of it no sooner than the rates allow."""
        self.moment, due = asked, asked
        if asked is not None and do not in FREE:
            due = self.server.operations.take(1, float(asked))
        try:
            if do == "read":
                self.read(**words)
            elif do == "write":
                self.write(**words)
                self.connection.sendall(HEAD.pack(0, 0))
            elif do in ("remove", "number", "show", "find", "forget", "names", "statistics"):
                said = json.dumps(getattr(self.server, do)(**words)).encode()
                self.connection.sendall(HEAD.pack(0, len(said)) + said)
            else:
                raise ValueError(do)
        except Refused as refusal:
            number, why = refusal.args
            self.connection.sendall(HEAD.pack(number, len(why.encode())) + why.encode())
        ended = max(due or 0.0, self.moment or 0.0)
        time.sleep(max(0.0, ended - time.monotonic()))
        self.connection.sendall(TAIL.pack(ended))

    def pieces(self, content: memoryview) -> Any:
        """The parts of `content`, each when the bandwidth allows it."""
        for begin in range(0, len(content), PIECE):
            piece = content[begin : begin + PIECE]
            if self.moment is not None:
                self.moment = self.server.bandwidth.take(len(piece), self.moment)
                time.sleep(max(0.0, self.moment - time.monotonic()))
            yield piece

    def read(self, number: int, start: int, end: int) -> None:
        if (content := self.server.objects.get(number)) is None or not 0 <= start <= end <= len(content):
            raise Refused(errno.ENOENT, "a part of the file is not here: it was removed or replaced.")
        self.connection.sendall(HEAD.pack(0, end - start))
        for piece in self.pieces(memoryview(content)[start:end]):
            self.connection.sendall(piece)

    def write(self, number: int, length: int) -> None:
        """Take an object whole, or, where there is no room, its bytes, which must come off the line."""
        try:
            self.server.reserve(int(length))
        except Refused:
            while length > 0 and (passed := self.rfile.read(min(length, PIECE))):
                length -= len(passed)
            raise
        try:
            content = bytearray(length)
            for piece in self.pieces(memoryview(content)):
                if self.rfile.readinto(piece) < len(piece):
                    raise EOFError
        except BaseException:
            self.server.reserve(-length)
            raise
        self.server.keep(number, content)


def main() -> None:
    parent, bandwidth, operations, capacity = sys.argv[1:]
    key = os.read(0, KEY)
    server = Server(key, float(bandwidth), float(operations), int(capacity))
    threading.Thread(target=server.serve_forever, args=(60.0,), daemon=True).start()
    print(server.server_address[1], flush=True)
    while os.getppid() == int(parent):  # what was forked from the parent may hold the pipe open
        if select.select([0], [], [], 1.0)[0] and not os.read(0, 1):
            break
    os._exit(0)


if __name__ == "__main__":
    main()
