"""Who has joined: the workers behind a pool's ranks, on one clock.

Times of different machines cannot be compared until the clocks are: each worker is asked the time several
times, and the quickest answer, whose error is at most half its round trip, gives the offset.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

if TYPE_CHECKING:
    from distributed import Client, Scheduler

ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Worker:
    """One node of a pool: `submitted`, `started` and `joined` are seconds on the pool's clock."""

    rank: int
    name: str
    host: str
    job_id: str
    pid: int
    submitted: float
    started: float
    joined: float


@dataclass(frozen=True, slots=True)
class Identity:
    """What a worker says of itself; `offset` added to its clock gives the pool's."""

    name: str
    address: str
    host: str
    job_id: str
    pid: int
    started: float
    offset: float


class Membership(SchedulerPlugin):
    """Notes, inside the scheduler, when each worker joined and which have left."""

    name = "hpclab-membership"

    def __init__(self) -> None:
        self.joined: dict[str, tuple[float, str]] = {}
        self.changed = threading.Condition()

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        with self.changed:
            name = str(scheduler.workers[worker].name)
            self.joined = self.joined | {name: (time.monotonic(), worker)}  # readers keep theirs
            self.changed.notify_all()

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        with self.changed:
            self.joined = {name: at for name, at in self.joined.items() if at[1] != worker}
            self.changed.notify_all()

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until `condition()` holds, at most `timeout` seconds; looked at when any join or leave."""
        with self.changed:
            return self.changed.wait_for(condition, timeout)


def introduce() -> dict[str, Any]:
    """What the worker this runs on is: host, process, job, when its job began, and its clock now."""
    began = os.environ.get("HPCLAB_JOB_STARTED", "")
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "job_id": os.environ.get("SLURM_JOB_ID", "") if began else "",
        "age": max(0.0, uptime() - float(began)) if began else process_age(),
        "clock": time.monotonic(),
        "boot": boot(),
    }


def uptime() -> float:
    """Seconds since this machine started, which a job script can read too; no setting of a clock moves it."""
    return float(Path("/proc/uptime").read_text().split()[0])


def process_age() -> float:
    """Seconds since this process started; not from the boot time, which is known in whole seconds."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError):
        import psutil

        return max(0.0, time.time() - psutil.Process().create_time())


def boot() -> str:
    """A name for this start of this machine's kernel; processes that share it share the monotonic clock."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def identify(client: Client, addresses: dict[str, str]) -> list[Identity]:
    """Ask the workers at `addresses` (name to address) who they are, and estimate their clocks' offsets."""
    best: dict[str, tuple[float, float, dict[str, Any]]] = {}
    for _ in range(ROUNDS):
        ask: Sequence[str] = [at for at in addresses.values() if at not in best or not _here(best[at][2])]
        if not ask:
            break
        for address in ask:  # one at a time, so that no answer waits behind another's
            begin = time.monotonic()
            answer = client.run(introduce, workers=[address], on_error="ignore").get(address)
            end = time.monotonic()
            if answer is not None and (address not in best or end - begin < best[address][0]):
                best[address] = (end - begin, (begin + end) / 2 - answer["clock"], answer)
    found = []
    for name, address in addresses.items():
        if address in best:
            _, offset, answer = best[address]
            offset = 0.0 if _here(answer) else offset
            started = answer["clock"] + offset - answer["age"]
            found.append(
                Identity(name, address, answer["host"], answer["job_id"], answer["pid"], started, offset)
            )
    return found


def _here(answer: dict[str, Any]) -> bool:
    return bool(answer["boot"]) and answer["boot"] == boot()
