"""Time a piece of work so that the figure can be trusted: warm-up, repeats, wall and CPU time.

Wall time is what the learner waits for; CPU time is what the cores did. A single-threaded task whose CPU
time is below its wall time was waiting, and one whose CPU time is above it used more than one core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hpclab import checks


@dataclass(frozen=True, slots=True)
class Sample:
    """One timed call: `wall` and `cpu` (all threads of this process) in seconds."""

    wall: float
    cpu: float


class Stopwatch:
    """``with Stopwatch() as watch: ...`` then ``watch.sample``; clocks are monotonic."""

    sample: Sample

    def __enter__(self) -> Stopwatch:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.sample = Sample(time.monotonic() - self._wall, time.process_time() - self._cpu)


def repeat(work: Callable[[], object], repeats: int = 5, warmup: int = 1) -> list[Sample]:
    """Time `repeats` calls of `work()` after `warmup` calls that are not counted.

    The first call pays for compilation, caches and imports that later ones do not; leaving it in is the
    commonest way to measure something else. Every sample is returned: the spread is part of the answer.
    """
    checks.instance("work", work, Callable, "a function")
    repeats = checks.integer("repeats", repeats, 1, 10_000)
    for _ in range(checks.integer("warmup", warmup, 0, 10_000)):
        work()
    samples = []
    for _ in range(repeats):
        with Stopwatch() as watch:
            work()
        samples.append(watch.sample)
    return samples


def device_seconds(work: Callable[[], object], repeats: int = 5, warmup: int = 1) -> list[float]:
    """Seconds between two events on the current accelerator around each call of `work()`.

    A kernel launch returns before the kernel ends, so a wall clock around it measures the launch. Raises
    RuntimeError where there is no accelerator.
    """
    repeats = checks.integer("repeats", repeats, 1, 10_000)
    warmup = checks.integer("warmup", warmup, 0, 10_000)
    import torch

    if not torch.accelerator.is_available():
        raise RuntimeError("This machine has no accelerator to time; use repeat() for work on its cores.")
    repeat(work, 1, max(0, warmup - 1))
    seconds = []
    for _ in range(repeats):
        begin, end = torch.Event(enable_timing=True), torch.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        torch.accelerator.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    return seconds


def median(samples: Sequence[Sample]) -> Sample:
    """The median wall and the median CPU time of several samples."""
    if not checks.instances("samples", samples, Sample):
        raise ValueError("A median needs at least one sample.")
    return Sample(statistics.median(s.wall for s in samples), statistics.median(s.cpu for s in samples))
