"""`Pool.run` from the notebook's side: a gang of ranks is started, watched, and ended together.

The ranks report how many collectives of the default group they have begun, and their agents whether they
run, are stopped, or are gone. When something goes wrong, all ranks are ended and the guilty one is named.
Who is guilty is decided from these reports and not from the first error to arrive: a rank that dies makes
its peers fail as well, and theirs may be heard first.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from hpclab.cluster import threads
from hpclab.cluster.errors import PoolError, RankError, SlowRank
from hpclab.cluster.gang import relay, verdict
from hpclab.cluster.gang.verdict import RankState
from hpclab.cluster.maps import tasks
from hpclab.trace import Event, Trace, events_of

if TYPE_CHECKING:
    from hpclab.cluster.nodes import Nodes

LOOK_EVERY = 0.1
GRACE = 0.4  # seconds after the first failure in which a better explanation may arrive
SETTLE = 5.0


class Gangs:
    """The gangs of one pool, one after another; `ready` holds the process id and port of every worker's
    warm child, `used` the process id of the child that ran last."""

    def __init__(self, nodes: Nodes):
        self.nodes = nodes
        self.topic = f"{nodes.name}-ranks"
        self.events: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.ready: dict[str, tuple[int, int]] = {}
        self.used: dict[str, int] = {}
        self.hosts: dict[str, str] = {}
        self.ending: Future[Any] | None = None
        client = nodes.client
        assert client is not None
        self.client = client
        client.subscribe_topic(self.topic, self._on_event)
        client.register_plugin(relay.Relay(self.topic))

    def _on_event(self, event: tuple[float, tuple[Any, ...]]) -> None:
        self.events.put(tuple(event[1]))

    def run(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        ranks: int,
        timeout: float,
        look: Callable[[], None],
    ) -> tuple[list[Any], Trace]:
        """The function's value on each rank, and the trace; RankError names the guilty rank."""
        begin = time.monotonic()
        names = self.nodes.names[:ranks]
        payload = tasks.pack((function, tuple(args)))
        self._make_ready(names, look)
        states = {name: RankState(rank) for rank, name in enumerate(names)}
        specs = self._specs(names, timeout)
        for name in names:
            self.used[name] = self.ready.pop(name)[0]
        try:
            self._tell(names, relay.begin, specs, payload)
            self._watch(states, timeout, look)
            values = self._values(names, states)
        except BaseException:
            self._end(names, wait=True)
            raise
        self._end(names, wait=False)
        return values, self._trace(names, states, begin, time.monotonic())

    def _make_ready(self, names: list[str], look: Callable[[], None]) -> None:
        """Every worker's agent has a warm child; the first time that takes as long as importing torch."""
        self._take_events({})
        asked = [name for name in names if name not in self.ready]
        if not asked:
            return
        self.hosts.update(self._tell(asked, relay.wake))
        deadline = time.monotonic() + max(60.0, self.nodes.request.join_timeout)
        while any(name not in self.ready for name in names):
            look()
            gone = [name for name in names if name not in self.nodes.membership.joined]
            if gone:
                raise PoolError(
                    f"Node {names.index(gone[0])} was lost; scale the pool again, then run again."
                )
            if time.monotonic() > deadline:
                raise PoolError("A rank agent did not get ready; the node's log says why.")
            self._take_events({}, wait=LOOK_EVERY)

    def _specs(self, names: list[str], timeout: float) -> dict[str, dict[str, Any]]:
        hosts = [self._host(name) for name in names]
        first, port = self.hosts[names[0]], self.ready[names[0]][1]
        cores = self.nodes.request.cores_per_node
        specs = {}
        for rank, name in enumerate(names):
            local, size = hosts[:rank].count(hosts[rank]), hosts.count(hosts[rank])
            environment = threads.environment(cores) | {
                "RANK": str(rank), "WORLD_SIZE": str(len(names)), "LOCAL_RANK": str(local),
                "LOCAL_WORLD_SIZE": str(size), "GROUP_RANK": str(len(set(hosts[:rank]))),
                "MASTER_ADDR": first, "MASTER_PORT": str(port),
            }  # fmt: skip
            environment |= self.nodes.backend.rank_environment()
            specs[name] = {
                "rank": rank, "size": len(names), "local_rank": local, "local_size": size, "host": first,
                "port": port, "timeout": timeout, "threads": cores, "environment": environment,
            }  # fmt: skip
        return specs

    def _host(self, name: str) -> str:
        """What counts as one host for LOCAL_RANK: with GPUs of its own a node stands for itself."""
        own_devices = self.nodes.request.gpus_per_node and not self.nodes.backend.pretend
        return name if own_devices else self.nodes.identities[name].host

    def _tell(self, names: list[str], what: Callable[..., Any], *args: Any) -> dict[str, Any]:
        joined = self.nodes.membership.joined
        addresses = {joined[name][1]: name for name in names if name in joined}
        answers = self.client.run(what, *args, workers=list(addresses), on_error="return")
        for address, answer in answers.items():
            if isinstance(answer, BaseException):
                rank = names.index(addresses[address])
                raise RankError(f"Rank {rank} could not be reached on its node: {answer}", rank)
        return {addresses[address]: answer for address, answer in answers.items()}

    def _take_events(self, states: dict[str, RankState], wait: float = 0.0) -> None:
        while True:
            try:
                name, word, pid, *rest = self.events.get(timeout=wait) if wait else self.events.get_nowait()
            except queue.Empty:
                return
            wait = 0.0
            current = name in states and pid in (None, self.used.get(name))
            if word == "ready":
                if pid != self.used.get(name):
                    self.ready[name] = (pid, rest[0])
            elif word == "agent ended":
                self.ready.pop(name, None)
                if current:
                    states[name].note(word, rest)
            elif word == "print" and current:
                _show(states[name].rank, rest[0])
            elif current:
                states[name].note(word, rest)

    def _watch(self, states: dict[str, RankState], timeout: float, look: Callable[[], None]) -> None:
        failed: float | None = None
        warned: set[int] = set()
        gang = list(states.values())
        while not all(state.value is not None for state in gang):
            look()
            self._take_events(states, wait=LOOK_EVERY)
            for name, state in states.items():
                if name not in self.nodes.membership.joined and state.ended is None:
                    state.ended = "its node was lost"
            if failed is None and any(verdict.has_failed(state, timeout) for state in gang):
                failed = time.monotonic()
            if failed is not None and time.monotonic() > failed + GRACE:
                raise verdict.judge(gang, timeout)
            for rank, sentence in verdict.slow(gang, timeout):
                if rank not in warned:
                    warned.add(rank)
                    warnings.warn(SlowRank(sentence), stacklevel=4)

    def _values(self, names: list[str], states: dict[str, RankState]) -> list[Any]:
        large = [name for name in names if states[name].value["value"] is None]  # type: ignore[index]
        fetched = self._tell(large, relay.fetch) if large else {}
        return [
            tasks.unpack(fetched.get(name) or states[name].value["value"])  # type: ignore[index]
            for name in names
        ]

    def _end(self, names: list[str], wait: bool) -> None:
        """End the ranks' processes; with `wait`, return when every agent has reported its child's end."""
        joined = self.nodes.membership.joined
        addresses = [joined[name][1] for name in names if name in joined]
        self.ending = asyncio.run_coroutine_threadsafe(
            self.client._run(relay.end, workers=addresses, on_error="ignore"),
            cast(Any, self.client.loop).asyncio_loop,
        )
        if wait:
            self.settle()
            deadline = time.monotonic() + SETTLE
            while time.monotonic() < deadline and not all(
                name in self.ready for name in names if name in self.nodes.membership.joined
            ):
                self._take_events({}, wait=LOOK_EVERY)

    def settle(self) -> None:
        """Wait until the last gang's end has been told to its agents."""
        if self.ending is not None:
            with suppress(TimeoutError):
                self.ending.result(SETTLE)

    def _trace(self, names: list[str], states: dict[str, RankState], begin: float, end: float) -> Trace:
        events: list[Event] = []
        for rank, name in enumerate(names):
            value, offset = states[name].value, self.nodes.offset_of(name)
            assert value is not None
            start = value["start"] + offset
            events.append(Event(rank, "start", begin, max(0.0, start - begin)))
            events.append(Event(rank, "compute", start, value["wall"]))
            events += events_of(value["marks"], rank, offset)
            done = start + value["wall"]
            events.append(Event(rank, "idle", done, max(0.0, end - done)))
        return Trace(tuple(events), len(names), begin, end)


def _show(rank: int, text: str) -> None:
    for line in text.splitlines():
        print(f"[rank {rank}] {line}", file=sys.stdout)
