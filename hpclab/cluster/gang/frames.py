"""Messages over a pipe or a socket between processes of one pool: a length, then a pickle.

Both ends are processes of the same user that started one another, so unpickling is no new trust.
"""

from __future__ import annotations

import os
import pickle
import struct
from typing import Any

HEAD = struct.Struct(">Q")
LARGEST = 2**34


def frame(message: object) -> bytes:
    """The bytes to send for `message`."""
    body = pickle.dumps(message, protocol=5)
    return HEAD.pack(len(body)) + body


def write(descriptor: int, message: object) -> None:
    """Send `message`, however many writes it takes; OSError where the other end is gone."""
    rest = memoryview(frame(message))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read(descriptor: int) -> Any:
    """Wait for one message; EOFError where the other end is gone."""
    size = HEAD.unpack(_exactly(descriptor, HEAD.size))[0]
    return pickle.loads(_exactly(descriptor, size))  # noqa: S301 - from our own process


def _exactly(descriptor: int, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        chunk = os.read(descriptor, min(size - len(parts), 2**20))
        if not chunk:
            raise EOFError
        parts += chunk
    return bytes(parts)


class Frames:
    """Messages out of chunks of bytes as they happen to arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[Any]:
        """The messages that `chunk` completes."""
        self._buffer += chunk
        messages = []
        while len(self._buffer) >= HEAD.size:
            size = HEAD.unpack_from(self._buffer)[0]
            if len(self._buffer) < HEAD.size + size:
                break
            body = bytes(self._buffer[HEAD.size : HEAD.size + size])
            del self._buffer[: HEAD.size + size]
            messages.append(pickle.loads(body))  # noqa: S301 - from our own process
        return messages
