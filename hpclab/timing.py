"""Time a piece of work: warm-up, repeats, wall and CPU time, and the time that it waited for a core."""

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Self

from hpclab import checks


@dataclass(frozen=True, slots=True)
class Sample:
    """One timed call: `wall` and `cpu` (all threads of this process) in seconds, `waited` those in which its
    threads could have run and had no core, `stolen` those in which another virtual machine had this
    machine's cores (the mean over cores)."""

    wall: float
    cpu: float
    waited: float = 0.0
    stolen: float = 0.0

    def facts(self) -> dict[str, float]:
        """What the environment of a Result holds of it, for `quality.doubt`; with the machine's load."""
        return asdict(self) | {"load": os.getloadavg()[0]}


class Stopwatch:
    """``with Stopwatch() as watch: ...`` then ``watch.sample``; clocks are monotonic. With `helpers` False
    only the waits of its own thread count, not those of threads that serve it."""

    sample: Sample

    def __init__(self, helpers: bool = True):
        self._only = None if helpers else threading.get_native_id()

    def __enter__(self) -> Self:
        self._queued, self._stolen = queued(), stolen()
        self._wall, self._cpu = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        without_core = waited(self._queued, wall, cpu, only=self._only)
        self.sample = Sample(wall, cpu, without_core, stolen() - self._stolen)


def queued(without: Iterable[int] = (), process: int | str = "self") -> dict[int, float] | None:
    """For each thread of a process but those in `without` the seconds that it has so far been ready to run
    and had no core; None where the kernel has no such file (proc(5), schedstat)."""
    if not os.path.exists("/proc/self/schedstat"):
        return None
    seconds = {}
    threads = f"/proc/{process}/task"
    for thread in set(map(int, os.listdir(threads))).difference(without):
        with suppress(FileNotFoundError, ProcessLookupError):  # this thread has just ended
            seconds[thread] = int(Path(f"{threads}/{thread}/schedstat").read_bytes().split()[1]) / 1e9
    return seconds


def waited(
    before: dict[int, float] | None, wall: float, cpu: float, without: Iterable[int] = (),
    only: int | None = None,
) -> float:  # fmt: skip
    """Seconds waited for a core since `before`, which is what `queued` said `wall` and `cpu` seconds ago; by
    all threads but those in `without`, or by one `only`. Where the kernel does not say, the wall time without
    CPU time, if there is more to do than cores."""
    now = queued(without)
    if before is None or now is None:
        return max(0.0, wall - cpu) if os.getloadavg()[0] > (os.cpu_count() or 1) else 0.0
    threads = now if only is None else [only]
    return sum(max(0.0, now[thread] - before.get(thread, 0.0)) for thread in threads)


def stolen() -> float:
    """Seconds, as the mean over cores, that another virtual machine has had them so far; 0 if not known."""
    try:
        with open("/proc/stat", "rb") as file:
            ticks = int(file.readline().split()[8])
        return ticks / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)
    except (OSError, ValueError, IndexError):
        return 0.0


def repeat(work: Callable[[], object], repeats: int = 5, warmup: int = 1) -> list[Sample]:
    """Time `repeats` calls of `work()` after `warmup` calls, which pay for compilation and caches."""
    checks.instance("work", work, Callable, "a function")
    repeats = checks.integer("repeats", repeats, 1, 10_000)
    warmup = checks.integer("warmup", warmup, 0, 10_000)
    samples = []
    for _ in range(warmup + repeats):
        with Stopwatch() as watch:
            work()
        samples.append(watch.sample)
    return samples[warmup:]


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each time of several samples."""
    if not checks.instances("samples", samples, Sample):
        raise ValueError("A median needs at least one sample.")
    return Sample(*map(statistics.median, zip(*map(astuple, samples), strict=True)))


def total(work: Iterable[Any]) -> Sample:
    """The seconds of several samples, or of the tasks of a map, added up."""
    parts = [(one.wall, one.cpu, one.waited) for one in work]
    return Sample(*map(sum, zip(*parts, strict=True)))
