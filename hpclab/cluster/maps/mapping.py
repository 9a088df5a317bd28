"""`Pool.map`: sends its tasks to Dask, replaces nodes that are lost, fetches values as they come, and records
the tasks and a trace."""

from __future__ import annotations

import reprlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent import futures
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, cast

from distributed import KilledWorker, as_completed

from hpclab.cluster import watch
from hpclab.cluster.errors import NodeKilled, PoolError
from hpclab.cluster.maps import tasks
from hpclab.cluster.maps.tasks import TaskRecord
from hpclab.cluster.nodes import Nodes
from hpclab.cluster.repairs import Repairs, stop_running_tasks
from hpclab.cluster.watch import Progress
from hpclab.trace import Trace, events_of

if TYPE_CHECKING:
    from distributed import Future

FETCH_EVERY = 0.5  # seconds; fetching each value by itself would take longer than many a task
DEATHS = 4  # nodes that an item may end before it is not tried again
_short = reprlib.Repr()
_short.maxother = _short.maxstring = 60


def map_items(
    nodes: Nodes, task: Callable[[Any], Any], items: Sequence[Any], progress: Progress | None
) -> tuple[list[Any], list[TaskRecord], Trace]:
    """Run `task` on each item; return the values in order, a record per task, the Trace of scale and map."""
    roster = nodes.roster
    if not roster.names:
        raise PoolError("The pool has no nodes: call pool.scale(n) first.")
    repairs = Repairs(nodes)
    repairs.repair()
    roster.compare_clocks(nodes.loop)
    begin = time.monotonic()
    mapping = Mapping(nodes, repairs, task, items)
    try:
        outcomes = mapping.collect(progress)
    except BaseException:
        with nodes.activity.cleaning_up(), suppress(Exception):  # what happened first is what is raised
            mapping.abandon()
            stop_running_tasks(nodes)
        raise
    end = time.monotonic()
    with suppress(PoolError):  # nodes that are lost by now are the next call's trouble
        repairs.repair()
    roster.compare_clocks(nodes.loop)
    records, marks = [], []
    for outcome in outcomes:
        rank, offset = roster.ranks.get(outcome.worker, 0), roster.offsets.get(outcome.worker, 0.0)
        records.append(replace(outcome.record, rank=rank, start=outcome.record.start + offset))
        marks += events_of(outcome.marks, rank, offset)
    records.sort(key=lambda record: record.start)
    trace = tasks.map_trace(records, marks, roster.workers(), len(roster.names), begin, end)
    if nodes.scale_trace is not None:
        trace = tasks.concatenate_traces(nodes.scale_trace, trace)
    return [tasks.unpack(outcome.value) for outcome in outcomes], records, trace


class Mapping:
    """The tasks of one map: `collect` returns an Outcome per item."""

    def __init__(self, nodes: Nodes, repairs: Repairs, task: Callable[[Any], Any], items: Sequence[Any]):
        self.nodes, self.repairs, self.items = nodes, repairs, items
        self.loop, self.client, self.directory = nodes.loop, nodes.loop.client, nodes.backend.directory
        self.number = time.monotonic_ns()
        self.outcomes: dict[int, tasks.Outcome] = {}
        self.deaths: Counter[int] = Counter()
        name = f"{getattr(task, '__name__', 'task')}-{self.number:x}"
        self.futures: list[Future] = self.client.map(
            tasks.run, [tasks.pack(item) for item in items], range(len(items)), function=tasks.pack(task),
            number=self.number, directory=str(self.directory), pure=False, retries=0,
            key=[(name, place) for place in range(len(items))],
        )  # fmt: skip

    def collect(self, progress: Progress | None) -> list[tasks.Outcome]:
        """Wait for all outcomes, repair nodes, call ``progress(done, total)``; raises if cancelled."""
        finished: list[Future] = []
        done, total, fetched = 0, len(self.futures), time.monotonic()
        if progress is not None:
            progress(0, total)
        coming = as_completed(self.futures, raise_errors=False, loop=self.client.loop)
        while done < total:
            with coming.thread_condition:
                if coming.queue.empty():
                    coming.thread_condition.wait(watch.TICK)
            self._repair()
            batch: list[Future] = [] if coming.queue.empty() else coming.next_batch(block=False)
            for future in batch:
                if future.status in ("error", "cancelled"):  # "lost" is being computed again
                    self._explain(future)
            finished += batch
            done += len(batch)
            if batch and progress is not None:
                progress(done, total)
            if finished and (done == total or time.monotonic() - fetched > FETCH_EVERY):
                self._fetch(finished)
                finished, fetched = [], time.monotonic()
        with self.loop.activity.cleaning_up():  # the values are here
            self.loop.run(self._forget())
        return [self.outcomes[place] for place in range(total)]

    async def _forget(self) -> None:
        """Have the scheduler drop the tasks now.

        The client's own releases arrive there a little later, and until then a node that leaves would have
        what it computed run once more elsewhere, after the map is over.
        """
        keys, self.futures = [future.key for future in self.futures], []
        cast(Any, self.client.cluster).scheduler.client_releases_keys(keys=keys, client=self.client.id)

    def _fetch(self, finished: list[Future]) -> None:
        """Fetch finished outcomes, and repair nodes meanwhile: what is lost with one is computed again."""
        # Never cancelled: the client's later gathers would wait for the one that was.
        fetching = self.loop.start(self.client._gather(finished, direct=True))
        while not fetching.done():
            futures.wait([fetching], watch.TICK)
            self._repair()
        try:
            values = fetching.result()
        except Exception:
            for future in finished:  # a value was computed again and its task raised
                if future.status == "error":
                    self._explain(future)
            raise
        for future, outcome in zip(finished, values, strict=True):
            self.outcomes[_place(future)] = outcome
            future.release()

    def _repair(self) -> None:
        """Repair nodes if due; NodeKilled if `DEATHS` of those that were lost had begun the same item last.

        Dask itself counts only workers that crashed, not those that closed in order, as at SIGTERM.
        """
        for who in self.repairs.repair_if_due():
            place = tasks.started_item(self.directory, who.name, who.pid, self.number)
            if place is not None and place not in self.outcomes:
                self.deaths[place] += 1
                if self.deaths[place] >= DEATHS:
                    raise self._killed(place)

    def _killed(self, place: int) -> NodeKilled:
        return NodeKilled(
            f"The task of {self._which(place)} ended the node it ran on {self.deaths[place] or 'too many'} "
            "times, so it is not tried again: look for what ends the process (memory, os._exit, a crash in a "
            "library) and run it on that item alone.",
            place,
        )

    def _which(self, place: int) -> str:
        return f"item {place}, {_short.repr(self.items[place])}"

    def _explain(self, future: Future) -> NoReturn:
        """Raise what the task raised, saying which task it was."""
        place = _place(future)
        error = future.exception() if future.status == "error" else None
        if isinstance(error, KilledWorker):
            raise self._killed(max(self.deaths, key=lambda item: self.deaths[item], default=place)) from None
        if error is None:
            raise PoolError(f"The task of {self._which(place)} was cancelled by Dask: {future.status}.")
        error.add_note(f"This was the task of {self._which(place)}.")
        raise error

    def abandon(self) -> None:
        """Cancel what has not finished; tasks that run already go on until `stop_running_tasks`."""
        futures, self.futures = self.futures, []
        self.loop.run(self.client._cancel(futures, force=True))


def _place(future: Future) -> int:
    return int(cast(tuple[str, int], future.key)[1])
