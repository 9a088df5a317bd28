"""The worker's part in a gang: starts the rank agent when it is first needed and passes messages on.

A rank never runs inside Dask's worker: daemonic, it may not start `DataLoader`'s children; signal handlers
need a main thread; a collective that hangs in a thread could not be ended.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from distributed.comm import get_address_host
from distributed.diagnostics.plugin import WorkerPlugin

from hpclab.cluster.gang import frames
from hpclab.cluster.roster import is_stopped

if TYPE_CHECKING:
    from distributed import Worker

TOPIC = "hpclab-ranks"  # of the pool's own scheduler, where the notebook listens
CHECK_EVERY = 0.2  # seconds between two checks whether agent and rank are suspended


class Relay(WorkerPlugin):
    """The plugin of each Dask worker, from its start (`preload.py`), that holds its rank agent."""

    name = "hpclab-ranks"

    def setup(self, worker: Worker) -> None:
        self.worker = worker
        self.agent: Process | None = None
        self.starting = asyncio.Lock()
        self.rank: int | None = None  # the process id of the agent's child
        self.value = b""  # of the last rank, until it is fetched: too large for an event

    async def teardown(self, worker: Worker) -> None:
        if self.agent is not None:
            with suppress(ProcessLookupError, TimeoutError):
                self.agent.stdin.close()  # type: ignore[union-attr]
                await asyncio.wait_for(self.agent.wait(), 2)
            with suppress(ProcessLookupError):
                self.agent.kill()

    async def order(self, *message: Any) -> None:
        """Send a message to the agent, which is started if there is none."""
        async with self.starting:
            if self.agent is None or self.agent.returncode is not None:
                program = [sys.executable, "-P", "-m", "hpclab.cluster.gang.agent"]
                self.agent = await asyncio.create_subprocess_exec(
                    *program, get_address_host(self.worker.address), stdin=PIPE, stdout=PIPE
                )
                self.listening = asyncio.create_task(self._listen(self.agent))
                self.watching = asyncio.create_task(self._watch_suspended(self.agent))
        assert self.agent.stdin is not None
        self.agent.stdin.write(frames.frame(message))
        await self.agent.stdin.drain()

    async def _watch_suspended(self, agent: Process) -> None:
        """Notify the notebook when agent or rank is suspended or goes on; neither can report it itself."""
        told: list[str] = []
        while agent.returncode is None:
            watched = {"agent": agent.pid, "process": self.rank}
            stopped = [what for what, pid in watched.items() if pid and is_stopped(pid)]
            if stopped != told:
                told = stopped
                self.notify("stopped", None, stopped)
            await asyncio.sleep(CHECK_EVERY)

    async def _listen(self, agent: Process) -> None:
        """Pass the agent's messages on to the notebook, but keep a rank's value until it is fetched."""
        inbox = frames.Frames()
        assert agent.stdout is not None
        while chunk := await agent.stdout.read(2**20):
            for word, pid, *rest in inbox.feed(chunk):
                if word == "ready":
                    self.rank = pid
                elif word == "value":
                    self.value = rest[0].pop("value")
                self.notify(word, pid, *rest)
        self.notify("agent ended", None, await agent.wait())

    def notify(self, *message: Any) -> None:
        """Pass a message on to the notebook."""
        self.worker.log_event(TOPIC, (self.worker.address, *message))


def _relay(worker: Worker) -> Relay:
    return worker.plugins[Relay.name]  # type: ignore[return-value]


async def order(word: str, *rest: Any, dask_worker: Worker) -> None:
    """Send this worker's agent the order "wake", "end", or "run" with `rest`: the ranks' environments by
    worker address, the time limit, packed function and arguments. "end" kills a suspended agent."""
    relay = _relay(dask_worker)
    if word == "run":
        rest = (rest[0][dask_worker.address], *rest[1:])
    if word == "end" and relay.agent is not None and is_stopped(relay.agent.pid):
        relay.agent.kill()
    else:
        await relay.order(word, *rest)


async def fetch(dask_worker: Worker) -> bytes:
    """Return the packed value of this worker's rank, once."""
    relay = _relay(dask_worker)
    value, relay.value = relay.value, b""
    return value
