"""The tasks of one `Pool.map`: sent to Dask, their values fetched as they come, what they cost kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from distributed import KilledWorker, as_completed

from hpclab.cluster.errors import NodeKilled, PoolError
from hpclab.cluster.maps import deathnotes, tasks

if TYPE_CHECKING:
    from distributed import Client, Future

FETCH_EVERY = 0.5  # seconds; fetching each value by itself would cost more than many a task
LOOK_EVERY = 0.1


class Mapping:
    """``Mapping(client, task, items).collect(look, progress)`` returns an Outcome per item."""

    def __init__(self, client: Client, task: Callable[[Any], Any], items: Sequence[Any], directory: Path):
        self.client, self.directory, self.number = client, directory, time.monotonic_ns()
        self.outcomes: dict[int, tasks.Outcome] = {}
        packed, function = [tasks.pack(item) for item in items], tasks.pack(task)
        name = f"{getattr(task, '__name__', 'task')}-{self.number:x}"
        self.items = items
        keys = [(name, place) for place in range(len(items))]
        self.futures: list[Future] = client.map(
            tasks.run, packed, range(len(items)), function=function, number=self.number,
            directory=str(directory), key=keys, pure=False, retries=0,
        )  # fmt: skip

    def collect(
        self, look: Callable[[], None], progress: Callable[[int, int], None] | None
    ) -> list[tasks.Outcome]:
        """Wait for all outcomes; `look()` is called some ten times a second and may raise to give up."""
        finished: list[Future] = []
        done, total, fetched = 0, len(self.futures), time.monotonic()
        if progress is not None:
            progress(0, total)
        coming = as_completed(self.futures, raise_errors=False, loop=self.client.loop)
        while done < total:
            look()
            with coming.thread_condition:
                if coming.queue.empty():
                    coming.thread_condition.wait(LOOK_EVERY)
            batch: list[Future] = [] if coming.queue.empty() else coming.next_batch(block=False)
            for future in batch:
                if future.status in ("error", "cancelled"):  # "lost" is being computed again
                    if not self._acquitted(future):
                        self._explain(future)
                    coming.add(future)
                    continue
                finished.append(future)
                done += 1
            if batch and progress is not None:
                progress(done, total)
            if finished and (done == total or time.monotonic() - fetched > FETCH_EVERY):
                self._fetch(finished, look)
                finished, fetched = [], time.monotonic()
        self._forget()
        return [self.outcomes[place] for place in range(total)]

    def _forget(self) -> None:
        """Have the scheduler drop the tasks now.

        The client's own releases arrive there a little later, and until then a node that leaves would have
        what it computed run once more elsewhere, after the map is over.
        """
        keys = [future.key for future in self.futures]
        scheduler = cast(Any, self.client.cluster).scheduler

        async def forget() -> None:
            scheduler.client_releases_keys(keys=keys, client=self.client.id)

        self.client.sync(forget)
        self.futures = []

    def _fetch(self, finished: list[Future], look: Callable[[], None]) -> None:
        """Bring finished values here; what dies with its node meanwhile is computed again: keep looking."""
        fetching = asyncio.run_coroutine_threadsafe(
            self.client._gather(finished, direct=True), cast(Any, self.client.loop).asyncio_loop
        )
        # Never cancelled: the client's later gathers would wait for the one that was.
        try:
            while not fetching.done():
                look()
                wait([fetching], LOOK_EVERY)
            values = fetching.result()
        except KilledWorker:
            suspect = next(future for future in finished if future.status == "error")
            if not self._acquitted(suspect):
                self._explain(suspect)
            return self._fetch(finished, look)
        for future, outcome in zip(finished, values, strict=True):
            self.outcomes[_place(future)] = outcome
            future.release()

    def _acquitted(self, future: Future) -> bool:
        """Whether the task Dask gave up for killing its workers only waited there: then it is tried again.

        The workers' notes tell, where they can be read; where they cannot, Dask's suspicion stands.
        """
        error = future.exception() if future.status == "error" else None
        ends = deathnotes.deaths(self.directory, self.number)
        if not isinstance(error, KilledWorker) or not ends or max(ends.values()) > error.allowed_failures:
            return False
        key, scheduler = future.key, cast(Any, self.client.cluster).scheduler

        async def again() -> None:
            self.client.futures[key].retry()  # pending here before the scheduler can say it is done
            scheduler.stimulus_retry(keys=[key], client=self.client.id)

        self.client.sync(again)
        return True

    def _explain(self, future: Future) -> NoReturn:
        """Raise what the task raised, saying which task it was."""
        place = _place(future)
        error = future.exception() if future.status == "error" else None
        if isinstance(error, KilledWorker):
            ends = deathnotes.deaths(self.directory, self.number)
            place = max(ends, key=lambda item: ends[item], default=place)
        which = f"item {place}, {_shown(self.items[place])}"
        if isinstance(error, KilledWorker):
            raise NodeKilled(
                f"The task of {which} ended the node it ran on {error.allowed_failures + 1} times, so it is "
                "not tried again: look for what ends the process (memory, os._exit, a crash in a library) "
                "and run it on that item alone.",
                place,
            ) from None
        if error is None:
            raise PoolError(f"The task of {which} was cancelled by Dask: {future.status}.")
        error.add_note(f"This was the task of {which}.")
        raise error

    def abandon(self) -> None:
        """Forget what has not finished; tasks that run already are ended by the pool."""
        self.client.cancel(self.futures, force=True)
        self.futures = []


def _place(future: Future) -> int:
    assert isinstance(future.key, tuple)
    return int(future.key[1])  # type: ignore[arg-type]


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}…"
