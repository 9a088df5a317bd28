"""What a client has of the emulated striped store: an fsspec file system over the servers' sockets.

A file lies in stripes of `stripe_size` bytes, dealt out in turn to `stripes` servers, from the server on that
its number says. Reading asks the metadata server (an open), then all servers that hold a part, at once.
"""

import functools
import json
import multiprocessing
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from hpclab.storage.server import BEHIND, sleep_until

PATIENCE = 10.0  # seconds without a byte from a server that was asked
AGAIN = "close the striped store and start another."
Request = tuple[int, dict[str, Any], bytes]
"""A server's index, the JSON fields of a request to it (server.py), and the bytes to write."""


class StripedFileSystem(AbstractFileSystem):
    """What a client sees of a StripedStore; `StripedStore.client` makes it, and says what the arguments are.

    One client is one machine: what is forked from its process shares its link; a copy that was pickled has a
    link of its own. Every process and thread has its own connections. What these programs take beside what
    they emulate is made up for at the next request, up to BEHIND seconds; `late` sums the seconds beyond
    that: where they are much of a measured time, that time says nothing.
    """

    protocol = "striped"
    cachable = False

    def __init__(
        self, ports: tuple[int, ...], key: str, link: float, latency: float, stripes: int,
        stripe_size: int, limited: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self._ports, self._key, self._limited = ports, key, limited
        self._link, self._latency = link, latency
        self._layout = {"stripes": stripes, "stripe_size": stripe_size}
        self._link_free = multiprocessing.get_context("fork").Value("d", 0.0)
        self._own = threading.local()  # connections by server (`lines`), and how far it is `behind`
        self.late = 0.0

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(path).lstrip("/")

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        try:
            return {"name": name, "type": "file", **self._metadata("find", name=name)}
        except FileNotFoundError:
            self.ls(name)
            return {"name": name, "type": "directory", "size": 0}

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """List a file, or the content of a folder; a folder exists as long as a file is in it."""
        name = self._strip_protocol(path)
        folder, found = f"{name}/" * bool(name), dict[str, dict[str, Any]]()
        for each, file in self._metadata("names").items():
            if each == name:
                found[each] = {"name": each, "type": "file", **file}
            elif each.startswith(folder):
                first, below, _ = each[len(folder) :].partition("/")
                about = {"type": "directory", "size": 0} if below else {"type": "file", **file}
                found[folder + first] = {"name": folder + first, **about}
        if name and not found:
            raise FileNotFoundError(f"The striped store has no file {name!r:.80}.")
        return list(found.values()) if detail else list(found)

    def exists(self, path: str, **options: Any) -> bool:
        """Whether there is such a file or folder; OSError where a server does not answer."""
        with suppress(FileNotFoundError):
            return bool(self.info(path))
        return False

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        """Write a whole file; once all its stripes are there it replaces the one of the same name."""
        stripes, size = self._layout.values()
        content, number = memoryview(value).cast("B"), self._metadata("number")
        file = {"size": len(content), "number": number, **self._layout}
        writes = []
        for place in range(stripes):
            begins = range(place * size, len(content), stripes * size)
            if part := b"".join(content[begin : begin + size] for begin in begins):
                words = {"do": "write", "number": number, "length": len(part)}
                writes.append((self._server(file, place), words, part))
        try:
            self._ask(writes, moved=len(content))
            before = self._metadata("show", name=self._strip_protocol(path), file=file)
        except BaseException:
            with suppress(OSError):
                self._drop(file)
            raise
        if before:
            self._drop(before)

    def rm_file(self, path: str) -> None:
        self._drop(self._metadata("forget", name=self._strip_protocol(path)))

    def _open(self, path: str, mode: str = "rb", cache_type: str = "none", **options: Any) -> "StripedFile":
        return StripedFile(self, path, mode, cache_type=cache_type, **options)

    def read(self, file: dict[str, Any], start: int, end: int) -> bytes:
        """The bytes from `start` to before `end` of a file, of which `file` is the `info`."""
        size, stripes, number = file["stripe_size"], file["stripes"], file["number"]
        start, end = max(0, start), min(end, file["size"])
        places, requests = [], list[Request]()
        for place in range(stripes):
            low, high = (_before(offset, place, stripes, size) for offset in (start, end))
            if low < high:
                places.append(place)
                words = {"do": "read", "number": number, "start": low, "end": high}
                requests.append((self._server(file, place), words, b""))
        found = self._ask(requests, moved=end - start)
        parts = {place: memoryview(said) for place, said in zip(places, found, strict=True)}
        pieces = []  # views: copies of them would take a tenth of the time that is emulated
        while start < end:
            place, length = start // size % stripes, min(end, (start // size + 1) * size) - start
            pieces.append(parts[place][:length])
            parts[place] = parts[place][length:]
            start += length
        return b"".join(pieces)

    def statistics(self) -> list[dict[str, int]]:
        """Counters of every server, as `StripedStore.statistics` has them."""
        servers = range(len(self._ports))
        return list(map(json.loads, self._ask([(each, {"do": "statistics"}, b"") for each in servers])))

    def _server(self, file: dict[str, Any], place: int) -> int:
        """Index of the server with a file's stripes at `place`; the last server of all is for metadata."""
        return (file["number"] + place) % (len(self._ports) - 1)

    def _drop(self, file: dict[str, Any]) -> None:
        words = {"do": "remove", "number": file["number"]}
        self._ask([(self._server(file, place), words, b"") for place in range(file["stripes"])])

    def _metadata(self, do: str, **words: Any) -> Any:
        """Return the metadata server's answer to the request `do`; "find", which opens, costs the latency."""
        latency = self._latency if do == "find" else 0.0
        return json.loads(self._ask([(len(self._ports) - 1, {"do": do, **words}, b"")], latency)[0])

    def _ask(self, requests: list[Request], latency: float = 0.0, moved: int = 0) -> list[bytes]:
        """Send requests to their servers at once; return the answers when the last server, `latency` seconds
        later, and the link with its `moved` bytes would be done."""
        own = self._own
        if getattr(own, "pid", 0) != os.getpid():
            own.pid, own.lines, own.behind = os.getpid(), dict[int, Any](), 0.0
        asked = time.monotonic() - own.behind if self._limited else None
        exchange = functools.partial(self._exchange, own.lines, asked)
        try:
            if len(requests) == 1:
                answers = [exchange(requests[0])]
            else:
                with ThreadPoolExecutor(len(self._ports)) as threads:
                    answers = list(threads.map(exchange, requests))
        except BaseException:  # half an answer may be on its way
            own.lines.clear()
            raise
        if asked is not None:
            done = max([asked, *(due for _, _, due in answers)]) + latency
            if moved > 0:
                with self._link_free.get_lock():
                    self._link_free.value = max(self._link_free.value, asked) + moved / self._link
                    done = max(done, self._link_free.value)
            sleep_until(done)
            behind = time.monotonic() - done
            self.late += max(0.0, behind - BEHIND)
            own.behind = min(behind, BEHIND)
        for status, said, _ in answers:
            if status:
                raise OSError(status, json.loads(said))
        return [said for _, said, _ in answers]

    def _exchange(self, lines: Any, asked: float | None, request: Request) -> tuple[int, bytes, float]:
        """Send one request: return its status (0 or an errno), the answer, and when that was due."""
        (server, words, content), last = request, len(self._ports) - 1
        name = "The metadata server" if server == last else f"Storage server {server} (of 0 to {last - 1})"
        try:
            if server not in lines:
                with socket.create_connection(("127.0.0.1", self._ports[server]), PATIENCE) as made:
                    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    made.sendall(self._key.encode())
                    lines[server] = made.makefile("rwb")
            line = lines[server]
            line.write(json.dumps({"asked": asked, **words}).encode() + b"\n")
            line.write(content)
            line.flush()
            status, length = map(int, line.readline().split())
            return status, line.read(length), float(line.readline())
        except TimeoutError:
            raise TimeoutError(f"{name} has not answered for {PATIENCE:g} s: {AGAIN}") from None
        except (OSError, ValueError):  # no answer, or half of one
            raise ConnectionError(f"{name} has ended: {AGAIN}") from None


class StripedFile(AbstractBufferedFile):
    """A file of the store: read as it is asked for, and written whole when it is closed."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.read(self.details, start, end)

    def _upload_chunk(self, final: bool = False) -> bool:
        if final:
            self.fs.pipe_file(self.path, self.buffer.getbuffer())
        return final


def _before(offset: int, place: int, stripes: int, size: int) -> int:
    """How many bytes before `offset` in a file are on its server at `place`, by stripes of `size` bytes."""
    turns, rest = divmod(offset, stripes * size)
    return turns * size + min(max(rest - place * size, 0), size)
