"""`Pool.map` from the pool's side: nodes watched and replaced while the tasks run, and the record of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from hpclab.cluster.errors import PoolError
from hpclab.cluster.maps import tasks, timeline
from hpclab.cluster.maps.mapping import Mapping
from hpclab.cluster.maps.tasks import TaskRecord
from hpclab.cluster.nodes import Nodes
from hpclab.cluster.repairs import Repairs, calm
from hpclab.trace import Trace

REPAIR_EVERY = 0.3


def map_items(
    nodes: Nodes,
    task: Callable[[Any], Any],
    items: Sequence[Any],
    progress: Callable[[int, int], None] | None,
    look: Callable[[], None],
) -> tuple[list[Any], list[TaskRecord], Trace]:
    """The values in the order of `items`, a record per task, and the trace of the last scale and this map."""
    if not nodes.names:
        raise PoolError("The pool has no nodes: call pool.scale(n) first.")
    assert nodes.client is not None
    repairs = Repairs(nodes)
    repairs.look()
    begin = repaired = time.monotonic()

    def watch() -> None:
        nonlocal repaired
        look()
        if time.monotonic() - repaired > REPAIR_EVERY:
            repairs.look()
            repaired = time.monotonic()

    mapping = Mapping(nodes.client, task, items, nodes.backend.directory)
    try:
        outcomes = mapping.collect(watch, progress)
    except BaseException:
        with suppress(Exception):  # whatever goes wrong here, what happened first is what is raised
            mapping.abandon()
            calm(nodes)
        raise
    end = time.monotonic()
    with suppress(PoolError):  # nodes that are lost by now are the next call's trouble
        repairs.look()
    values = [tasks.unpack(outcome.value) for outcome in outcomes]
    records, marks = [], []
    for item, outcome in enumerate(outcomes):
        rank, offset = nodes.rank_of(outcome.worker), nodes.offset_of(outcome.worker)
        records.append(
            TaskRecord(item, rank, outcome.start + offset, outcome.wall, outcome.cpu, len(outcome.value))
        )
        marks.append((rank, outcome.marks, offset))
    records.sort(key=lambda record: record.start)
    newcomers = [worker for worker in nodes.workers() if worker.name in repairs.newcomers]
    trace = timeline.map_trace(records, marks, newcomers, len(nodes.names), begin, end)
    if nodes.scale_trace is not None:
        trace = timeline.joined(nodes.scale_trace, trace)
    return values, records, trace
