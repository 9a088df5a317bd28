"""What a run would have taken had each node a core of its own: the emulated makespan.

The run is played again with, for each task, its CPU seconds (the smaller of this run's and of the same work
done alone: workers that share a core also push each other's data out of its cache, which was seen to add a
third) and the seconds that it waited for storage; in its order, each task on the node that is free first,
with its own pauses. Left out is what nodes of a real cluster share, unless it read through an emulated store.
"""

import heapq
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from hpclab.cluster.maps.tasks import TaskRecord
from hpclab.cluster.pool import Pool
from hpclab.models.storage import Store
from hpclab.timing import Sample, Stopwatch
from hpclab.trace import Trace

CONDITION = "each node has a core of its own: per-process CPU time instead of wall time"


def timed_map(
    pool: Pool, task: Callable[[Any], Any], items: Sequence[Any],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[Any], Trace, Sample]:  # fmt: skip
    """Run ``pool.map(task, items)``; return its values, its Trace, and a Sample of its wall seconds and the
    CPU and waiting seconds of all tasks."""
    with Stopwatch() as watch:
        begin = time.monotonic()
        values = pool.map(task, items, progress=progress)
        end = time.monotonic()
    assert pool.trace is not None  # there is one after a map
    first = min((task.start for task in pool.tasks), default=end)
    own = [  # without how nodes came that were there before the first task
        event for event in pool.trace.events if event.kind not in ("queue", "start") or event.end > first
    ]
    cpu, waited = (sum(getattr(one, name) for one in pool.tasks) for name in ("cpu", "waited"))
    sample = Sample(end - begin, cpu, waited, watch.sample.stolen)
    return values, Trace(tuple(own), pool.trace.ranks, begin, end), sample


def own_cores(
    tasks: Sequence[TaskRecord], trace: Trace, alone: Sequence[float] = (), store: Store | None = None
) -> float:
    """The emulated makespan, in seconds, of the map whose `trace` `timed_map` gave; `tasks` are the pool's.
    `alone` are the CPU seconds of each item's work done alone, where known. With a `store`, tasks read
    through its emulated servers, and these are played again too. ValueError if there are no tasks."""
    if not tasks:
        raise ValueError("There is no task to play again: run a map first.")
    order = sorted(tasks, key=lambda task: (task.start, task.item))
    marked = [_input(task, trace) for task in order]
    seconds, gaps, last = list[float](), list[float](), dict[int, float]()  # when a node's last task ended
    for task, (waited, _) in zip(order, marked, strict=True):
        cpu = min(task.cpu, alone[task.item]) if alone else task.cpu
        seconds.append(cpu + (min(waited, max(0.0, task.wall - task.cpu)) if store is None else 0.0))
        if task.rank in last:
            gaps.append(max(0.0, task.start - last[task.rank]))
        last[task.rank] = task.start + task.wall
    before, after = max(0.0, order[0].start - trace.start), max(0.0, trace.end - max(last.values()))
    pause = statistics.median(gaps or [0.0])
    return before + makespan(seconds, trace.ranks, pause, store, [size for _, size in marked]) + after


def makespan(
    durations: Sequence[float], nodes: int, pause: float = 0.0, store: Store | None = None,
    sizes: Sequence[int] = (),
) -> float:  # fmt: skip
    """Seconds until tasks of these `durations`, started in this order, are done on `nodes` nodes that rest
    for `pause` seconds between two. With a `store` a task first reads its `sizes` bytes, in equal parts from
    all servers, each of which serves one after the other."""
    free, servers = [-pause] * nodes, store.servers if store else ()
    served = [0.0] * len(servers)
    for number, duration in enumerate(durations):
        begin = free[0] + pause
        for place, server in enumerate(servers):
            part = sizes[number] / len(servers)
            served[place] = max(served[place], begin) + part / server.bandwidth
        heapq.heapreplace(free, max([begin, *served]) + duration)
    return max(0.0, *free)


def _input(task: TaskRecord, trace: Trace) -> tuple[float, int]:
    """The seconds and the bytes of the events of `trace` that the task has recorded as storage."""
    marked = [
        event for event in trace.events
        if event.kind in ("input", "checkpoint") and event.rank == task.rank
        and task.start - 1e-6 <= event.start <= task.start + task.wall
    ]  # fmt: skip
    return sum(event.duration for event in marked), sum(event.bytes for event in marked)
