"""`Pool.run` from the notebook's side: starts a gang of ranks, watches it, and ends it as one."""

from __future__ import annotations

import queue
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed.comm import get_address_host

from hpclab import checks
from hpclab.cluster import threads, watch
from hpclab.cluster.backends.command import refuse_lost_places
from hpclab.cluster.errors import PoolError, RankError, SlowRank
from hpclab.cluster.gang import diagnosis, relay
from hpclab.cluster.gang.diagnosis import RankState
from hpclab.cluster.maps import tasks
from hpclab.cluster.repairs import Repairs
from hpclab.cluster.request import MOST_NODES
from hpclab.trace import Event, Trace, events_of

if TYPE_CHECKING:
    from hpclab.cluster.nodes import Nodes

GRACE = 0.4  # seconds after the first failure in which a better explanation may arrive
SETTLE = 5.0  # seconds in which agents receive an order to end, and have their next child ready


class Gangs:
    """The gangs of one pool, one after another. Dictionaries by worker address: `ready`, process id and port
    of its warm child; `used`, process id of the child that ran last; `ended`, its agent's exit status."""

    def __init__(self, nodes: Nodes):
        self.nodes, self.roster, self.loop, self.backend = nodes, nodes.roster, nodes.loop, nodes.backend
        self.request, self.activity = nodes.request, nodes.activity
        self.events: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.ready: dict[str, tuple[int, int]] = {}
        self.used: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.ending: Future[Any] | None = None
        self.states: dict[str, RankState] = {}  # of the gang that runs
        self.loop.client.subscribe_topic(relay.TOPIC, lambda event: self.events.put(tuple(event[1])))

    def run(
        self, function: Callable[..., Any], args: Sequence[Any], ranks: int | None, timeout: float
    ) -> tuple[list[Any], Trace]:
        """Run ``function(*args)`` on the first `ranks` nodes, all if None; return values and Trace. Lost
        nodes are replaced first. `timeout` s is a collective's; RankError names the guilty rank."""
        Repairs(self.nodes).repair()
        have = len(self.roster.names)
        ranks = have if ranks is None else checks.integer("ranks", ranks, 1, MOST_NODES)
        if not 1 <= ranks <= have:
            raise PoolError(
                f"{ranks} ranks need as many nodes and the pool has {have}: call "
                f"pool.scale({max(1, ranks)}) first."
            )
        refuse_lost_places(self.backend.directory)  # an agent starts where its worker does
        self.nodes.wait_for_all(None)
        self.roster.compare_clocks(self.loop)
        begin, names, self.states = time.monotonic(), self.roster.names[:ranks], {}
        payload = tasks.pack((function, tuple(args)))
        addresses = self._ready_addresses(names)
        # What others load for their next child would take cores from this.
        self._wait_ready(self.used)
        self.states = {address: RankState(rank) for rank, address in enumerate(addresses)}
        environments = dict(zip(addresses, self._environments(names, addresses), strict=True))
        for address in addresses:
            self.used[address] = self.ready.pop(address)[0]
        try:
            self._ask(addresses, relay.order, "run", environments, timeout, payload)
            self._watch(names, timeout)
            packed = self._ask(addresses, relay.fetch, limit=600.0)
            values = [tasks.unpack(packed[at]) for at in addresses]
        except BaseException:
            self._end(addresses, wait=True)
            raise
        self._end(addresses, wait=False)
        return values, self._trace(names, begin, time.monotonic())

    def _ready_addresses(self, names: list[str]) -> list[str]:
        """Wait until each agent has a warm child (the first imports torch); return the addresses by rank."""
        self._take_events()
        at = self.roster.addresses(names)
        if missing := [name for name in names if name not in at]:
            raise _lost(names.index(missing[0]))
        addresses = [at[name] for name in names]
        if all(address in self.ready for address in addresses):
            return addresses
        self.ended = {at: status for at, status in self.ended.items() if at not in addresses}
        self._ask(addresses, relay.order, "wake")
        limit = max(60.0, self.request.join_timeout)

        def ready() -> bool:
            here = self.roster.addresses(names)
            for rank, (name, address) in enumerate(zip(names, addresses, strict=True)):
                if here.get(name) != address:
                    raise _lost(rank)
                if address in self.ended and address not in self.ready:
                    raise self._not_ready(rank, name, f"ended with status {self.ended[address]}")
            return all(address in self.ready for address in addresses)

        def late() -> PoolError:
            rank = next(rank for rank, address in enumerate(addresses) if address not in self.ready)
            stopped = self.roster.is_suspended(names[rank])
            how = "its worker is stopped" if stopped else f"nothing after {limit:g} s"
            return self._not_ready(rank, names[rank], f"did not get ready ({how})")

        self.activity.until(ready, limit, late, self._take_events)
        return addresses

    def _not_ready(self, rank: int, name: str, how: str) -> PoolError:
        log = self.backend.log(name)
        return PoolError(
            f"The agent of rank {rank} on its node {how}. The node's log ends:{log or ' (empty)'}"
        )

    def _environments(self, names: list[str], addresses: list[str]) -> list[dict[str, str]]:
        """The environment variables of each rank, as torchrun sets them."""
        hosts = {worker.name: worker.host for worker in self.roster.workers()}
        if self.request.gpus_per_node and not self.backend.on_local_slurm:
            hosts = {}  # with GPUs of its own a node stands for itself
        common = threads.environment(self.request.cores_per_node)
        if network := self.backend.network:  # on which gloo, NCCL and TensorPipe are to stay
            common |= dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME"), network)
        common |= {
            "WORLD_SIZE": str(len(names)), "MASTER_ADDR": get_address_host(addresses[0]),
            "MASTER_PORT": str(self.ready[addresses[0]][1]),
        }  # fmt: skip
        of = [hosts.get(name, name) for name in names]
        return [
            common | {
                "RANK": str(rank), "LOCAL_RANK": str(of[:rank].count(host)),
                "LOCAL_WORLD_SIZE": str(of.count(host)), "GROUP_RANK": str(len(set(of[:rank]))),
            }
            for rank, host in enumerate(of)
        ]  # fmt: skip

    def _ask(
        self, addresses: list[str], what: Callable[..., Any], *args: Any, limit: float = 30.0
    ) -> dict[str, Any]:
        """Call ``what(*args)`` on each worker; return the values by address, or raise RankError."""
        answers = self.loop.ask(addresses, what, *args, limit=limit)
        for rank, answer in enumerate(answers.values()):
            if isinstance(answer, BaseException):
                raise RankError(f"Rank {rank} could not be reached on its node: {answer}.", rank)
        return answers

    def _take_events(self, wait: float = 0.0) -> None:
        """Handle the events that workers have sent, after waiting at most `wait` seconds for the first."""
        while True:
            try:
                at, word, pid, *rest = self.events.get(wait > 0, wait)
            except queue.Empty:
                return
            wait = 0.0
            if word == "ready" and pid != self.used.get(at):
                self.ready[at] = (pid, rest[0])
            elif word == "agent ended":
                self.ready.pop(at, None)
                self.ended[at] = rest[0]
            if at in self.states and pid in (None, self.used.get(at)):
                self.states[at].note(word, rest)

    def _watch(self, names: list[str], timeout: float) -> None:
        """Wait until every rank has returned; warn of slow ranks, raise RankError if the gang fails. A
        function may take as long as it likes, a collective `timeout` s."""
        failed: float | None = None
        told: set[int] = set()
        gang = list(self.states.values())

        def returned() -> bool:
            nonlocal failed
            here = self.roster.addresses(names)
            for name, (address, state) in zip(names, self.states.items(), strict=True):
                if here.get(name) != address and state.ended is None:
                    state.ended = "its node was lost"
                state.suspend("worker", self.roster.is_suspended(name))
            if failed is None and any(diagnosis.has_failed(state, timeout) for state in gang):
                failed = time.monotonic()
            if failed is not None and time.monotonic() > failed + GRACE:
                raise diagnosis.diagnose(gang, timeout)
            for rank, sentence in diagnosis.stall_reports(gang, timeout):
                if rank >= 0 and rank not in told:
                    warnings.warn(SlowRank(sentence), stacklevel=5)
                elif rank not in told:
                    limit = f"the limit of {timeout:g} s; or interrupt the cell."
                    print(f"{sentence} All ranks are ended at {limit}")
                told.add(rank)
            return all(state.value is not None for state in gang)

        self.activity.until(returned, float("inf"), AssertionError, self._take_events)

    def _end(self, addresses: list[str], wait: bool) -> None:
        """End the ranks' processes; with `wait`, return when every agent has reported its child's end."""
        self.ending = self.loop.start(self.loop.answers(addresses, relay.order, "end", limit=SETTLE))
        if wait:
            self.states = {}  # what its ranks still print is passed over
            self.settle()
            with self.activity.cleaning_up():
                self._wait_ready(addresses)

    def _wait_ready(self, addresses: Iterable[str]) -> None:
        """Wait at most `SETTLE` s for the next warm children at `addresses`, but not of suspended workers."""
        here = self.roster.addresses(self.roster.names)
        able = {at for name, at in here.items() if not self.roster.is_suspended(name)}.intersection(addresses)
        deadline = time.monotonic() + SETTLE
        while time.monotonic() < deadline and not able <= self.ready.keys() | self.ended.keys():
            self.activity.check_cancelled()
            self._take_events(watch.TICK)

    def settle(self) -> None:
        """Wait at most `SETTLE` s until the last gang's agents have received the order to end it."""
        if self.ending is not None:
            with suppress(TimeoutError):
                self.ending.result(SETTLE)

    def _trace(self, names: list[str], begin: float, end: float) -> Trace:
        events: list[Event] = []
        for name, state in zip(names, self.states.values(), strict=True):
            value, rank, offset = state.value, state.rank, self.roster.offsets.get(name, 0.0)
            assert value is not None
            start = value["start"] + offset
            events.append(Event(rank, "start", begin, max(0.0, start - begin)))
            events.append(Event(rank, "compute", start, value["wall"]))
            events += events_of(value["marks"], rank, offset)
            done = start + value["wall"]
            events.append(Event(rank, "idle", done, max(0.0, end - done)))
        return Trace(tuple(events), len(names), begin, end)


def _lost(rank: int) -> PoolError:
    return PoolError(f"Node {rank} was lost; scale the pool again, then run again.")
