"""Which task a worker was running when it died, told by a note the worker keeps in the pool's directory.

Dask suspects every task that a lost worker held, those that only waited behind the running one as well. The
note is a few bytes written in place as a task begins and ends; what a killed process has written stays.
"""

from __future__ import annotations

import functools
import os
import struct
from collections import Counter
from contextlib import suppress
from pathlib import Path

_NOTE = struct.Struct("<qq")  # the map's number, the item's place
NOTHING = -1


@functools.lru_cache(maxsize=4)
def _open(directory: str, worker: str) -> int:
    try:
        return os.open(
            f"{directory}/{worker}-{os.getpid()}.at", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError:  # a directory the node does not share: then a death is blamed on the first suspect
        return NOTHING


def write(directory: str, worker: str, number: int, place: int) -> None:
    """Note that this worker now runs the item at `place` of map `number` (or NOTHING)."""
    with suppress(OSError):
        os.pwrite(_open(directory, worker), _NOTE.pack(number, place), 0)


def deaths(directory: Path, number: int) -> Counter[int]:
    """How many workers stopped, or are, in each item of map `number`."""
    found: Counter[int] = Counter()
    for path in directory.glob("*.at"):
        with suppress(OSError, struct.error):
            of, place = _NOTE.unpack(path.read_bytes())
            if of == number and place != NOTHING:
                found[place] += 1
    return found
