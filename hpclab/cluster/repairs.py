"""Finds nodes that are lost, suspended or out of memory while something runs, warns of them, replaces them.

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
from functools import partial

from hpclab import units
from hpclab.cluster.backends.command import cut_logs
from hpclab.cluster.errors import JoinError, NodeLost, PoolError
from hpclab.cluster.maps import tasks
from hpclab.cluster.nodes import Nodes
from hpclab.cluster.roster import Worker

REPAIR_EVERY = 0.3  # seconds
TRIES = 3  # replacements that may fail to join, for each rank
ASK_EVERY = 3.0  # seconds between two requests to a Slurm that takes no job; more where its answer took long
SUSPENDED = 20.0  # seconds that a node's process may be stopped
PAUSED = 5.0  # seconds that a node may be out of memory with no task running, which could free some


class Repairs:
    """The repairs of one map or run."""

    def __init__(self, nodes: Nodes):
        self.nodes, self.roster, self.single = nodes, nodes.roster, nodes.backend.single
        self._lost, self._told, self._failures = 0, set[str](), Counter[int]()
        self._due = self._ask_again = self._had_nodes = self._checked = time.monotonic()
        self._stuck: dict[str, float] = {}  # seconds for which each has been stuck

    def repair_if_due(self) -> list[Worker]:
        """Call `repair` every `REPAIR_EVERY` seconds and return the nodes lost; raise where cancelled."""
        self.nodes.activity.check_cancelled()
        if time.monotonic() < self._due:
            return []
        losses = self.repair()
        self._due = time.monotonic() + REPAIR_EVERY
        return losses

    def repair(self) -> list[Worker]:
        """Replace lost, stuck and late nodes, and return the lost ones; JoinError if none is left, PoolError
        if all are out of memory."""
        losses = self.roster.take_losses()
        ended = self.nodes.ended(who.name for who in losses)
        for who in losses:
            self._warn_lost(who.name, ended.get(who.name, "it no longer answers"))
        self._lost += len(losses)
        lost = [who.name for who in losses if who.name in self.roster.names]
        for name in lost if self.single else ():  # its job starts it again by itself, under the same name
            self.roster.replace(name, name)
        self._replace(lost)
        self._give_up_stuck()
        self._retry()
        cut_logs(self.nodes.backend.directory)
        return losses

    def _give_up_stuck(self) -> None:
        roster, now = self.roster, time.monotonic()
        since, self._checked = min(1.0, now - self._checked), now  # not while we were suspended
        self._stuck = {
            name: self._stuck.get(name, 0.0) + since for name in roster.here() if roster.is_stuck(name)
        }
        stopped = {
            name: who for name in self._stuck if roster.is_suspended(name) and (who := roster.worker(name))
        }
        for name, who in stopped.items():
            if self._stuck[name] > SUSPENDED / 4:
                rank = roster.ranks.get(name, 0)
                why = f"its process {who.pid} is suspended, as by SIGSTOP"
                until = f"it is given up after {SUSPENDED:g} s."
                self._warn_once(name, f"Node {rank} ({name}) is stopped ({why}); {until}")
        paused = {name for name in self._stuck.keys() - stopped if self._stuck[name] > PAUSED}
        if paused and paused == set(roster.here()):
            memory = units.format_bytes(max(map(roster.memory, paused)))
            raise PoolError(
                f"No node can take a task: each has used up most of its {memory} of memory. Ask for more, as "
                "in Pool(memory=...), use fewer bytes a task, or close() this pool and make a new one."
            )
        late = [*paused, *(name for name in stopped if self._stuck[name] > SUSPENDED)]
        for name in late:
            why = "it was stopped" if name in stopped else "its memory was used up"
            self._warn_lost(name, f"{why} for {self._stuck.pop(name):.0f} s")
            if self.single and (who := roster.worker(name)):  # its job starts it again once it has ended
                if who.here:
                    with suppress(OSError):
                        os.kill(who.pid, signal.SIGKILL)
                else:
                    self.nodes.loop.ask([who.address], tasks.leave, limit=2.0)
        self._replace(late)

    def _retry(self) -> None:
        """Ask again for nodes that do not join, until `TRIES` of a rank failed; JoinError if none is left."""
        nodes, roster, limit = self.nodes, self.roster, self.nodes.request.join_timeout
        now = time.monotonic()
        self._had_nodes = now if roster.here() else self._had_nodes
        refused = [name for name in roster.names if name in nodes.refused]
        missing = [name for name in roster.missing() if name not in refused]
        ended = nodes.ended(missing)
        failed = [name for name in missing if name in ended or now > roster.submitted[name] + limit]
        self._failures.update(roster.ranks.get(name, 0) for name in failed)
        again = [name for name in failed if self._failures[roster.ranks.get(name, 0)] < TRIES]
        waits = again or (refused and now - self._had_nodes < limit)
        if (failed or refused) and not roster.here() and (self.single or not waits):
            raise JoinError(f"No node is left, and none could be started. {nodes.why([*failed, *refused])}")
        if refused and now > self._ask_again:
            again += refused
        self._replace(again)

    def _replace(self, names: list[str]) -> None:
        if not names or self.single:
            return
        nodes, begin = self.nodes, time.monotonic()
        fresh = nodes.replace(names)
        self._ask_again = (end := time.monotonic()) + max(ASK_EVERY, 2 * (end - begin))
        if errors := [nodes.refused[name] for name in fresh if name in nodes.refused]:
            so = f"so {len(self.roster.here())} of {len(self.roster.names)} nodes go on"
            self._warn_once("refused", f"Slurm takes no job now, {so}: {errors[0]}")

    def _warn_lost(self, name: str, why: str) -> None:
        again = "Its unfinished task is run again and another node is on its way."
        rank = self.roster.ranks.get(name, 0)
        self._warn_once(f"{name} lost {self._lost}", f"Node {rank} ({name}) was lost: {why}. {again}")

    def _warn_once(self, key: str, sentence: str) -> None:
        if key not in self._told:
            self._told.add(key)
            warnings.warn(NodeLost(sentence), stacklevel=4)


def stop_running_tasks(nodes: Nodes, patience: float = 2.0) -> None:
    """Stop the tasks that still run, and replace nodes whose task has not ended after `patience` seconds."""
    roster, ask = nodes.roster, partial(nodes.loop.ask, limit=patience)
    addresses = roster.addresses(roster.names)
    ask(addresses.values(), tasks.stop)
    deadline, busy = time.monotonic() + patience, list(addresses)
    while busy and time.monotonic() < deadline:
        answers = ask(addresses.values(), tasks.busy)
        busy = [name for name, address in addresses.items() if answers[address] is not False]
        time.sleep(0.05)
    busy = [name for name in busy if name in roster.here()]
    if nodes.backend.single:
        ask(roster.addresses(busy).values(), tasks.leave)
    else:
        nodes.replace(busy)
