"""The experiment of lesson 01: the same work on 1, 2, 3 ... threads or processes of this machine.

    sweep = ThreadSweep(threads=(1, 2, 4))
    results = sweep.measure(kernel, arguments)           # strong scaling: the same work on more threads
    results += sweep.measure(kernel, arguments, weak=True)     # weak scaling: the work grows with them
    results += ProcessSweep().measure(pool, task)        # processes, and emulated points beyond the cores
    fits = fit(results, "threads")

The work comes from the notebook; only the timing is here.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpclab import checks
from hpclab.experiments import replay
from hpclab.machine import allowance
from hpclab.models.scaling import USL, Amdahl, Fit, Gustafson, Law, NoCurve, fit_times
from hpclab.results import Origin, Result, new_run_id
from hpclab.timing import Sample, Stopwatch

if TYPE_CHECKING:
    from hpclab.cluster.pool import Pool

NAME = "measure speedup"
Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``."""


@dataclass(frozen=True)
class ThreadSweep:
    """A Numba kernel at each of `threads` threads (all up to this machine's cores, or 8, where empty)."""

    threads: tuple[int, ...] = ()
    repeats: int = 5

    def __post_init__(self) -> None:
        every = tuple(range(1, min(8, allowance.cores().whole) + 1))
        threads = every if self.threads == () else self.threads
        object.__setattr__(self, "threads", _counts("threads", threads))
        checks.integer("repeats", self.repeats, 1, 1000)

    def measure(
        self,
        kernel: Callable[..., object],
        arguments: Callable[[int], tuple],
        *,
        weak: bool = False,
        progress: Progress | None = None,
    ) -> list[Result]:
        """Time ``kernel(*arguments(work))``; `work` is 1, or with `weak` the number of threads.

        For each repeat a "makespan" (wall seconds) and a "cpu" (seconds of all threads). One call before,
        which compiles, is not counted. Repeats go round all thread counts, so that a neighbour on this
        machine slows every count and not one of them. ValueError for more threads than Numba may start.
        """
        for name, function in (("kernel", kernel), ("arguments", arguments)):
            checks.instance(name, function, Callable, "a function")
        import numba

        most = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
        if max(self.threads) > most:
            raise ValueError(
                f"Numba may start {most} threads here, not {max(self.threads)}: ask for at most {most}."
            )
        samples: list[tuple[int, int, Sample]] = []
        before, scaling = numba.get_num_threads(), "weak" if weak else "strong"
        made = {count: arguments(count if weak else 1) for count in self.threads}
        try:
            for count in self.threads:
                numba.set_num_threads(count)
                kernel(*made[count])
            for repeat in range(self.repeats):
                for count in self.threads:
                    numba.set_num_threads(count)
                    with Stopwatch() as watch:
                        kernel(*made[count])
                    samples.append((count, repeat, watch.sample))
                if progress is not None:
                    progress(f"{_name(kernel)}, {scaling}", repeat + 1, self.repeats)
        finally:
            numba.set_num_threads(before)
        runs = {count: new_run_id() for count in self.threads}
        environment = _environment({"numba": numba.__version__})
        return [
            Result(
                NAME, quantity, value, Origin.MEASURED, run=runs[count], repeat=repeat,
                environment=environment,
                parameters={"threads": count, "work": _name(kernel), "scaling": scaling},
            )
            for count, repeat, sample in samples
            for quantity, value in (("makespan", sample.wall), ("cpu", sample.cpu))
        ]  # fmt: skip


@dataclass(frozen=True)
class ProcessSweep:
    """A list of tasks on each of `processes` processes of a pool; one of them is 1, which comes first."""

    processes: tuple[int, ...] = (1, 2, 3, 4)
    repeats: int = 3

    def __post_init__(self) -> None:
        object.__setattr__(self, "processes", _counts("processes", self.processes))
        if self.processes[0] != 1:
            raise ValueError(f"processes must begin with 1, which a speedup is over, not {self.processes}.")
        checks.integer("repeats", self.repeats, 1, 100)

    def measure(
        self,
        pool: Pool,
        task: Callable[[object], object],
        items: Sequence[object],
        *,
        progress: Progress | None = None,
    ) -> list[Result]:
        """``pool.map(task, items)`` on each number of processes, after one that is not counted.

        For each repeat a measured "makespan" (seconds from the first item sent to the last value received),
        the "cpu" seconds of all tasks, and an emulated "makespan": the same tasks, order and pauses, with
        CPU time in place of wall time, as if each process had a core of its own.
        """
        results: list[Result] = []
        alone: dict[int, float] = {}
        for count in self.processes:
            pool.scale(count)
            pool.map(task, list(items)[:count])  # imports and first calls happen here
            run = new_run_id()
            environment = _environment({"nodes": pool.label})
            for repeat in range(self.repeats):
                begin = time.monotonic()  # the pool's clock
                pool.map(task, items)
                end = time.monotonic()
                spent = {record.item: record.cpu for record in pool.tasks}
                if count == 1:  # one process shares its core with no other: what an item costs alone
                    alone = {item: min(cpu, alone.get(item, cpu)) for item, cpu in spent.items()}
                assert pool.trace is not None
                costs = [alone[item] for item in sorted(alone)]
                own = replay.own_cores(pool.tasks, pool.trace, count, begin, end, costs)
                for quantity, value, origin in (
                    ("makespan", end - begin, Origin.MEASURED),
                    ("cpu", sum(spent.values()), Origin.MEASURED),
                    ("makespan", own, Origin.EMULATED),
                ):
                    condition = replay.CONDITION if origin is Origin.EMULATED else ""
                    results.append(
                        Result(
                            NAME, quantity, value, origin, run=run, repeat=repeat, condition=condition,
                            environment=environment,
                            parameters={"processes": count, "work": _name(task), "scaling": "strong"},
                        )
                    )  # fmt: skip
                if progress is not None:
                    progress(f"{count} processes", repeat + 1, self.repeats)
        return results


def fit(results: Sequence[Result], along: str) -> dict[str, Fit | NoCurve]:
    """Each law by name, fitted to makespans `along` "threads" or "processes", or why there is no curve.

    Amdahl and USL take strong scaling, Gustafson weak scaling. Measured points beyond this machine's cores
    say nothing about the work, so they are left out; where those that remain identify no law, the emulated
    ones are used.
    """
    fits: dict[str, Fit | NoCurve] = {}
    results = checks.instances("results", results, Result)
    for law, scaling, work in (
        (Amdahl, "strong", "a fixed amount of work"),
        (Gustafson, "weak", "work that grows"),
        (USL, "strong", "a fixed amount of work"),
    ):
        chosen = [result for result in results if result.parameters.get("scaling") == scaling]
        none = f"{law.name}: no curve, for it is about {work} ({scaling} scaling); none was measured."
        fits[law.name] = fit_law(law, chosen, along) if chosen else NoCurve(none)
    return fits


def fit_law(law: type[Law], results: Sequence[Result], along: str) -> Fit | NoCurve:
    """One law through the makespans measured on no more than the cores there were, where they share them;
    through the emulated ones where those identify no law."""
    results = checks.instances("results", results, Result)
    along = checks.instance("along", along, str, "the name of a parameter, such as threads")
    emulated = [result for result in results if result.origin is Origin.EMULATED]
    measured = [
        result for result in results if result.origin is not Origin.EMULATED
        and (not result.environment.get("shared", True)
             or result.parameters.get(along, 0) <= result.environment.get("cores", 1e9))
    ]  # fmt: skip
    found = fit_times(law, measured, along, weak=law is Gustafson)
    return fit_times(law, emulated, along) if isinstance(found, NoCurve) and emulated else found


def _counts(name: str, counts: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(counts, tuple | list | range) or not counts:
        raise ValueError(f"{name} must be a list of whole numbers, such as (1, 2, 4), not {counts!r:.60}.")
    return tuple(sorted({checks.integer(name, count, 1, 4096) for count in counts}))


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _environment(more: dict[str, str]) -> dict[str, object]:
    return {"cores": allowance.cores().whole, "python": platform.python_version(), **more}
