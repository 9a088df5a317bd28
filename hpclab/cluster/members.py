"""A node of a pool as it introduces itself when it joins (`preload.py`): process, machine, clock."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpclab.cluster.host import processes


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
    """What a worker says of itself; `offset` added to its clock, on which its job `began`, gives the pool's.

    `here`: whether this process can see that one, by its process id. `compared`: whether the offset is known
    as well as it can be; so from the beginning where both have one clock.
    """

    name: str
    address: str
    host: str
    job_id: str
    pid: int
    began: float
    joined: float
    offset: float
    here: bool
    compared: bool

    @classmethod
    def of_worker(cls, name: str, address: str, said: Mapping[str, Any]) -> Identity:
        """Of a Dask worker that joins now, from what it reports of itself."""
        now, shared = time.monotonic(), bool(said["boot"]) and said["boot"] == boot()
        return cls(
            name, address, said["host"], said["job_id"], said["pid"], began=said["clock"] - said["age"],
            joined=now, offset=0.0 if shared else now - said["clock"],
            here=shared and said["space"] == process_space(), compared=shared,
        )  # fmt: skip

    @property
    def started(self) -> float:
        """When its job or process began, on the pool's clock."""
        return self.began + self.offset


def introduction() -> dict[str, Any]:
    """What the process this runs in is: host, process, job, the age of its job, and its clock now."""
    # A job script writes down when it began, by a clock that no setting of the time moves.
    began = os.environ.get("HPCLAB_JOB_STARTED", "")
    age = float(Path("/proc/uptime").read_text().split()[0]) - float(began) if began else process_age()
    return {
        "host": socket.gethostname(), "pid": os.getpid(), "age": max(0.0, age), "clock": time.monotonic(),
        "job_id": os.environ.get("HPCLAB_JOB_ID", ""),
        "boot": boot(), "space": process_space(),
    }  # fmt: skip


def process_age() -> float:
    """Seconds since this process started; not from the boot time, which is known in whole seconds."""
    try:
        ticks = int(processes.start_time(os.getpid()))
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (ValueError, AttributeError):  # no Linux
        import psutil

        return time.time() - psutil.Process().create_time()


def boot() -> str:
    """A name for this start of this machine's kernel; processes that share it share the monotonic clock."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def process_space() -> str:
    """What a process id is a name in: containers of one machine have a space of their own each."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def is_stopped(pid: int) -> bool:
    """Whether this process of this machine is suspended, as by SIGSTOP."""
    import psutil

    with suppress(psutil.Error):
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return False
