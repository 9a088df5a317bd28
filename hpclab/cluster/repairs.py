"""Nodes that are lost, suspended or out of memory while something runs: noticed, told, and replaced.

Dask runs the unfinished tasks of a lost worker again but brings no worker back. Of one that is suspended it
hears nothing for minutes, and to one whose memory is used up it sends no task, for good.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from hpclab import units
from hpclab.cluster.backends.command import cut_logs
from hpclab.cluster.errors import JoinError, NodeLost, PoolError
from hpclab.cluster.maps import tasks

if TYPE_CHECKING:
    from hpclab.cluster.members import Identity
    from hpclab.cluster.nodes import Nodes

REPAIR_EVERY = 0.3  # seconds
TRIES = 3  # replacements that may fail to join, for each rank
ASK_EVERY = 3.0  # seconds between two requests to a Slurm that takes no job; more where its answer took long
SUSPENDED = 20.0  # seconds that a node's process may be stopped
PAUSED = 5.0  # seconds that a node may be out of memory with no task running, which could free some


class Repairs:
    """The repairs of one map or run."""

    def __init__(self, nodes: Nodes):
        self.nodes, self.roster, self.check_cancelled = nodes, nodes.roster, nodes.activity.check_cancelled
        self._lost = 0
        self.failures: Counter[int] = Counter()
        self._due = self._ask_again = self._had_nodes = self._checked = time.monotonic()
        self._deaf: dict[str, float] = {}  # seconds for which each has been deaf
        self._told: set[str] = set()

    def repair_if_due(self) -> list[Identity]:
        """Raise where cancelled; some times a second `repair`; returns the nodes lost meanwhile."""
        self.check_cancelled()
        if time.monotonic() < self._due:
            return []
        losses = self.repair()
        self._due = time.monotonic() + REPAIR_EVERY
        return losses

    def repair(self) -> list[Identity]:
        """Replace who is lost, deaf or late; JoinError if none is left, PoolError if none can work."""
        losses = self.roster.take_losses()
        ended = self.nodes.ended([who.name for who in losses], self.check_cancelled)
        for who in losses:
            self._warn(who.name, ended.get(who.name, "it no longer answers"))
        self._lost += len(losses)
        lost = [who.name for who in losses if who.name in self.roster.names]
        if self.nodes.backend.single:  # it starts its workers again by itself, under the same names
            for name in lost:
                self.roster.ask_again(name)
        self._replace(lost)
        self._give_up_deaf()
        self._retry()
        cut_logs(self.nodes.backend.directory)
        return losses

    def _give_up_deaf(self) -> None:
        now = time.monotonic()
        since = min(1.0, now - self._checked)  # not while we were suspended
        self._checked = now
        self._deaf = {
            name: self._deaf.get(name, 0.0) + since for name in self.roster.here() if self.nodes.deaf(name)
        }
        stopped = {name for name in self._deaf if self.roster.suspended(name)}
        for name in stopped:
            who, rank = self.roster.identity(name), self.roster.ranks.get(name, 0)
            if who is not None and self._deaf[name] > SUSPENDED / 4:
                self._tell(name, f"Node {rank} ({name}) is stopped (its process {who.pid} is suspended, as "
                           f"by SIGSTOP); it is given up after {SUSPENDED:g} s.")  # fmt: skip
        paused = {name for name in self._deaf.keys() - stopped if self._deaf[name] > PAUSED}
        if paused and paused == set(self.roster.here()):
            memory = units.format_bytes(max(map(self.roster.memory, paused)))
            raise PoolError(
                f"No node can take a task: each has used up most of its {memory} of memory. Ask for more, as "
                "in Pool(memory=...), use fewer bytes a task, or close() this pool and make a new one."
            )
        late = [*paused, *(name for name in stopped if self._deaf[name] > SUSPENDED)]
        for name in late:
            why = "it was stopped" if name in stopped else "its memory was used up"
            self._warn(name, f"{why} for {self._deaf.pop(name):.0f} s")
            if self.nodes.backend.single:
                self._end_here(name)
        self._replace(late)

    def _end_here(self, name: str) -> None:
        """A single allocation's job starts a worker again once it has ended."""
        who = self.roster.identity(name)
        if who is not None and who.here:
            with suppress(OSError):
                os.kill(who.pid, signal.SIGKILL)
        elif who is not None:
            self.nodes.loop.ask([who.address], tasks.leave, check_cancelled=self.check_cancelled, limit=2.0)

    def _retry(self) -> None:
        """Ask again for those that did not come; whoever is missing counts, whenever it was asked for."""
        nodes, roster = self.nodes, self.roster
        now = time.monotonic()
        self._had_nodes = now if len(roster.here()) else self._had_nodes
        refused = [name for name in roster.names if name in nodes.refused]
        missing = [name for name in roster.missing() if name not in refused]
        ended, limit = nodes.ended(missing, self.check_cancelled), nodes.request.join_timeout
        failed = [name for name in missing if name in ended or now > roster.submitted[name] + limit]
        for name in failed:
            self.failures[roster.ranks.get(name, 0)] += 1
        again = [name for name in failed if self.failures[roster.ranks.get(name, 0)] < TRIES]
        waits = again or (refused and now - self._had_nodes < limit)
        if (failed or refused) and not len(roster.here()) and (nodes.backend.single or not waits):
            why = nodes.why([*failed, *refused], self.check_cancelled)
            raise JoinError(f"No node is left, and none could be started. {why}")
        if refused and now > self._ask_again:
            again += refused
        self._replace(again)

    def _replace(self, names: list[str]) -> None:
        if not names or self.nodes.backend.single:
            return
        nodes, begin = self.nodes, time.monotonic()
        fresh = nodes.replace(names, self.check_cancelled)
        self._ask_again = (end := time.monotonic()) + max(ASK_EVERY, 2 * (end - begin))
        if errors := [nodes.refused[name] for name in fresh if name in nodes.refused]:
            here, all_of_them = len(self.roster.here()), len(self.roster.names)
            so = f"so {here} of {all_of_them} nodes go on"
            self._tell("refused", f"Slurm takes no job now, {so}: {errors[0]}")

    def _warn(self, name: str, why: str) -> None:
        again = "Its unfinished task is run again and another node is on its way."
        rank = self.roster.ranks.get(name, 0)
        self._tell(f"{name} lost {self._lost}", f"Node {rank} ({name}) was lost: {why}. {again}")

    def _tell(self, once: str, sentence: str) -> None:
        if once not in self._told:
            self._told.add(once)
            warnings.warn(NodeLost(sentence), stacklevel=4)


def stop_running_tasks(nodes: Nodes, patience: float = 2.0) -> None:
    """End the tasks that still run: ask each to stop, then replace the nodes of those that do not."""
    loop, addresses = nodes.loop, nodes.roster.addresses(nodes.roster.names)
    loop.ask(addresses.values(), tasks.stop, check_cancelled=lambda: None, limit=patience)
    deadline, deaf = time.monotonic() + patience, list(addresses)
    while deaf and time.monotonic() < deadline:
        answers = loop.ask(addresses.values(), tasks.busy, check_cancelled=lambda: None, limit=patience)
        deaf = [name for name, address in addresses.items() if answers[address] is not False]
        time.sleep(0.05)
    deaf = [name for name in deaf if name in nodes.roster.here()]
    if nodes.backend.single:
        loop.ask(
            nodes.roster.addresses(deaf).values(), tasks.leave, check_cancelled=lambda: None, limit=patience
        )
    else:
        nodes.replace(deaf)
