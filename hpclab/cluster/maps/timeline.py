"""A Trace from what was noted while nodes joined and tasks ran: where every rank-second went.

A node that has joined early is idle until the last one has; one whose last task has ended, until the map is
over. Between tasks Dask chooses and sends the next one, which shows as unexplained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hpclab.trace import Event, Trace

if TYPE_CHECKING:
    from hpclab.cluster.maps.tasks import TaskRecord
    from hpclab.cluster.roster import Worker


def scale_trace(workers: Sequence[Worker], begin: float, end: float) -> Trace:
    """Queue wait, start and idle of each worker while the pool was scaled, from `begin` to `end`."""
    events = []
    for worker in workers:
        events += _arrival(worker, begin)
        joined = min(max(worker.joined, begin), end)
        events.append(Event(worker.rank, "idle", joined, end - joined))
    return Trace(tuple(events), len(workers), begin, end)


def _arrival(worker: Worker, begin: float) -> list[Event]:
    """How a worker came: in the queue, then starting; nothing if it had joined before `begin`."""
    if worker.joined <= begin:
        return []
    started = min(max(worker.started, worker.submitted), worker.joined)
    return [
        Event(worker.rank, "queue", worker.submitted, started - worker.submitted, label=worker.job_id),
        Event(worker.rank, "start", started, worker.joined - started, label=worker.name),
    ]


def map_trace(
    tasks: Sequence[TaskRecord], marks: Sequence[Event], workers: Sequence[Worker], ranks: int,
    begin: float, end: float,
) -> Trace:  # fmt: skip
    """The tasks of a map on `ranks` ranks, what they marked, and how workers came meanwhile."""
    events = [Event(task.rank, "compute", task.start, task.wall, label=str(task.item)) for task in tasks]
    events += [*marks, *(event for worker in workers for event in _arrival(worker, begin))]
    last = dict.fromkeys(range(ranks), begin)
    for task in tasks:
        last[task.rank] = max(last.get(task.rank, begin), task.start + task.wall)
    finish = max(last.values(), default=begin)
    for rank, ended in last.items():
        events.append(Event(rank, "idle", ended, max(0.0, finish - ended)))
        # The last values are on their way to the notebook; every rank waits for that.
        events.append(Event(rank, "send" if ended == finish else "idle", finish, max(0.0, end - finish)))
    return Trace(tuple(events), ranks, begin, end)


def joined(first: Trace, second: Trace) -> Trace:
    """`first` and right after it `second`, on the second's clock: what the learner did between is cut out."""
    shift = second.start - first.end
    moved = [replace(event, start=event.start + shift) for event in first.events]
    ranks = max(first.ranks, second.ranks)
    return Trace((*moved, *second.events), ranks, first.start + shift, second.end)
