"""What a client has of the emulated striped store: an fsspec file system over the servers' sockets.

A file lies in stripes of `stripe_size` bytes, dealt out in turn to `stripes` servers, from the server on that
its number says. Reading asks the metadata server once (an open), and then all servers that hold a part, at
once. Nothing is cached: every read is a first one.
"""

import errno
import json
import multiprocessing
import os
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from hpclab.storage.server import BEHIND, HEAD, LENGTH, PIECE, TAIL

PATIENCE = 10.0  # seconds without a byte from any server that was asked


class StripedFileSystem(AbstractFileSystem):
    """Made by `StripedStore.client`, which says what the arguments are; used as any fsspec file system.

    One client is one machine: what is forked from its process shares its link, a copy that was pickled is a
    client with a link of its own. Every process and thread opens connections of its own. What this program
    takes beside what it emulates is made up for at the next request, up to BEHIND seconds; `late` are the
    seconds that this process could not make up for: much of a measurement's time, and it says nothing.
    """

    protocol = "striped"
    cachable = False

    def __init__(
        self,
        addresses: tuple[int, ...],
        key: str,
        link: float | None = None,
        latency: float = 0.0,
        stripes: int = 1,
        stripe_size: int = 2**20,
        limited: bool = True,
    ) -> None:
        super().__init__()
        self._ports, self._key, self._limited = addresses, key, limited
        self._link, self._latency = link, latency
        self._layout = {"stripes": stripes, "stripe_size": stripe_size}
        self._link_free = multiprocessing.get_context("fork").Value("d", 0.0)
        self._own = threading.local()
        self.late = 0.0

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        stripped = super()._strip_protocol(path)
        return stripped if isinstance(stripped, list) else stripped.lstrip("/")

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Name, size, type, stripes, stripe_size and number of a file: one open of the metadata server."""
        name = self._strip_protocol(path)
        try:
            return {"name": name, "type": "file", **self._metadata("find", name=name)}
        except FileNotFoundError:
            self.ls(name)
            return {"name": name, "size": 0, "type": "directory"}

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """A file, or what is in a folder; a folder is there as long as a file is in it."""
        name = self._strip_protocol(path)
        folder, found = f"{name}/" * bool(name), dict[str, dict[str, Any]]()
        for each, file in self._metadata("names").items():
            inside = each.startswith(folder)
            child = folder + each[len(folder) :].partition("/")[0] if inside else each
            if child == each and (inside or each == name):
                found[each] = {"name": each, "type": "file", **file}
            elif inside:
                found[child] = {"name": child, "type": "directory", "size": 0}
        if name and not found:
            raise FileNotFoundError(errno.ENOENT, f"The striped store: there is no file {name!r:.60}.")
        return list(found.values()) if detail else list(found)

    def exists(self, path: str, **options: Any) -> bool:
        """Whether there is such a file or folder; an OSError where a server does not say."""
        with suppress(FileNotFoundError):
            return bool(self.info(path))
        return False

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        """Write a file whole: it is there when all its stripes are, in place of one that had its name."""
        name, (stripes, size) = self._strip_protocol(path), self._layout.values()
        if mode == "create" and self.exists(name):
            raise FileExistsError(errno.EEXIST, f"there is a file {name!r:.60} already.")
        content, number = memoryview(value).cast("B"), self._metadata("number")
        file = {"size": len(content), "number": number, **self._layout}
        writes = []
        for place in range(stripes):
            begins = range(place * size, len(content), stripes * size)
            part = b"".join(content[begin : begin + size] for begin in begins)
            words = {"do": "write", "number": number, "length": len(part)}
            if part:
                writes.append((self._server(file, place), words, part))
        try:
            self._ask(writes)
            before = self._metadata("show", name=name, file=file)
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
        """The bytes from `start` to before `end` of a file, given what `info` said of it."""
        size, stripes = file["stripe_size"], file["stripes"]
        start, end = max(0, start), min(end, file["size"])
        spans = {
            place: (before(start, place, stripes, size), before(end, place, stripes, size))
            for place in range(stripes)
        }
        asked = {place: span for place, span in spans.items() if span[0] < span[1]}
        words = {"do": "read", "number": file["number"]}
        answers = self._ask([
            (self._server(file, place), {**words, "start": low, "end": high}, b"")
            for place, (low, high) in asked.items()
        ])  # fmt: skip
        parts = dict(zip(asked, answers, strict=True))
        pieces, taken = [], dict.fromkeys(parts, 0)
        while start < end:
            place, length = start // size % stripes, min(end, (start // size + 1) * size) - start
            pieces.append(parts[place][taken[place] : taken[place] + length])
            taken[place] += length
            start += length
        return b"".join(pieces)

    def statistics(self) -> list[dict[str, int]]:
        """See `StripedStore.statistics`."""
        asked = range(len(self._ports))
        answers = self._ask([(server, {"do": "statistics"}, b"") for server in asked])
        return [json.loads(bytes(answer)) for answer in answers]

    def _server(self, file: dict[str, Any], place: int) -> int:
        """Which server has the stripe at this place of a file; the last of all is for metadata."""
        return (file["number"] + place) % (len(self._ports) - 1)

    def _drop(self, file: dict[str, Any]) -> None:
        words = {"do": "remove", "number": file["number"]}
        self._ask([(self._server(file, place), words, b"") for place in range(file["stripes"])])

    def _metadata(self, do: str, **words: Any) -> Any:
        latency = self._latency if do == "find" else 0.0
        answers = self._ask([(len(self._ports) - 1, {"do": do, **words}, b"")], latency)
        return json.loads(bytes(answers[0]))

    def _ask(
        self, requests: list[tuple[int, dict[str, Any], bytes]], latency: float = 0.0
    ) -> list[memoryview]:
        """Ask one or more servers at once and wait until all answers would have come."""
        own = self._connections()
        asked = time.monotonic() - own.behind if self._limited else None
        talks = [
            _Talk(server, json.dumps({"asked": asked, **words}).encode(), content)
            for server, words, content in requests
        ]
        try:
            self._talk(talks)
        except BaseException:  # half an answer may be on its way
            own.sockets.clear()
            raise
        if asked is not None:
            self._wait(own, asked, talks, latency)
        for talk in talks:
            if talk.status:
                raise OSError(talk.status, f"The striped store: {bytes(talk.answer[: -TAIL.size]).decode()}")
        return [memoryview(talk.answer)[: -TAIL.size] for talk in talks]

    def _talk(self, talks: list["_Talk"]) -> None:
        with selectors.PollSelector() as selector:
            for talk in talks:
                selector.register(self._connect(talk.server), selectors.EVENT_WRITE, talk)
            while waiting := selector.get_map():
                ready = selector.select(PATIENCE)
                if not ready:
                    raise TimeoutError(self._sentence(next(iter(waiting.values())).data.server,
                                                      f"has not answered for {PATIENCE:g} s"))  # fmt: skip
                for key, event in ready:
                    sock: Any = key.fileobj
                    talk = key.data
                    try:
                        going_on = talk.send(sock) if talk.out else talk.receive(sock)
                    except OSError:
                        raise ConnectionError(self._sentence(talk.server, "has ended")) from None
                    if not going_on:
                        selector.unregister(sock)
                    elif event & selectors.EVENT_WRITE and not talk.out:
                        selector.modify(sock, selectors.EVENT_READ, talk)

    def _wait(self, own: Any, asked: float, talks: list["_Talk"], latency: float) -> None:
        """Sleep until servers and link are done, and note how much later it has become."""
        done = max([asked, *(talk.due for talk in talks)]) + latency
        if self._link:
            moved = sum(talk.moved for talk in talks)
            with self._link_free.get_lock():
                self._link_free.value = max(self._link_free.value, asked) + moved / self._link
                done = max(done, self._link_free.value)
        time.sleep(max(0.0, done - time.monotonic()))
        behind = time.monotonic() - done
        self.late += max(0.0, behind - BEHIND)
        own.behind = min(behind, BEHIND)

    def _connections(self) -> Any:
        """What this thread of this process has open, and how far it is behind."""
        if getattr(self._own, "pid", 0) != os.getpid():
            self._own.pid, self._own.sockets, self._own.behind = os.getpid(), {}, 0.0
        return self._own

    def _connect(self, server: int) -> socket.socket:
        sockets = self._connections().sockets
        if server not in sockets:
            try:
                sock = socket.create_connection(("127.0.0.1", self._ports[server]), PATIENCE)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.sendall(self._key.encode())
            except OSError:
                raise ConnectionError(self._sentence(server, "has ended")) from None
            sockets[server] = sock
        return sockets[server]

    def _sentence(self, server: int, what: str) -> str:
        last = len(self._ports) - 1
        name = "The metadata server" if server == last else f"Storage server {server} (of 0 to {last - 1})"
        return f"{name} {what}: close the striped store and start another."


class _Talk:
    """A request to one server: what is still to be sent of it, and its answer as far as it has come."""

    def __init__(self, server: int, words: bytes, content: bytes) -> None:
        self.server = server
        self.out = memoryview(LENGTH.pack(len(words)) + words + content)
        self.answer = bytearray(HEAD.size)
        self.rest = memoryview(self.answer)
        self.status: int | None = None
        self.due, self.moved = 0.0, len(content)

    def send(self, sock: socket.socket) -> bool:
        self.out = self.out[sock.send(self.out[: 4 * PIECE]) :]
        return True

    def receive(self, sock: socket.socket) -> bool:
        """Take what there is; whether more is to come."""
        count = sock.recv_into(self.rest)
        if not count:
            raise ConnectionError
        self.rest = self.rest[count:]
        if self.rest:
            return True
        if self.status is None:
            self.status, length = HEAD.unpack(self.answer)
            self.moved += length
            self.answer = bytearray(length + TAIL.size)
            self.rest = memoryview(self.answer)
            return True
        (self.due,) = TAIL.unpack(self.answer[-TAIL.size :])
        return False


class StripedFile(AbstractBufferedFile):
    """A file of the store: read as it is asked for, and written whole when it is closed."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self.fs.read(self.details, start, end)

    def _upload_chunk(self, final: bool = False) -> bool:
        if final:
            self.fs.pipe_file(self.path, self.buffer.getbuffer())
        return final


def before(offset: int, place: int, stripes: int, size: int) -> int:
    """How many bytes of the part at `place` lie before `offset` in the file."""
    turns, rest = divmod(offset, stripes * size)
    return turns * size + min(max(rest - place * size, 0), size)
