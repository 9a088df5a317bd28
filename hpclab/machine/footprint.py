"""Measure the memory of a program and all that it started: summed PSS, which counts shared pages once."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator

import psutil

_EVERY = 0.3  # seconds between two samples


def summed_pss(pids: Iterable[int]) -> int:
    """Bytes that these processes take together (on macOS USS); those gone or of another user count 0."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            memory = psutil.Process(pid).memory_full_info()
            total += getattr(memory, "pss", memory.uss)
    return total


def processes_of_run(mark: str, roots: Iterable[int] = ()) -> set[int]:
    """The pids of `roots`, of processes with `mark` in environment or argv (a folder that only this run uses,
    to find daemons that left the process tree), and of all descendants of these; never this process."""
    children: dict[int, list[int]] = {}
    found, waiting = {os.getpid()}, [*roots]
    for process in psutil.process_iter(["pid", "ppid", "cmdline", "environ"]):  # None: not ours to read
        of = process.info
        children.setdefault(of["ppid"], []).append(of["pid"])
        if mark and any(mark in word for word in (*(of["cmdline"] or ()), *(of["environ"] or {}).values())):
            waiting.append(of["pid"])
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found - {os.getpid()}


@contextlib.contextmanager
def sampling(sample: Callable[[], None]) -> Iterator[None]:
    """``with sampling(sample): ...`` calls `sample` at once and three times a second, in a thread."""
    over = threading.Event()

    def watch() -> None:
        sample()
        while not over.wait(_EVERY):
            sample()

    thread = threading.Thread(target=watch, daemon=True, name="hpclab-footprint")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
