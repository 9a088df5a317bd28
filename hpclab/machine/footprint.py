"""How much memory a program really takes, with everything it started: summed PSS of a set of processes.

Adding up resident sizes counts a shared page once for every process that maps it: eight forked ranks would
seem to need eight copies of torch. PSS gives each process its share, so that the sum is what the machine
gives up.
"""

import contextlib
import os
import threading
from collections.abc import Iterable
from typing import Self

import psutil

_EVERY = 0.3  # seconds between two looks


def summed_pss(pids: Iterable[int]) -> int:
    """Bytes that these processes take together; those that are gone or belong to somebody else count 0.

    macOS has no PSS: what is each process's alone is the next best.
    """
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            memory = psutil.Process(pid).memory_full_info()
            total += getattr(memory, "pss", memory.uss)
    return total


def members(mark: str, roots: Iterable[int] = ()) -> set[int]:
    """The processes below `roots`, and all that carry `mark` in their environment or command line, and those
    below them. Daemons that left the tree (a Slurm and its jobs) are found by their mark: name a directory
    that only this run uses, such as its HPCLAB_STATE_DIR. This process is never among them."""
    children: dict[int, list[int]] = {}
    found, waiting = {os.getpid()}, [*roots]
    for process in psutil.process_iter(["pid", "ppid", "cmdline", "environ"]):  # None: not ours to read
        told = process.info
        children.setdefault(told["ppid"], []).append(told["pid"])
        words = [*(told["cmdline"] or ()), *(told["environ"] or {}).values()]
        if mark and any(mark in word for word in words):
            waiting.append(told["pid"])
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found - {os.getpid()}


class Footprint:
    """``with Footprint(mark) as footprint: ...`` then ``footprint.peak`` (bytes), as seen from a thread."""

    def __init__(self, mark: str) -> None:
        self._mark, self.peak = mark, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="hpclab-footprint")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def sample(self) -> None:
        """Measure once, as the thread does every third of a second."""
        self.peak = max(self.peak, summed_pss(members(self._mark)))

    def _watch(self) -> None:
        while not self._over.is_set():
            self.sample()
            self._over.wait(_EVERY)
