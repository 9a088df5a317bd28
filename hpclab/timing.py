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
        """These times and the machine's load, as `quality.doubt` expects them in a Result's `environment`."""
        return asdict(self) | {"load": os.getloadavg()[0]}


class Stopwatch:
    """Times a block: ``with Stopwatch() as watch: ...`` then ``watch.sample``; clocks are monotonic. With
    `helpers` False `waited` is that of the thread that made it alone, not of all threads."""

    sample: Sample

    def __init__(self, helpers: bool = True):
        self._only = None if helpers else threading.get_native_id()

    def __enter__(self) -> Self:
        self._queued, self._stolen = run_queue_seconds(), stolen_seconds()
        self._wall, self._cpu = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        wall, cpu = time.monotonic() - self._wall, time.process_time() - self._cpu
        without_core = waited_seconds(self._queued, wall, cpu, only=self._only)
        self.sample = Sample(wall, cpu, without_core, stolen_seconds() - self._stolen)


def run_queue_seconds(without: Iterable[int] = (), process: int | str = "self") -> dict[int, float] | None:
    """Seconds that each thread of `process` (its pid), but those in `without`, has so far been ready to run
    and had no core, by thread id; None where the kernel has no schedstat file (proc(5))."""
    if not os.path.exists("/proc/self/schedstat"):
        return None
    seconds = {}
    threads = f"/proc/{process}/task"
    for thread in set(map(int, os.listdir(threads))).difference(without):
        with suppress(FileNotFoundError, ProcessLookupError):  # this thread has just ended
            seconds[thread] = int(Path(f"{threads}/{thread}/schedstat").read_bytes().split()[1]) / 1e9
    return seconds


def waited_seconds(
    before: dict[int, float] | None, wall: float, cpu: float, without: Iterable[int] = (),
    only: int | None = None,
) -> float:  # fmt: skip
    """Seconds that threads waited for a core since `before`, which `run_queue_seconds` returned `wall`
    seconds and `cpu` CPU seconds ago: those of all threads but `without`, or of the one thread `only`. Where
    that is None, `wall` less `cpu` if the load is higher than the number of cores, else 0."""
    now = run_queue_seconds(without)
    if before is None or now is None:
        return max(0.0, wall - cpu) if os.getloadavg()[0] > (os.cpu_count() or 1) else 0.0
    threads = now if only is None else [only]
    return sum(max(0.0, now[thread] - before.get(thread, 0.0)) for thread in threads)


def stolen_seconds() -> float:
    """Steal time since boot, in seconds as the mean over cores: other virtual machines had them; or 0."""
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
    """A Sample of the wall, CPU and waited seconds of several Samples, or tasks of a map, each added up."""
    parts = [(one.wall, one.cpu, one.waited) for one in work]
    return Sample(*map(sum, zip(*parts, strict=True)))
