"""Pools of one user share the nodes of a Slurm: they take turns in asking, and idle ones give way.

Each pool keeps a note in the user's private directory: how many nodes it has, since when it is idle, and how
many it waits for. Of those that wait on our own Slurm only the first asks, and only for what is free, so that
no two of them hold half of what they need and wait for each other. A pool that is idle gives its nodes to one
that waits, and asks for them again when it is used next.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from tornado.ioloop import PeriodicCallback

from hpclab.cluster import watch
from hpclab.cluster.activity import GIVING_WAY
from hpclab.cluster.errors import JoinError, PoolError
from hpclab.cluster.host import private
from hpclab.cluster.host.processes import Process
from hpclab.cluster.slurm_commands import SlurmError
from hpclab.cluster.watch import Look

if TYPE_CHECKING:
    from hpclab.cluster.nodes import Nodes
    from hpclab.cluster.slurm import Slurm

EVERY = 1.0  # seconds between two looks whether somebody waits
IDLE = 5.0  # seconds after which an idle pool gives way
WAITS = 3.0  # seconds that another has to wait before, and after which a pool says whom it waits for


@dataclass(frozen=True)
class Note:
    """`nodes` that the pool has, or that it has asked Slurm for; `wants` more since `waits_since`; idle since
    `idle_since`, or None. Times on this machine's monotonic clock."""

    pool: str
    pid: int
    started: int
    nodes: int = 0
    wants: int = 0
    waits_since: float = 0.0
    idle_since: float | None = None

    def __str__(self) -> str:
        idle = "" if self.idle_since is None else f", idle for {time.monotonic() - self.idle_since:.0f} s"
        return f"{self.nodes} by pool {self.pool} (process {self.pid}{idle})"


class Notes:
    """The notes of this user's pools on one Slurm, and the one of this pool."""

    def __init__(self, pool: str, slurm: str):
        me = Process.of(os.getpid())
        self.own = Note(pool, os.getpid(), me.started if me else 0)
        self.folder = private.make(private.home(plain=False).path / f"pools-{slurm}", plain=False)
        self.path = self.folder / f"{pool}.json"

    def say(self, **changes: float | None) -> None:
        """Change the own note."""
        changed = replace(self.own, **changes)  # type: ignore[arg-type]
        if changed == self.own and self.path.exists():
            return
        self.own, fresh = changed, self.path.with_suffix(".new")
        with suppress(OSError):  # without the note others do not see this pool
            fresh.write_text(json.dumps(asdict(self.own)))
            fresh.replace(self.path)

    def others(self) -> list[Note]:
        """The notes of living pools but this one."""
        found = []
        for path in self.folder.glob("*.json"):
            with suppress(OSError, ValueError, TypeError):
                note = Note(**json.loads(path.read_text()))
                if not Process(note.pid, note.started).alive:
                    path.unlink()
                elif note.pool != self.own.pool:
                    found.append(note)
        return found

    def asked_to_give_way(self) -> bool:
        """Whether another pool waits, and of those that are idle this one has been so for longest."""
        own, now, others = self.own, time.monotonic(), self.others()
        if not own.nodes or own.idle_since is None or now < own.idle_since + IDLE:
            return False
        idle = [note.idle_since for note in others if note.nodes and note.idle_since is not None]
        first = min([own.idle_since, *idle]) == own.idle_since
        return first and any(note.wants and now > note.waits_since + WAITS for note in others)

    def withdraw(self) -> None:
        """Take the own note away, and the folder with the last."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()
            self.folder.parent.rmdir()


class Turns:
    """The part that one pool's nodes take in this."""

    def __init__(self, nodes: Nodes, slurm: Slurm):
        self.nodes, self.slurm = nodes, slurm
        # Slurm itself gives a single allocation all or nothing, and a site's queue is for it alone to judge.
        ours = nodes.backend.pretend and not nodes.backend.single
        self.one_asks = ours and not nodes.request.gpus_per_node
        self.notes = Notes(nodes.name, "local" if nodes.backend.pretend else "site")
        nodes.guard.remove(self.notes.path)
        self._looking = PeriodicCallback(self._look_around, EVERY * 1000)
        nodes.cluster.loop.add_callback(self._looking.start)

    async def _look_around(self) -> None:
        activity = self.nodes.activity
        count = len(self.nodes.roster.names)
        self.notes.say(nodes=count, idle_since=None if activity.doing else activity.idle_since)
        if self.notes.asked_to_give_way():
            with suppress(PoolError), activity.one_thing(GIVING_WAY):  # it may be used again in this moment
                await self.nodes.give_way()
                self.notes.say(nodes=0)

    @contextmanager
    def taken(self, need: int, look: Look) -> Iterator[None]:
        """In it this pool may ask for `need` more nodes; JoinError says who holds them, where it may not."""
        try:
            if need > 0:
                self.notes.say(wants=need, waits_since=time.monotonic(), idle_since=None)
                self._wait(need, look)
            yield
        finally:
            self.notes.say(wants=0, nodes=len(self.nodes.roster.here()))

    def _wait(self, need: int, look: Look) -> None:
        limit, begin, told = self.nodes.request.join_timeout, time.monotonic(), False
        line: set[str] | None = None

        def moved_or_mine() -> str:
            nonlocal line, told
            others = self.notes.others()
            ahead = [note for note in others if note.wants and note.waits_since < self.notes.own.waits_since]
            before, line = line, {note.pool for note in ahead}
            if before is not None and line != before:
                return "moved"  # as long as the line moves, the limit begins again
            held = any(note.nodes for note in others)
            if not self.one_asks or (not ahead and (not held or self._fits(need, look))):
                return "mine"
            if not told and time.monotonic() > begin + WAITS:
                told = True
                print(f"Waiting for {need} nodes of hpclab's own Slurm. {_shown(others)}", flush=True)
            return ""

        def late() -> JoinError:
            return JoinError(
                f"{need} nodes were not free within {limit:g} s. {_shown(self.notes.others())} close() the "
                "pools you no longer need, or restart the kernels that hold them."
            )

        while watch.until(moved_or_mine, look, limit, late) == "moved":
            pass

    def _fits(self, need: int, look: Look) -> bool:
        """Whether so many nodes are free, or more are asked for than there are: Slurm will say so."""
        late = SlurmError("Slurm did not say which nodes are free.")
        nodes = watch.call(self.slurm.nodes, look=look, limit=60.0, late=late)
        up = [node for node in nodes if node.state in ("idle", "mixed", "allocated")]
        cores = self.nodes.request.cores_per_node
        free, most = sum(node.idle // cores for node in up), sum(node.cores // cores for node in up)
        return free >= need or most < need

    async def _stop(self) -> None:
        self._looking.stop()

    def close(self) -> None:
        """Withdraw."""
        with suppress(PoolError):
            self.nodes.loop.run(self._stop(), lambda: None, limit=5.0)
        self.notes.withdraw()


def _shown(others: list[Note]) -> str:
    holders = [note for note in others if note.nodes]
    held = sum(note.nodes for note in holders)
    are = f"{held} node{' is' if held == 1 else 's are'} held by other pools of yours"
    return f"{are}: {'; '.join(map(str, holders))}." if holders else "Other pools of yours wait before it."
