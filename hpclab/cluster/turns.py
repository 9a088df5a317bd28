"""Pools of one user share the nodes of a Slurm: they take turns in asking, and idle ones give way.

Of the pools that wait on our own Slurm only the first asks, and only for what is free, so that no two hold
half of what they need. An idle pool gives its nodes to one that waits, on our own Slurm to a job of `sbatch`
too, and asks for them again when it is used next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tornado.ioloop import PeriodicCallback

from hpclab.cluster.errors import JoinError, PoolError
from hpclab.cluster.notes import Notes
from hpclab.cluster.slurm_commands import SlurmError
from hpclab.cluster.watch import GIVING_WAY

if TYPE_CHECKING:
    from hpclab.cluster.nodes import Nodes
    from hpclab.cluster.slurm import Job, Slurm

EVERY = 1.0  # seconds between two checks whether another pool waits
QUEUE = 10.0  # seconds between two checks whether a job of `sbatch` waits
IDLE = 5.0  # seconds after which an idle pool gives way
WAITS = 3.0  # seconds another must have waited before that; a pool that waits so long prints for whom


def is_first(notes: Notes) -> bool:
    """Whether this pool has nodes, has been idle for `IDLE` s, and for longest of all that are idle."""
    own, before = notes.own, time.monotonic() - IDLE
    idle = [note.idle_since for note in (own, *notes.others()) if note.nodes and note.idle_since is not None]
    return bool(own.nodes and idle) and before >= min(idle) == own.idle_since


def gives_way(notes: Notes) -> bool:
    """Whether another pool waits and this one is the first to give way."""
    before = time.monotonic() - WAITS
    return is_first(notes) and any(note.wants and note.waits_since < before for note in notes.others())


def holders(notes: Notes) -> str:
    """Which other pools hold the nodes, in a sentence."""
    held = [note for note in notes.others() if note.nodes]
    count = sum(note.nodes for note in held)
    are = f"{count} node{' is' if count == 1 else 's are'} held by other pools of yours"
    return f"{are}: {'; '.join(map(str, held))}." if held else "Other pools of yours wait before it."


def _waits_for_nodes(job: Job, before: float) -> bool:
    """Whether this job, not one of a pool, has been pending for nodes since `before` (Unix time)."""
    pending = job.state == "PENDING" and job.reason in ("Resources", "Priority")
    return pending and not job.name.startswith("hpclab-") and (job.submitted or before) <= before


class Turns:
    """One pool's side of it: waits for its turn to ask Slurm for nodes, and gives idle ones away."""

    def __init__(self, nodes: Nodes, slurm: Slurm):
        self.nodes, self.slurm, self.notes = nodes, slurm, nodes.notes
        # Slurm itself gives a single allocation all or nothing, and a site's queue is for it alone to judge.
        ours = nodes.backend.on_local_slurm and not nodes.backend.single
        self.one_asks = ours and not nodes.request.gpus_per_node
        self._asked = 0.0  # when squeue was last called (monotonic clock)
        self._checking = PeriodicCallback(self._give_way_if_wanted, EVERY * 1000)
        nodes.cluster.loop.add_callback(self._checking.start)

    async def _give_way_if_wanted(self) -> None:
        activity = self.nodes.activity
        count = len(self.nodes.roster.names)
        self.notes.update(nodes=count, idle_since=None if activity.doing else activity.idle_since)
        if gives_way(self.notes) or await self._holds_a_job_up():
            with suppress(PoolError), activity.one_thing(GIVING_WAY):  # it may be used again in this moment
                await self.nodes.give_way()
                self.notes.update(nodes=0)

    async def _holds_a_job_up(self) -> bool:
        """Whether a job of `sbatch` waits for nodes, and this pool is the first to give way."""
        now = time.monotonic()
        if not self.nodes.backend.on_local_slurm or now < self._asked + QUEUE or not is_first(self.notes):
            return False
        self._asked, before = now, time.time() - WAITS
        try:
            return any(_waits_for_nodes(job, before) for job in await asyncio.to_thread(self.slurm.queue))
        except SlurmError:
            return False

    @contextmanager
    def taken(self, need: int) -> Iterator[None]:
        """Context manager that waits until this pool may ask Slurm for `need` more nodes; JoinError says who
        holds them, if the line has not moved for `join_timeout` seconds."""
        try:
            if need > 0:
                self.notes.update(wants=need, waits_since=time.monotonic(), idle_since=None)
                self._wait(need)
            yield
        finally:
            self.notes.update(wants=0, nodes=len(self.nodes.roster.here()))

    def _wait(self, need: int) -> None:
        """Where `one_asks`, wait until no pool is ahead and, if others hold nodes, `need` are free."""
        limit, tells = self.nodes.request.join_timeout, time.monotonic() + WAITS
        line: set[str] | None = None

        def moved_or_mine() -> str:
            nonlocal line, tells
            others = self.notes.others()
            since = self.notes.own.waits_since
            ahead = {note.pool for note in others if note.wants and note.waits_since < since}
            moved, line = line not in (None, ahead), ahead
            if moved:
                return "moved"  # as long as the line moves, the limit begins again
            held = any(note.nodes for note in others)
            if not self.one_asks or (not ahead and (not held or self._fits(need))):
                return "mine"
            if time.monotonic() > tells:
                tells = float("inf")
                waits = f"Waiting for {need} nodes of hpclab's own Slurm. {holders(self.notes)}"
                print(f"{waits} Pools give way when they are idle for {IDLE:g} s.", flush=True)
            return ""

        def late() -> JoinError:
            return JoinError(
                f"{need} nodes were not free within {limit:g} s. {holders(self.notes)} close() the "
                "pools you no longer need, or restart the kernels that hold them."
            )

        while self.nodes.activity.until(moved_or_mine, limit, late) == "moved":
            pass

    def _fits(self, need: int) -> bool:
        """Whether `need` nodes are free; True as well if the cluster has fewer in all, as Slurm will say."""
        late = lambda: SlurmError("Slurm did not say which nodes are free.")  # noqa: E731
        nodes = self.nodes.activity.call(60.0, late, self.slurm.nodes)
        up = [node for node in nodes if node.state in ("idle", "mixed", "allocated")]
        cores = self.nodes.request.cores_per_node
        free, most = sum(node.idle // cores for node in up), sum(node.cores // cores for node in up)
        return free >= need or most < need

    async def _stop(self) -> None:
        self._checking.stop()

    def close(self) -> None:
        """Stop the periodic checks."""
        with suppress(PoolError):
            self.nodes.loop.run(self._stop(), limit=5.0)
