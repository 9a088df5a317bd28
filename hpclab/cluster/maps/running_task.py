"""Which item a worker had begun last when it went, told by a note the worker keeps in the pool's directory.

Dask suspects every task that a lost worker held, those that only waited behind the running one as well, and
none where the worker took its leave (SIGTERM). The note is a few bytes written in place as a task begins;
what a killed process has written stays.
"""

import functools
import os
import signal
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_NOTE = struct.Struct("<qq")  # the map's number, the item's place


@functools.lru_cache(maxsize=4)
def _open(directory: str, worker: str) -> int:
    try:
        return os.open(
            f"{directory}/{worker}-{os.getpid()}.at", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError:  # a full disk: then a death is blamed on Dask's suspect
        return -1


_frozen = threading.Event()


def freeze(number: int, handler: Callable[[int, Any], object]) -> None:
    """Have the note stay as it is from this signal on: a worker that takes its leave may begin one more item.

    To be called on the main thread, where the event loop then hears of the signal before it hands out more.
    """

    def frozen(signum: int, frame: object) -> None:
        _frozen.set()
        handler(signum, frame)

    signal.signal(number, frozen)


def write(directory: str, worker: str, number: int, place: int) -> None:
    """Note that this worker begins the item at `place` of map `number`."""
    with suppress(OSError):
        if not _frozen.is_set():
            os.pwrite(_open(directory, worker), _NOTE.pack(number, place), 0)


def last(directory: Path, worker: str, pid: int, number: int) -> int | None:
    """The item of map `number` that this worker's process began last; None if it began none."""
    try:
        of, place = _NOTE.unpack((directory / f"{worker}-{pid}.at").read_bytes())
    except (OSError, struct.error):
        return None
    return place if of == number else None
