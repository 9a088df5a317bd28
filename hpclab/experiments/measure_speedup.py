"""The experiments of lesson 01: the same work on 1, 2, 3 ... threads or processes of this machine.

    strong = ThreadSweep(kernel, arguments, threads=(1, 2, 4)).measure()   # the same work on more threads
    weak = ThreadSweep(kernel, arguments, weak=True).measure()             # the work grows with them
    primes = ProcessSweep(task, items)                # processes, and emulated points beyond the cores
    results = primes.measure(pool)
    calibration = primes.fit(results)
    primes.predict(None, calibration)

The work comes from the notebook; only the timing is here.
"""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from hpclab import checks
from hpclab.cluster.pool import Pool
from hpclab.experiments import laws, replay
from hpclab.experiments.experiment import Progress, counts, there_and_back
from hpclab.machine import Machine, allowance
from hpclab.results import Origin, Result, new_run_id, select
from hpclab.timing import Sample, Stopwatch

NAME = "measure speedup"


class _Sweep:
    along: ClassVar[str]
    weak = False

    def fit(self, results: Sequence[Result]) -> laws.Calibration:
        """Each law through the makespans, or why there is no curve; see `laws.fit`."""
        return laws.fit(results, self.along)

    def predict(self, machine: Machine | None, calibration: laws.Calibration) -> list[Result]:
        """The speedup that each law gives on 1 to 64 threads or processes; see `laws.predict`."""
        return laws.predict(machine, calibration, self.along, NAME)

    def _found(self, work: Any, count: int, sample: Sample, where: Any, **at: Any) -> list[Result]:
        """The measured "makespan" and "cpu" of one repeat."""
        here = {"cores": allowance.cores().whole, "python": platform.python_version()}
        scaling = "weak" if self.weak else "strong"
        return [
            Result(
                NAME, quantity, value, Origin.MEASURED, environment={**here, **where, **sample.facts()},
                parameters={self.along: count, "work": _name(work), "scaling": scaling}, **at,
            )
            for quantity, value in (("makespan", sample.wall), ("cpu", sample.cpu))
        ]  # fmt: skip


@dataclass(frozen=True)
class ThreadSweep(_Sweep):
    """A Numba `kernel` at each of `threads` threads (all up to this machine's cores, or 8, where empty).

    It is called as ``kernel(*arguments(work))``; `work` is 1, or with `weak` the number of threads.
    """

    kernel: Callable[..., object]
    arguments: Callable[[int], tuple[object, ...]]
    threads: tuple[int, ...] = ()
    repeats: int = 5
    weak: bool = False
    along: ClassVar[str] = "threads"

    def __post_init__(self) -> None:
        for name in ("kernel", "arguments"):
            checks.instance(name, getattr(self, name), Callable, "a function")
        every = tuple(range(1, min(8, allowance.cores().whole) + 1))
        threads = every if self.threads == () else self.threads
        object.__setattr__(self, "threads", counts("threads", threads))
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
        results, versions = list[Result](), {"numba": numba.__version__}
        scaling = "weak" if self.weak else "strong"
        made = {count: self.arguments(count if self.weak else 1) for count in self.threads}
        runs, before = {count: new_run_id() for count in self.threads}, numba.get_num_threads()
        try:
            for repeat in range(-1, self.repeats):
                for count in self.threads:
                    numba.set_num_threads(count)
                    with Stopwatch() as watch:
                        self.kernel(*made[count])
                    if repeat >= 0:
                        at = {"run": runs[count], "repeat": repeat}
                        results += self._found(self.kernel, count, watch.sample, versions, **at)
                if progress is not None:
                    progress(f"{_name(self.kernel)}, {scaling}", repeat + 1, self.repeats)
        finally:
            numba.set_num_threads(before)
        return results


@dataclass(frozen=True)
class ProcessSweep(_Sweep):
    """``pool.map(task, items)`` on each of `processes` processes; a speedup needs 1 among them."""

    task: Callable[[Any], object]
    items: Sequence[object]
    processes: tuple[int, ...] = (1, 2, 3, 4)
    repeats: int = 3
    along: ClassVar[str] = "processes"

    def __post_init__(self) -> None:
        checks.instance("task", self.task, Callable, "a function")
        checks.instance("items", self.items, Sequence, "a list")
        object.__setattr__(self, "processes", counts("processes", self.processes))
        checks.integer("repeats", self.repeats, 1, 100)

    def mine(self, results: Sequence[Result]) -> list[Result]:
        """Those of `results` that are of this task."""
        return select(results, None, work=_name(self.task))

    def measure(
        self,
        where: Pool,
        *,
        progress: Progress | None = None,
        found: Callable[[list[Result]], object] = bool,  # nothing
    ) -> list[Result]:
        """Run the map on the pool `where`, after one on each number of processes that is not counted;
        ``found(results)`` is called after each repeat.

        For each repeat a measured "makespan" (seconds from the first item sent to the last value received),
        the "cpu" seconds of all tasks, and an emulated "makespan": the same tasks, order and pauses, with
        CPU time in place of wall time, as if each process had a core of its own. Repeats go up through the
        numbers of processes and down again.
        """
        results, alone = list[Result](), dict[int, float]()
        runs, now = {count: new_run_id() for count in self.processes}, 0
        report: Progress = progress or (lambda stage, done, total: None)
        for count, repeat in there_and_back(self.processes, self.repeats):
            named = "1 process" if count == 1 else f"{count} processes"
            if count != now:
                where.scale(now := count, partial(report, f"starting {named}"))
                where.map(self.task, list(self.items)[:count])  # imports and first calls happen here
            _, trace, sample = replay.timed_map(where, self.task, self.items, partial(report, named))
            if count == 1:  # one process shares its core with no other: what an item costs alone
                spent = {record.item: record.cpu for record in where.tasks}
                alone = {item: min(cpu, alone.get(item, cpu)) for item, cpu in spent.items()}
            at = {"run": runs[count], "repeat": repeat}
            point = self._found(self.task, count, sample, {"nodes": where.label}, **at)
            own = replay.own_cores(where.tasks, trace, [alone[item] for item in sorted(alone)])
            emulated = replace(point[0], value=own, origin=Origin.EMULATED, condition=replay.CONDITION)
            results += [*point, emulated]
            found([*point, emulated])
        return results


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", type(function).__name__)
