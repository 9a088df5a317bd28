"""Messages over a pipe or a socket between processes of one pool: a length, then a pickle."""

import os
import pickle
import struct
from collections.abc import Iterator
from typing import Any

HEAD = struct.Struct(">Q")


def frame(message: object) -> bytes:
    """The bytes to send for `message`."""
    body = pickle.dumps(message, protocol=5)
    return HEAD.pack(len(body)) + body


def write(descriptor: int, message: object) -> None:
    """Send `message`, however many writes it takes; OSError where the other end is gone."""
    rest = memoryview(frame(message))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read(descriptor: int) -> Iterator[Any]:
    """Yield each message as it comes, until the other end is gone."""
    inbox = Frames()
    while chunk := os.read(descriptor, 2**20):
        yield from inbox.feed(chunk)


class Frames:
    """Decodes messages from chunks of bytes, however they are cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Any]:
        """Take in `chunk` and yield the messages that it completes."""
        self._buffer += chunk
        while len(self._buffer) >= HEAD.size:
            end = HEAD.size + HEAD.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[HEAD.size : end])
            del self._buffer[:end]
            yield pickle.loads(body)  # noqa: S301 - from our own process
