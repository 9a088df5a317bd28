"""Nodes that are processes on this machine, for where there is no Slurm.

Dask's LocalCluster starts its workers through multiprocessing, which runs the notebook's or script's main
module again in each of them. These workers are started with the command line a Slurm job would use
instead, so that a script needs no ``if __name__ == "__main__"`` and both backends behave alike.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from distributed import SpecCluster
from distributed.deploy.spec import ProcessInterface

from hpclab.cluster import threads, watchdog
from hpclab.cluster.backends.command import (
    Place,
    core_count,
    last_lines,
    loopback_environment,
    private_directory,
    scheduler_settings,
    secure,
    worker_settings,
)
from hpclab.cluster.guard import Guard
from hpclab.cluster.members import is_stopped


class NodeProcess(ProcessInterface):
    """One worker process; `close` ends it, politely for two seconds and then not."""

    def __init__(
        self, scheduler: str, name: str, pool: str, place: Place, memory: int, cores: int, guard: Guard
    ):
        super().__init__(scheduler=scheduler, name=name)
        self.pool = pool
        self.scheduler, self.name, self.place, self.memory = scheduler, name, place, memory
        self.cores, self.guard = cores, guard
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        theirs = {name: value for name, value in os.environ.items() if not name.startswith("DASK_")}
        environment = theirs | threads.environment(self.cores) | worker_settings(self.place.directory)
        environment[watchdog.MARK] = self.pool
        environment.pop("HPCLAB_JOB_STARTED", None)
        with open(self.place.directory / f"{self.name}.log", "wb") as log:
            self.process = subprocess.Popen(
                self.place.worker_command(self.scheduler, self.name, self.memory),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True,  # an interrupt of the notebook must not end its nodes
            )  # fmt: skip
        self.guard.watch(self.process.pid)
        await super().start()

    async def close(self) -> None:
        if self.process is not None:
            self.process.terminate()
            deadline = time.monotonic() + 2
            while self.process.poll() is None and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            self.kill()
        await super().close()

    def kill(self) -> None:
        """End the process at once, and what it left in its session."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class LocalNodes:
    """The local backend: `cluster` is a Dask cluster whose workers are processes of this machine."""

    kind = "local"
    pretend = single = False
    slurm = None

    def __init__(self, name: str, guard: Guard, cores: int, memory: int | None):
        from hpclab.cluster.door import OwnScheduler

        self.directory = private_directory(name)
        guard.remove(self.directory)
        place, security = Place(self.directory), secure(self.directory)
        self.memory = memory or default_memory()
        options: dict[str, Any] = {
            "pool": name, "place": place, "memory": self.memory, "cores": cores, "guard": guard,
        }  # fmt: skip
        with scheduler_settings(self.directory):
            self.cluster = SpecCluster(
                scheduler={"cls": OwnScheduler, "options": place.scheduler_options(security)},
                worker={"cls": NodeProcess, "options": options},
                security=security, name=name, silence_logs="critical",
            )  # fmt: skip

    def label(self, nodes: int) -> str:
        """What the nodes really are."""
        cores = _count(core_count(), "core", "cores")
        return f"{_count(nodes, 'process', 'processes')} on this machine's {cores}"

    def specification(self, names: list[str]) -> dict[str, Any]:
        """Dask's worker specification for these nodes."""
        return dict.fromkeys(names, self.cluster.new_spec)

    def job_script(self) -> str:
        """The command each node runs; there is no job on this backend."""
        return " ".join(Place(self.directory).worker_command("tls://<scheduler>", "<name>", self.memory))

    def rank_environment(self) -> dict[str, str]:
        """Environment of a gang's ranks: all on this machine, so on its loopback."""
        return loopback_environment()

    def jobs(self) -> list[Any]:
        """No Slurm jobs here."""
        return []

    def ended(self, names: Iterable[str]) -> dict[str, str]:
        """Those of these nodes whose process has ended, each with its status."""
        found = {}
        for name in names:
            node = self.cluster.workers.get(name)
            if isinstance(node, NodeProcess) and node.process is not None and node.process.poll() is not None:
                found[name] = f"its process ended with status {node.process.returncode}"
        return found

    def explain(self, names: list[str]) -> str:
        """Why these nodes have not joined: the state of their processes and their logs' last lines."""
        lines, ended = [], self.ended(names)
        for name in names[:3]:
            state = ended.get(name) or f"its process {self._state(name)} but has not reached the scheduler"
            lines.append(f"{name}: {state}.{self.log(name)}")
        return "\n".join(lines)

    def _state(self, name: str) -> str:
        node = self.cluster.workers.get(name)
        stopped = isinstance(node, NodeProcess) and node.process is not None and is_stopped(node.process.pid)
        return "is stopped (suspended, as by SIGSTOP)" if stopped else "runs"

    def log(self, name: str) -> str:
        """The last lines of a node's log."""
        return last_lines(self.directory / f"{name}.log")

    def end_all(self) -> bool:
        """End every node at once, without asking Dask; True as all have ended."""
        for node in list(self.cluster.workers.values()):
            if isinstance(node, NodeProcess):
                node.kill()
        return True


def default_memory() -> int:
    """Bytes a node may use: four fifths of this machine's limit, shared by four nodes or its cores."""
    from distributed.system import MEMORY_LIMIT

    return max(256 * 2**20, int(0.8 * MEMORY_LIMIT / max(4, core_count())))


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
