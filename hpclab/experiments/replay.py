"""What a run would have taken had each node a core of its own: the emulated makespan.

Four workers on two cores take turns, so each task's wall time is partly other tasks' work. Its CPU time is
not: that is what the task needs from a core. So the run is played again with CPU times in place of wall
times. What goes into it:

- each task's CPU seconds. Workers that take turns on a core also push each other's data out of its cache,
  which costs CPU time (a third more was seen with two on each core). Disturbance only ever adds, so of the
  task's CPU time in this run and, where known, that of the same work done alone the smaller is taken;
- the seconds in which the task waited for storage: what it marked, at most its wall less its CPU time;
- Dask's order of starting the tasks, each going to the node that is free first;
- the pause between two tasks of a node (the median of the run's own), and the stretches before the first
  task starts and after the last one ends, in which the pool sends work out and brings values home.

What it leaves out: nodes of a real cluster share a network and a file server, which one machine does not
have. As long as nodes are no more than cores, it should agree with the measured makespan; compare them.
"""

from __future__ import annotations

import heapq
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpclab import checks
from hpclab.cluster.maps.tasks import TaskRecord
from hpclab.timing import Sample, Stopwatch
from hpclab.trace import Trace

if TYPE_CHECKING:
    from hpclab.cluster.pool import Pool

CONDITION = "each node has a core of its own: per-process CPU time instead of wall time"


def makespan(durations: Sequence[float], nodes: int, pause: float = 0.0) -> float:
    """Seconds until tasks of these `durations`, started in this order, are done on `nodes` nodes.

    Each task goes to the node that is free first; between two tasks a node rests for `pause` seconds.
    """
    nodes = checks.integer("nodes", nodes, 1, 1_000_000)
    pause = checks.number("pause", pause, 0, 1e9, "s")
    durations = checks.numbers("task's duration", durations, 0, 1e9, "s")
    free = [-pause] * min(nodes, max(1, len(durations)))
    end = 0.0
    for duration in durations:
        finish = free[0] + pause + duration
        heapq.heapreplace(free, finish)
        end = max(end, finish)
    return end


@dataclass(frozen=True)
class TimedMap:
    """One map of a pool: from `begin` to `end` on the pool's clock; `sample` has the seconds of all tasks."""

    begin: float
    end: float
    sample: Sample


def timed_map(
    pool: Pool,
    task: Callable[[Any], Any],
    items: Sequence[Any],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Any], TimedMap]:
    """What ``pool.map(task, items)`` gives, and how long it took."""
    with Stopwatch() as watch:
        begin = time.monotonic()
        values = pool.map(task, items, progress=progress)
        end = time.monotonic()
    cpu, waited = (sum(getattr(one, name) for one in pool.tasks) for name in ("cpu", "waited"))
    return values, TimedMap(begin, end, Sample(end - begin, cpu, waited, watch.sample.stolen))


def own_cores(
    tasks: Sequence[TaskRecord],
    trace: Trace,
    nodes: int,
    begin: float,
    end: float,
    alone: Sequence[float] = (),
) -> float:
    """The emulated makespan, in seconds, of a map from `begin` to `end` (the pool's clock) on `nodes` nodes.

    `tasks` are the map's, `trace` holds what they marked as storage, `alone` the CPU seconds of each item's
    work done alone, where known. ValueError if there are no tasks.
    """
    if not tasks:
        raise ValueError("There is no task to play again: run a map first.")
    order = sorted(tasks, key=lambda task: (task.start, task.item))
    cpu = [min(task.cpu, alone[task.item]) if alone else task.cpu for task in order]
    durations = [own + _storage_wait(task, trace) for own, task in zip(cpu, order, strict=True)]
    before = max(0.0, order[0].start - begin)
    after = max(0.0, end - max(task.start + task.wall for task in tasks))
    return before + makespan(durations, nodes, pause(tasks)) + after


def pause(tasks: Sequence[TaskRecord]) -> float:
    """The median time, in seconds, between the end of a task and the start of the next one on its node."""
    gaps = []
    last: dict[int, float] = {}
    for task in sorted(tasks, key=lambda task: task.start):
        if task.rank in last:
            gaps.append(max(0.0, task.start - last[task.rank]))
        last[task.rank] = task.start + task.wall
    return statistics.median(gaps) if gaps else 0.0


def _storage_wait(task: TaskRecord, trace: Trace) -> float:
    marked = sum(
        event.duration
        for event in trace.events
        if event.kind in ("input", "checkpoint")
        and event.rank == task.rank
        and task.start - 1e-6 <= event.start <= task.start + task.wall
    )
    return min(marked, max(0.0, task.wall - task.cpu))
