"""The experiments of lesson 01: the same work on 1, 2, 3 ... threads or processes of this machine.

    strong = ThreadSweep(kernel, arguments, threads=(1, 2, 4)).measure()   # the same work on more threads
    weak = ThreadSweep(kernel, arguments, weak=True).measure()             # the work grows with them
    primes = ProcessSweep(task, items)                # processes, and emulated points beyond the cores
    results = primes.measure(pool)
    calibration = primes.fit(results)
    primes.predict(None, calibration)

The work comes from the notebook; only the timing is here.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpclab import checks
from hpclab.experiments import laws, replay
from hpclab.experiments.experiment import Progress, there_and_back
from hpclab.machine import Machine, allowance
from hpclab.results import Origin, Result, new_run_id
from hpclab.timing import Sample, Stopwatch

if TYPE_CHECKING:
    from hpclab.cluster.pool import Pool

NAME = "measure speedup"


@dataclass(frozen=True)
class ThreadSweep:
    """A Numba `kernel` at each of `threads` threads (all up to this machine's cores, or 8, where empty).

    It is called as ``kernel(*arguments(work))``; `work` is 1, or with `weak` the number of threads.
    """

    kernel: Callable[..., object]
    arguments: Callable[[int], tuple[object, ...]]
    threads: tuple[int, ...] = ()
    repeats: int = 5
    weak: bool = False

    def __post_init__(self) -> None:
        for name in ("kernel", "arguments"):
            checks.instance(name, getattr(self, name), Callable, "a function")
        every = tuple(range(1, min(8, allowance.cores().whole) + 1))
        threads = every if self.threads == () else self.threads
        object.__setattr__(self, "threads", _counts("threads", threads))
        checks.integer("repeats", self.repeats, 1, 1000)

    def measure(self, where: None = None, *, progress: Progress | None = None) -> list[Result]:
        """For each repeat a "makespan" (wall seconds) and a "cpu" (seconds of all threads).

        One call before, which compiles, is not counted. Repeats go round all thread counts, so that a
        neighbour on this machine slows every count and not one of them. ValueError for more threads than
        Numba may start.
        """
        import numba

        most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        if max(self.threads) > most:
            raise ValueError(
                f"Numba may start {most} threads here, not {max(self.threads)}: ask for at most {most}."
            )
        samples: list[tuple[int, int, Sample]] = []
        before, scaling = numba.get_num_threads(), "weak" if self.weak else "strong"
        made = {count: self.arguments(count if self.weak else 1) for count in self.threads}
        try:
            for repeat in range(-1, self.repeats):
                for count in self.threads:
                    numba.set_num_threads(count)
                    with Stopwatch() as watch:
                        self.kernel(*made[count])
                    if repeat >= 0:
                        samples.append((count, repeat, watch.sample))
                if progress is not None:
                    progress(f"{_name(self.kernel)}, {scaling}", repeat + 1, self.repeats)
        finally:
            numba.set_num_threads(before)
        runs = {count: new_run_id() for count in self.threads}
        more = {"numba": numba.__version__}
        return [
            Result(
                NAME, quantity, value, Origin.MEASURED, run=runs[count], repeat=repeat,
                environment=_environment(sample, more),
                parameters={"threads": count, "work": _name(self.kernel), "scaling": scaling},
            )
            for count, repeat, sample in samples
            for quantity, value in (("makespan", sample.wall), ("cpu", sample.cpu))
        ]  # fmt: skip

    def fit(self, results: Sequence[Result]) -> laws.Calibration:
        """Each law through the makespans, or why there is no curve; see `laws.fit`."""
        return laws.fit(results, "threads")

    def predict(self, machine: Machine | None, calibration: laws.Calibration) -> list[Result]:
        """The speedup that each law gives on 1 to 64 threads; see `laws.predict`."""
        return laws.predict(machine, calibration, "threads", NAME)


@dataclass(frozen=True)
class ProcessSweep:
    """``pool.map(task, items)`` on each of `processes` processes; one of them is 1, which comes first."""

    task: Callable[[Any], object]
    items: Sequence[object]
    processes: tuple[int, ...] = (1, 2, 3, 4)
    repeats: int = 3

    def __post_init__(self) -> None:
        checks.instance("task", self.task, Callable, "a function")
        checks.instance("items", self.items, Sequence, "a list")
        object.__setattr__(self, "processes", _counts("processes", self.processes))
        if self.processes[0] != 1:
            raise ValueError(f"processes must begin with 1, which a speedup is over, not {self.processes}.")
        checks.integer("repeats", self.repeats, 1, 100)

    def measure(self, where: Pool, *, progress: Progress | None = None) -> list[Result]:
        """Run the map on the pool `where`, after one on each number of processes that is not counted.

        For each repeat a measured "makespan" (seconds from the first item sent to the last value received),
        the "cpu" seconds of all tasks, and an emulated "makespan": the same tasks, order and pauses, with
        CPU time in place of wall time, as if each process had a core of its own. Repeats go up through the
        numbers of processes and down again.
        """
        results: list[Result] = []
        alone: dict[int, float] = {}
        runs, now = {count: new_run_id() for count in self.processes}, 0
        for done, (count, repeat) in enumerate(there_and_back(self.processes, self.repeats), start=1):
            if count != now:
                where.scale(now := count)
                where.map(self.task, list(self.items)[:count])  # imports and first calls happen here
            _, run = replay.timed_map(where, self.task, self.items)
            if count == 1:  # one process shares its core with no other: what an item costs alone
                spent = {record.item: record.cpu for record in where.tasks}
                alone = {item: min(cpu, alone.get(item, cpu)) for item, cpu in spent.items()}
            assert where.trace is not None  # there is one after a map
            own = replay.own_cores(
                where.tasks, where.trace, count, run.begin, run.end, [alone[item] for item in sorted(alone)]
            )
            for quantity, value, origin in (
                ("makespan", run.sample.wall, Origin.MEASURED),
                ("cpu", run.sample.cpu, Origin.MEASURED),
                ("makespan", own, Origin.EMULATED),
            ):
                results.append(
                    Result(
                        NAME, quantity, value, origin, run=runs[count], repeat=repeat,
                        condition=replay.CONDITION if origin is Origin.EMULATED else "",
                        environment=_environment(run.sample, {"nodes": where.label}),
                        parameters={"processes": count, "work": _name(self.task), "scaling": "strong"},
                    )
                )  # fmt: skip
            if progress is not None:
                progress(f"{count} processes", done, self.repeats * len(self.processes))
        return results

    def fit(self, results: Sequence[Result]) -> laws.Calibration:
        """Each law through the makespans, or why there is no curve; see `laws.fit`."""
        return laws.fit(results, "processes")

    def predict(self, machine: Machine | None, calibration: laws.Calibration) -> list[Result]:
        """The speedup that each law gives on 1 to 64 processes; see `laws.predict`."""
        return laws.predict(machine, calibration, "processes", NAME)


def _counts(name: str, counts: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(counts, tuple | list | range) or not counts:
        raise ValueError(f"{name} must be a list of whole numbers, such as (1, 2, 4), not {counts!r:.60}.")
    return tuple(sorted({checks.integer(name, count, 1, 4096) for count in counts}))


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _environment(sample: Sample, more: dict[str, str]) -> dict[str, object]:
    return {"cores": allowance.cores().whole, "python": platform.python_version(), **more, **sample.facts()}
