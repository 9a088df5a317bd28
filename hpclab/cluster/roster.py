"""The list of a pool's nodes, which maps, gangs and repairs all read.

A node has a name of its own and holds a rank; when it is lost, another with a new name takes over its rank.
Only `Nodes` changes who is wanted, and only Dask's scheduler, through this plugin, who has joined.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from hpclab.cluster.members import Identity, Worker, is_stopped

if TYPE_CHECKING:
    from distributed import Scheduler

    from hpclab.cluster.watch import CheckCancelled, Loop

ROUNDS = 7  # questions for a node's time


class Roster(SchedulerPlugin):
    """`names`: the nodes that are wanted, in the order of their ranks, joined or not.

    By name, of lost ones as well: `submitted`, when a node was asked for on the pool's clock; `ranks`;
    `offsets`, seconds to add to a node's clock to get the pool's.
    """

    name = "hpclab-roster"

    def __init__(self) -> None:
        self.names: list[str] = []
        self.changed = threading.Condition()
        self._joined: dict[str, Identity] = {}
        self.submitted: dict[str, float] = {}
        self.ranks: dict[str, int] = {}
        self.offsets: dict[str, float] = {}
        self._losses: list[Identity] = []  # nodes that left although they were wanted, not yet told
        self._scheduler: Any = None

    # Dask's scheduler calls these on its own thread.

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self._scheduler, state = scheduler, scheduler.workers[worker]
        if state.name not in self.names:  # given up while it was on its way
            leave = scheduler.remove_worker
            scheduler.loop.add_callback(leave, worker, stimulus_id="hpclab-not-wanted")
            return
        who = Identity.of_worker(str(state.name), worker, state.extra["hpclab"])
        with self.changed:
            self._joined = self._joined | {who.name: who}  # readers keep theirs
            self.offsets[who.name] = who.offset
            # An allocation starts a lost worker again before anyone here has noticed the loss.
            self.submitted[who.name] = min(self.submitted.get(who.name, who.started), who.started)
            self.changed.notify_all()

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        with self.changed:
            gone = [who for who in self._joined.values() if who.address == worker]
            self._losses += [who for who in gone if who.name in self.names]
            self._joined = {name: who for name, who in self._joined.items() if who.address != worker}
            self.changed.notify_all()

    # What `Nodes` decides.

    def want(self, names: Iterable[str], since: float | None = None) -> None:
        """These nodes from now on, in this order, the new ones wanted since then; ranks are counted anew."""
        with self.changed:
            self.names = list(names)
            self.ranks = {name: rank for rank, name in enumerate(self.names)}
            self._losses = [who for who in self._losses if who.name in self.names]
            self.offsets = {name: seconds for name, seconds in self.offsets.items() if name in self.names}
            now = time.monotonic() if since is None else since
            self.submitted = {name: self.submitted.get(name, now) for name in self.names}

    def replace(self, name: str, fresh: str) -> None:
        """`fresh` takes over the rank of `name`."""
        with self.changed:
            rank = self.names.index(name)
            self.names[rank], self.ranks[fresh] = fresh, rank
            self.submitted[fresh] = time.monotonic()

    def take_losses(self) -> list[Identity]:
        """The nodes that have left although they were wanted, since this was asked last."""
        with self.changed:
            losses, self._losses = self._losses, []
        return losses

    def ask_again(self, name: str) -> None:
        """Its job starts the node again by itself: waited for from now on."""
        with self.changed:
            self.submitted[name] = time.monotonic()

    def compare_clocks(self, loop: Loop, check_cancelled: CheckCancelled) -> None:
        """Ask each newly joined node of another machine the time; the quickest answer, whose error is at most
        half its round trip, gives its clock's offset.

        A node that does not answer keeps what its first words said, which is right to some milliseconds.
        """
        for name in self.here():
            who = self._joined.get(name)
            if who is None or who.compared:
                continue
            best = float("inf"), who.offset
            for _ in range(ROUNDS):  # one question at a time, so that no answer waits behind another's
                begin = time.monotonic()
                answers = loop.ask([who.address], time.monotonic, check_cancelled=check_cancelled, limit=2.0)
                end = time.monotonic()
                if not isinstance(answer := answers[who.address], float):
                    break
                best = min(best, (end - begin, (begin + end) / 2 - answer))
            with self.changed:
                if self._joined.get(name) is who:
                    self._joined = self._joined | {name: replace(who, offset=best[1], compared=True)}
                    self.offsets[name] = best[1]

    # What anybody may ask.

    def here(self) -> list[str]:
        """The nodes that have joined and not left."""
        return [name for name in self.names if name in self._joined]

    def missing(self) -> list[str]:
        """The nodes that have not joined, or have left."""
        return [name for name in self.names if name not in self._joined]

    def identity(self, name: str) -> Identity | None:
        """Who has joined under this name, or None."""
        return self._joined.get(name)

    def addresses(self, names: Iterable[str]) -> dict[str, str]:
        """Name to address, of those that are here."""
        joined = self._joined
        return {name: joined[name].address for name in names if name in joined}

    def workers(self) -> list[Worker]:
        """The nodes that have joined, by rank."""
        return [
            Worker(self.ranks[name], name, who.host, who.job_id, who.pid, self.submitted[name],
                   who.started, who.joined)
            for name in self.names if (who := self._joined.get(name)) is not None
        ]  # fmt: skip

    def suspended(self, name: str) -> bool:
        """Whether the node's process is stopped (SIGSTOP); only known of this machine's."""
        who = self._joined.get(name)
        return who is not None and who.here and is_stopped(who.pid)

    def paused(self, name: str) -> bool:
        """Whether Dask sends the node no task because its memory is nearly used up, and it runs none."""
        state = self._state(name)
        return bool(state) and state.status.name == "paused" and not state.executing

    def memory(self, name: str) -> int:
        """Bytes that the node may use."""
        return getattr(self._state(name), "memory_limit", 0)

    def _state(self, name: str) -> Any:
        return (who := self._joined.get(name)) and self._scheduler.workers.get(who.address)

    def wait(self, ready: Callable[[], object], timeout: float) -> None:
        """Until `ready()`, at most `timeout` seconds; looked at when any node joins or leaves."""
        with self.changed:
            self.changed.wait_for(ready, timeout)
