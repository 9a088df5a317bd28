"""A rank with little memory: what does not fit fails as it would on a GPU, with torch's own error.

with room_for(256 * 2**20):
    loss(model(inputs), targets).backward()     # RuntimeError: ... can't allocate memory
"""

import contextlib
import resource
from collections.abc import Iterator

import psutil

from hpclab import checks


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Inside, this process gets no more than `size` bytes beyond what it has. Linux only: elsewhere OSError.

    In a pool's rank, which is thrown away afterwards, nothing else can be hurt by what fails.
    """
    checks.integer("size", size, 2**20, 2**50, "bytes")
    held = getattr(psutil.Process().memory_info(), "data", None)
    if held is None:
        raise OSError("Only Linux says how much memory a process has taken: run this cell on Linux.")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (held + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that there was no memory left, on a CPU or on a GPU."""
    return any(words in repr(error) for words in ("can't allocate memory", "MemoryError"))
