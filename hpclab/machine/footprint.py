"""How much memory a program really takes, with everything it started: summed PSS of a set of processes.

Adding up resident sizes counts a shared page once for every process that maps it: eight forked ranks would
seem to need eight copies of torch. PSS gives each process its share, so that the sum is what the machine
gives up.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path

import psutil


def summed_pss(pids: Iterable[int]) -> int:
    """Bytes that these processes take together; those that are gone or belong to somebody else count 0."""
    return sum(_pss(pid) for pid in pids)


def members(mark: str, roots: Iterable[int] = ()) -> set[int]:
    """The processes below `roots`, and all that carry `mark` in their environment or command line, and those
    below them. Daemons that left the tree (a Slurm and its jobs) are found by their mark: name a directory
    that only this run uses, such as its HPCLAB_STATE_DIR. This process is never among them."""
    children: dict[int, list[int]] = {}
    marked = set(roots)
    for process in psutil.process_iter(["pid", "ppid"]):
        pid = process.info["pid"]
        children.setdefault(process.info["ppid"], []).append(pid)
        if mark and pid != os.getpid() and _carries(pid, mark):
            marked.add(pid)
    found, waiting = set(), list(marked)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found - {os.getpid()}


class Footprint:
    """``with Footprint(mark) as footprint: ...`` then ``footprint.peak`` (bytes). Looks every `every` seconds
    from a thread, so far `looks` times."""

    def __init__(self, mark: str, every: float = 0.3) -> None:
        self._mark, self._every = mark, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="hpclab-footprint")
        self.peak = self.looks = 0

    def __enter__(self) -> Footprint:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, summed_pss(members(self._mark)))
            self.looks += 1
            if self._over.wait(self._every):
                return


def _carries(pid: int, mark: str) -> bool:
    wanted = os.fsencode(mark)
    if Path("/proc/self/environ").exists():
        for name in ("environ", "cmdline"):
            with contextlib.suppress(OSError):
                if wanted in Path(f"/proc/{pid}/{name}").read_bytes():
                    return True
        return False
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return mark in " ".join(process.cmdline()) or mark in str(process.environ().values())
    return False


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
        return 0
    with contextlib.suppress(psutil.Error):  # macOS has no PSS: what is this process's alone is the next best
        return int(getattr(psutil.Process(pid).memory_full_info(), "uss", 0))
    return 0
