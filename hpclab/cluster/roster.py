"""The list of a pool's nodes, which maps, gangs and repairs all read.

A node has a name of its own and holds a rank; when it is lost, another with a new name takes over its rank.
Only `Nodes` changes who is wanted, and only Dask's scheduler, through this plugin, who has joined.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from distributed.diagnostics.plugin import SchedulerPlugin

from hpclab.cluster.host import processes

if TYPE_CHECKING:
    from distributed import Scheduler

    from hpclab.cluster.watch import Loop

ROUNDS = 7  # times that a node is asked for its clock


@dataclass(frozen=True, slots=True)
class Worker:
    """One node of a pool: `submitted`, `started` and `joined` are seconds on the pool's clock.

    `here`: whether it is in this machine's and container's PID namespace, so that `pid` is valid here.
    """

    rank: int
    name: str
    host: str
    job_id: str
    pid: int
    submitted: float
    started: float
    joined: float
    address: str = ""
    here: bool = True


def introduction() -> dict[str, Any]:
    """What a worker reports of itself as it joins: host, process id, job id, seconds since its job or process
    began (`age`), its monotonic clock now, its boot and PID namespace (`where`)."""
    # A job script writes down when it began, by a clock that no setting of the time moves.
    began = os.environ.get("HPCLAB_JOB_STARTED", "")
    up = Path("/proc/uptime")
    age = float(up.read_text().split()[0]) - float(began) if began else own_age()
    return {
        "host": socket.gethostname(), "pid": os.getpid(), "age": max(0.0, age), "clock": time.monotonic(),
        "job_id": os.environ.get("HPCLAB_JOB_ID", ""),
        "where": processes.boot_and_pid_namespace(),
    }  # fmt: skip


def own_age() -> float:
    """Seconds since this process started; not by way of the boot time, which is known in whole seconds."""
    if ticks := processes.start_time(os.getpid()):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
    return time.time() - psutil.Process().create_time()  # where this is no Linux


def is_stopped(pid: int) -> bool:
    """Whether this process of this machine is suspended, as by SIGSTOP."""
    with suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return False


class Roster(SchedulerPlugin):
    """Plugin of Dask's scheduler that records a pool's nodes as they join and leave. `names`: the nodes that
    are wanted, in the order of their ranks, joined or not.

    Dictionaries by name, with lost nodes as well: `submitted`, when a node was asked for on the pool's clock;
    `ranks`; `offsets`, seconds to add to a node's clock to get the pool's.
    """

    name = "hpclab-roster"

    def __init__(self) -> None:
        self.names: list[str] = []
        self.submitted: dict[str, float] = {}
        self.ranks: dict[str, int] = {}
        self.offsets: dict[str, float] = {}
        self._changed = threading.Condition()
        self._joined: dict[str, Worker] = {}
        self._losses: list[Worker] = []  # nodes that left although they were wanted, not yet taken
        self._compared: set[str] = set()  # addresses of those whose clocks' offsets are as good as can be
        self._scheduler: Any = None

    # Dask's scheduler calls these on its own thread.

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self._scheduler, state = scheduler, scheduler.workers[worker]
        name, now = str(state.name), time.monotonic()
        if name not in self.names:  # given up while it was on its way
            leave = scheduler.remove_worker
            scheduler.loop.add_callback(leave, worker, stimulus_id="hpclab-not-wanted")
            return
        said = state.extra["hpclab"]
        here, there = processes.boot_and_pid_namespace(), tuple(said["where"])
        one_clock = bool(here[0]) and here[0] == there[0]
        if one_clock:
            self._compared.add(worker)
        with self._changed:
            self.offsets[name] = offset = 0.0 if one_clock else now - said["clock"]
            started = said["clock"] - said["age"] + offset
            # An allocation starts a lost worker again before anyone here has noticed the loss.
            self.submitted[name] = submitted = min(self.submitted.get(name, now), started)
            who = Worker(
                self.ranks.get(name, 0), name, said["host"], said["job_id"], said["pid"], submitted, started,
                now, worker, one_clock and here == there,
            )  # fmt: skip
            self._joined = self._joined | {name: who}  # readers keep theirs
            self._changed.notify_all()

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        with self._changed:
            gone = [who for who in self._joined.values() if who.address == worker]
            self._losses += [who for who in gone if who.name in self.names]
            self._joined = {name: who for name, who in self._joined.items() if who.address != worker}
            self._compared.discard(worker)
            self._changed.notify_all()

    # What `Nodes` decides.

    def want(self, names: Iterable[str], since: float | None = None) -> None:
        """Set the nodes that are wanted, by new rank; new ones were asked for at `since`, or now if None."""
        with self._changed:
            self.names = list(names)
            self.ranks = {name: rank for rank, name in enumerate(self.names)}
            joined = self._joined.items()
            self._joined = {name: replace(who, rank=self.ranks.get(name, who.rank)) for name, who in joined}
            self._losses = [who for who in self._losses if who.name in self.names]
            self.offsets = {name: seconds for name, seconds in self.offsets.items() if name in self.names}
            now = time.monotonic() if since is None else since
            self.submitted = {name: self.submitted.get(name, now) for name in self.names}

    def replace(self, name: str, fresh: str) -> None:
        """Give the rank of `name` to node `fresh`: the same name where the job itself restarts its worker."""
        with self._changed:
            rank = self.names.index(name)
            self.names[rank], self.ranks[fresh], self.submitted[fresh] = fresh, rank, time.monotonic()

    def take_losses(self) -> list[Worker]:
        """Return, once, the nodes that have left although they were wanted."""
        with self._changed:
            losses, self._losses = self._losses, []
        return losses

    def compare_clocks(self, loop: Loop) -> None:
        """Measure the clock offset of each newly joined node of another machine, by the quickest of `ROUNDS`
        answers, whose error is at most half its round trip.

        A node that does not answer keeps the offset of its introduction, right to some milliseconds.
        """
        for who in [who for who in self.workers() if who.address not in self._compared]:
            best = float("inf"), self.offsets[who.name]
            for _ in range(ROUNDS):  # one question at a time, so that no answer waits behind another's
                begin = time.monotonic()
                answer = loop.ask([who.address], time.monotonic, limit=2.0)[who.address]
                end = time.monotonic()
                if not isinstance(answer, float):
                    break
                best = min(best, (end - begin, (begin + end) / 2 - answer))
            with self._changed:
                if self._joined.get(who.name) is who:
                    self._compared.add(who.address)
                    started = who.started - self.offsets[who.name] + best[1]
                    self._joined = self._joined | {who.name: replace(who, started=started)}
                    self.offsets[who.name] = best[1]

    # What anybody may ask.

    def here(self) -> list[str]:
        """Names of the nodes that have joined and not left."""
        return [name for name in self.names if name in self._joined]

    def missing(self) -> list[str]:
        """Names of the nodes that have not joined, or have left."""
        return [name for name in self.names if name not in self._joined]

    def wait(self, timeout: float) -> None:
        """Wait until no node is missing, at most `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self.missing(), timeout)

    def worker(self, name: str) -> Worker | None:
        """The node that has joined under this name, or None."""
        return self._joined.get(name)

    def addresses(self, names: Iterable[str]) -> dict[str, str]:
        """Name to Dask address, for those of `names` that have joined."""
        joined = self._joined
        return {name: joined[name].address for name in names if name in joined}

    def workers(self) -> list[Worker]:
        """The nodes that have joined, by rank."""
        joined = self._joined
        return [joined[name] for name in self.names if name in joined]

    def is_suspended(self, name: str) -> bool:
        """Whether the node's process is suspended, as by SIGSTOP; False for a node of another machine."""
        who = self._joined.get(name)
        return who is not None and who.here and is_stopped(who.pid)

    def is_stuck(self, name: str) -> bool:
        """Whether the node has joined but takes no task: suspended, or out of memory while no task runs."""
        state = self._state(name)
        paused = bool(state) and state.status.name == "paused" and not state.executing
        return paused or self.is_suspended(name)

    def memory(self, name: str) -> int:
        """Bytes that the node may use."""
        return getattr(self._state(name), "memory_limit", 0)

    def _state(self, name: str) -> Any:
        """Dask's WorkerState of the node, or None where it has not joined."""
        return (who := self._joined.get(name)) and self._scheduler.workers.get(who.address)
