"""Nodes that are processes on this machine, started with the command line that a Slurm job would use."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dask.system import CPU_COUNT
from distributed.deploy.spec import ProcessInterface
from distributed.system import MEMORY_LIMIT

from hpclab import timing
from hpclab.cluster import threads, watchdog
from hpclab.cluster.backends import Backend, command
from hpclab.cluster.host import processes
from hpclab.cluster.request import Request
from hpclab.cluster.roster import is_stopped


class NodeProcess(ProcessInterface):
    """One worker process; `close` sends it SIGTERM, and SIGKILL if it has not ended two seconds later."""

    def __init__(self, scheduler: str, name: str, nodes: LocalNodes):
        super().__init__(scheduler=scheduler, name=name)
        self.scheduler, self.name, self.nodes = scheduler, name, nodes
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        nodes = self.nodes
        jobs = ("DASK_", "HPCLAB_JOB_")  # what an enclosing pool's job says of itself
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(jobs)}
        own = threads.environment(nodes.request.cores_per_node) | command.worker_settings(nodes.directory)
        with open(nodes.logs(self.name)[0], "wb") as log:
            self.process = subprocess.Popen(
                nodes.worker_command(self.scheduler, self.name),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=theirs | own | {watchdog.MARK: nodes.name},
                start_new_session=True,  # an interrupt of the notebook must not end its nodes
            )  # fmt: skip
        nodes.guard.register(watch=self.process.pid, since=processes.start_time(self.process.pid))
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
        """Send SIGKILL to the process and to what it started in its process group."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class LocalNodes(Backend):
    """The nodes of one pool as processes of this machine. Where Pool was given no `memory`, each may use four
    fifths of the machine's limit, divided by its cores or four, whichever is more; at least 256 MiB."""

    kind = "local"

    def __init__(self, batch: None, request: Request, name: str, guard: watchdog.Guard):
        request.refuse_slurm_arguments()
        super().__init__(batch, request, name, guard)
        self.start(NodeProcess, {}, {"host": command.LOOPBACK})

    def worker_command(self, scheduler: str, name: str) -> list[str]:
        """Return the argv of the worker `name`, for the scheduler at this address."""
        memory = self.request.memory or max(256 * 2**20, int(0.8 * MEMORY_LIMIT / max(4, CPU_COUNT)))
        return [
            sys.executable, "-P", "-m", "distributed.cli.dask_worker", scheduler, "--name", name,
            "--nthreads", "1", "--no-nanny", "--memory-limit", str(memory), "--host", command.LOOPBACK,
            "--protocol", "tls://", "--local-directory", str(self.directory), "--death-timeout", "60",
            *command.worker_arguments(self.directory),
        ]  # fmt: skip

    def label(self, nodes: int) -> str:
        named = "1 process" if nodes == 1 else f"{nodes} processes"
        return f"{named} on this machine's {CPU_COUNT} core{'' if CPU_COUNT == 1 else 's'}"

    def job_script(self) -> str:
        return " ".join(self.worker_command("tls://<scheduler>", "<name>"))

    def _process(self, name: str) -> subprocess.Popen[bytes] | None:
        return getattr(self.cluster.workers.get(name), "process", None)

    def ended(self, names: Iterable[str]) -> dict[str, str]:
        return {
            name: f"its process ended with status {process.returncode}"
            for name in names
            if (process := self._process(name)) is not None and process.poll() is not None
        }

    def why(self, name: str) -> str:
        process = self._process(name)
        stopped = process is not None and is_stopped(process.pid)
        state = "is stopped (suspended, as by SIGSTOP)" if stopped else "runs"
        how = f"its process {state} but has not reached the scheduler"
        return f"{name}: {self.ended([name]).get(name, how)}.{self.log(name)}"

    def starved(self, names: Iterable[str]) -> float:
        seconds = [0.0]
        for process in filter(None, map(self._process, names)):
            with suppress(OSError):  # it has just ended
                seconds.append((timing.run_queue_seconds(process=process.pid) or {}).get(process.pid, 0.0))
        return max(seconds)

    def logs(self, name: str) -> list[Path]:
        return [self.directory / f"{name}.log"]

    def end_all(self) -> bool:
        for node in list(self.cluster.workers.values()):
            node.kill()
        return True
