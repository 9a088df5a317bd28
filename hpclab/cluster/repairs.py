"""Nodes that are lost while something runs: noticed, told, and replaced.

Dask runs the unfinished tasks of a lost worker again but brings no worker back, and neither does
dask-jobqueue. So the pool looks several times a second, while it waits for a map, whether all of its nodes
are still there.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from typing import TYPE_CHECKING

from hpclab.cluster.errors import JoinError, NodeLost
from hpclab.cluster.maps import tasks

if TYPE_CHECKING:
    from hpclab.cluster.nodes import Nodes

TRIES = 3  # replacements that may fail to join, for each rank
ASK_EVERY = 3.0  # seconds between two requests to a Slurm that takes no job; more where its answer took long


class Repairs:
    """The repairs of one map or run; `newcomers` are the nodes that were asked for in the course of it."""

    def __init__(self, nodes: Nodes):
        self.nodes = nodes
        self.newcomers: list[str] = []
        self.failures: Counter[int] = Counter()
        self._ask_again = self._had_nodes = time.monotonic()
        self._told = False

    def look(self) -> None:
        """Replace what is lost or failed to come, and learn who came; JoinError if none is left."""
        nodes = self.nodes
        lost = [name for name in nodes.names if name in nodes.identities and not nodes.known(name)]
        for name in lost:
            self._warn(name)
        if nodes.backend.single:  # it starts its workers again by itself, under the same names
            for name in lost:
                del nodes.identities[name]
                nodes.submitted[name] = time.monotonic()
            self.newcomers += lost
        else:
            self._replace(lost)
        self._retry()
        if any(nodes.here(name) and not nodes.known(name) for name in nodes.names):
            nodes.introduce()

    def _retry(self) -> None:
        nodes = self.nodes
        now = time.monotonic()
        self._had_nodes = now if nodes.count() else self._had_nodes
        failed = [name for name in nodes.names if name in self.newcomers and self._has_failed(name)]
        refused = [name for name in nodes.names if name in nodes.refused]
        for name in failed:
            self.failures[nodes.names.index(name)] += 1
        again = [name for name in failed if self.failures[nodes.names.index(name)] < TRIES]
        waits = again or (refused and now - self._had_nodes < nodes.request.join_timeout)
        if (failed or refused) and nodes.count() == 0 and (nodes.backend.single or not waits):
            raise JoinError(
                f"No node is left, and none could be started. {nodes.backend.explain([*failed, *refused])}"
            )
        self.newcomers = [name for name in self.newcomers if name not in failed]
        if refused and now > self._ask_again:
            again += refused
        if again and not nodes.backend.single:
            self._replace(again)

    def _replace(self, names: list[str]) -> None:
        if not names:
            return
        nodes, begin = self.nodes, time.monotonic()
        fresh = nodes.replace(names)
        self._ask_again = (end := time.monotonic()) + max(ASK_EVERY, 2 * (end - begin))
        self.newcomers += [name for name in fresh if name not in nodes.refused]
        if not self._told and (errors := [nodes.refused[name] for name in fresh if name in nodes.refused]):
            self._told = True
            message = (
                f"Slurm takes no job now, so {nodes.count()} of {len(nodes.names)} nodes go on: {errors[0]}"
            )
            warnings.warn(NodeLost(message), stacklevel=3)

    def _has_failed(self, name: str) -> bool:
        nodes = self.nodes
        if nodes.here(name):
            return False
        late = time.monotonic() > nodes.submitted[name] + nodes.request.join_timeout
        return late or bool(nodes.backend.ended(name))

    def _warn(self, name: str) -> None:
        why = self.nodes.backend.ended(name) or "it no longer answers"
        warnings.warn(
            NodeLost(
                f"Node {self.nodes.names.index(name)} ({name}) was lost: {why}. Its unfinished task is run "
                "again and another node is on its way."
            ),
            stacklevel=3,
        )


def calm(nodes: Nodes, patience: float = 2.0) -> None:
    """End the tasks that still run: ask each to stop, then replace the nodes of those that do not."""
    client = nodes.client
    assert client is not None
    client.run(tasks.stop, on_error="ignore")
    deadline = time.monotonic() + patience
    while True:
        answers = client.run(tasks.busy, on_error="ignore")
        if not any(answers.values()):
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    deaf = [address for address, is_busy in answers.items() if is_busy]
    joined = nodes.membership.joined
    if nodes.backend.single:
        client.run(tasks.leave, workers=deaf, on_error="ignore")
    else:
        nodes.replace([name for name in nodes.names if name in joined and joined[name][1] in deaf])
