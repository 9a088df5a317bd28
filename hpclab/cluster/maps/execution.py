"""`Pool.map` from the pool's side: nodes watched and replaced while the tasks run, and the record of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hpclab.cluster import clocks
from hpclab.cluster.errors import PoolError
from hpclab.cluster.maps import tasks, timeline
from hpclab.cluster.maps.mapping import Mapping
from hpclab.cluster.maps.tasks import TaskRecord
from hpclab.cluster.nodes import Nodes
from hpclab.cluster.repairs import Repairs, calm
from hpclab.trace import Trace


def map_items(
    nodes: Nodes,
    task: Callable[[Any], Any],
    items: Sequence[Any],
    progress: Callable[[int, int], None] | None,
    look: Callable[[], None],
) -> tuple[list[Any], list[TaskRecord], Trace]:
    """The values in the order of `items`, a record per task, and the trace of the last scale and this map."""
    roster = nodes.roster
    if not roster.names:
        raise PoolError("The pool has no nodes: call pool.scale(n) first.")
    repairs = Repairs(nodes, look)
    repairs.attend()
    clocks.compare(roster, nodes.loop, look)
    begin = time.monotonic()
    mapping = Mapping(nodes.loop, task, items, nodes.backend.directory)

    def watch() -> None:
        repairs.look()
        mapping.note_losses(repairs.take_losses())

    try:
        outcomes = mapping.collect(watch, progress)
    except BaseException:
        with suppress(Exception):  # whatever goes wrong here, what happened first is what is raised
            mapping.abandon()
            calm(nodes)
        raise
    end = time.monotonic()
    with suppress(PoolError):  # nodes that are lost by now are the next call's trouble
        repairs.attend()
    clocks.compare(roster, nodes.loop, look)
    values = [tasks.unpack(outcome.value) for outcome in outcomes]
    records, marks = [], []
    for item, outcome in enumerate(outcomes):
        rank, offset = roster.rank_of(outcome.worker), roster.offset_of(outcome.worker)
        times = outcome.wall, outcome.cpu, len(outcome.value), outcome.waited
        records.append(TaskRecord(item, rank, outcome.start + offset, *times))
        marks.append((rank, outcome.marks, offset))
    records.sort(key=lambda record: record.start)
    newcomers = [worker for worker in roster.workers() if worker.joined > begin]
    trace = timeline.map_trace(records, marks, newcomers, len(roster.names), begin, end)
    if nodes.scale_trace is not None:
        trace = timeline.joined(nodes.scale_trace, trace)
    return values, records, trace
