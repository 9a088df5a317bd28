"""The experiments of lesson 01: the same work on 1, 2, 3 ... threads or processes of this machine."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from hpclab import checks
from hpclab.cluster.pool import Pool
from hpclab.experiments import laws, replay
from hpclab.experiments.experiment import Experiment, Points, Progress, counts, environment
from hpclab.machine import allowance
from hpclab.results import Origin, Result, Results, new_run_id
from hpclab.timing import Sample, Stopwatch


def _threads(name: str, given: object) -> tuple[int, ...]:
    """Check numbers of threads as `counts` does; for () those up to this machine's cores, at most 8."""
    return counts(name, range(1, min(8, allowance.cores().whole) + 1) if given == () else given)


class _Sweep(Experiment):
    """What both sweeps share: a count `along` which they go, how they name their work, and their fit."""

    NAME = "measure speedup"
    along: ClassVar[str]
    weak = False

    def fit(self, results: Sequence[Result]) -> laws.Calibration:
        """Each law through the makespans, or why there is no curve; see `laws.fit`."""
        return laws.fit(results, self.along)

    def settings(self) -> dict[str, Any]:
        work = getattr(self, "kernel", None) or getattr(self, "task", None)
        scaling = "weak" if self.weak else "strong"
        return {"work": getattr(work, "__name__", type(work).__name__), "scaling": scaling}

    def _measured(self, count: int, sample: Sample, where: dict[str, Any], **of: Any) -> Results:
        """The measured "makespan" and "cpu" of a repeat with `count` threads or processes, timed as `sample`.
        `where` are more of its environment, `of` other fields of a Result, such as run and repeat."""
        of["environment"] = environment(sample, python=platform.python_version(), **where)
        return self.make_results({"makespan": sample.wall, "cpu": sample.cpu}, {self.along: count}, **of)


@dataclass(frozen=True)
class ThreadSweep(_Sweep):
    """Calls of a Numba `kernel`, timed at each number of `threads` (where empty, 1 to the cores, at most 8).

    It is called as ``kernel(*arguments(work))``; `work` is 1, or with `weak` the number of threads.
    """

    kernel: Callable[..., object] = checks.field(checks.instance, of=Callable, called="a function")
    arguments: Callable[[int], tuple[object, ...]] = checks.field(
        checks.instance, of=Callable, called="a function"
    )
    threads: tuple[int, ...] = checks.field(_threads, ())
    repeats: int = checks.field(checks.integer, 5, low=1, high=1000)
    weak: bool = False
    along: ClassVar[str] = "threads"

    def points(self, where: None, report: Progress) -> Points:
        """Yield for each repeat a "makespan" (wall seconds) and a "cpu" (seconds of all threads), after a
        call that compiles. Repeats go round all thread counts, so that a neighbour slows every count and not
        one of them. ValueError for more threads than Numba may start."""
        import numba

        most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        if max(self.threads) > most:
            raise ValueError(
                f"Numba may start {most} threads here, not {max(self.threads)}: ask for at most {most}."
            )
        stage = "{work}, {scaling}".format(**self.settings())
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
                        yield self._measured(count, watch.sample, {"numba": numba.__version__}, **at)
                report(stage, repeat + 1, self.repeats)
        finally:
            numba.set_num_threads(before)


@dataclass(frozen=True)
class ProcessSweep(_Sweep):
    """``pool.map(task, items)``, timed at each number of `processes`; a speedup needs 1 among them."""

    task: Callable[[Any], object] = checks.field(checks.instance, of=Callable, called="a function")
    items: Sequence[object] = checks.field(checks.instance, of=Sequence, called="a list")
    processes: tuple[int, ...] = checks.field(counts, (1, 2, 3, 4))
    repeats: int = checks.field(checks.integer, 3, low=1, high=100)
    along: ClassVar[str] = "processes"
    on_pool: ClassVar[bool] = True

    def points(self, where: Pool, report: Progress) -> Points:
        """Yield, after an uncounted map on each number of processes, for each repeat a measured "makespan"
        (seconds from the first item sent to the last value received), the "cpu" seconds of all tasks, and an
        emulated "makespan": the same tasks, order and pauses, with CPU time in place of wall time, as if each
        process had a core of its own. Repeats go up through the numbers of processes and down again.
        """
        alone, now = dict[int, float](), 0
        runs = {count: new_run_id() for count in self.processes}
        for count, repeat in self.turns(self.processes):
            named = "1 process" if count == 1 else f"{count} processes"
            if count != now:
                where.scale(now := count, partial(report, f"starting {named}"))
                where.map(self.task, list(self.items)[:count])  # imports and first calls happen here
            _, trace, sample = replay.timed_map(where, self.task, self.items, partial(report, named))
            if count == 1:  # one process shares its core with no other: what an item costs alone
                spent = {record.item: record.cpu for record in where.tasks}
                alone = {item: min(cpu, alone.get(item, cpu)) for item, cpu in spent.items()}
            at = {"run": runs[count], "repeat": repeat}
            point = self._measured(count, sample, {"nodes": where.label}, **at)
            own = replay.own_cores(where.tasks, trace, [alone[item] for item in sorted(alone)])
            emulated = replace(point[0], value=own, origin=Origin.EMULATED, condition=replay.CONDITION)
            yield [*point, emulated]
