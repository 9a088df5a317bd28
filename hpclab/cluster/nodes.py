"""The nodes behind a pool: asked for, joined, lost and replaced, and in the end all gone.

A node has a name of its own and holds a rank. When it is lost, another with a new name takes over its rank.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Client

from hpclab import checks
from hpclab.cluster import backends, dashboard
from hpclab.cluster.errors import JoinError, PoolError
from hpclab.cluster.gang.gangs import Gangs
from hpclab.cluster.guard import Guard
from hpclab.cluster.maps import timeline
from hpclab.cluster.members import Identity, Membership, Worker, identify
from hpclab.cluster.repairs import Repairs
from hpclab.cluster.request import MOST_NODES
from hpclab.cluster.slurm_commands import SlurmError

if TYPE_CHECKING:
    from hpclab.cluster.request import Request
    from hpclab.trace import Trace

Look = Callable[[], None]
Progress = Callable[[int, int], None]


class Nodes:
    """Owned by one Pool, which never appears here, so that a forgotten pool can be collected and closed."""

    def __init__(self, request: Request):
        self.request = request
        self.name = f"hpclab-{secrets.token_hex(4)}"
        self.guard = Guard()
        self.names: list[str] = []
        self.submitted: dict[str, float] = {}
        self.identities: dict[str, Identity] = {}
        self.ranks: dict[str, int] = {}  # of every node there has been since the last scale
        self.refused: dict[str, SlurmError] = {}  # replacements whose job was not taken
        self.scale_trace: Trace | None = None
        self._counter = 0
        self._closed = False
        self.gangs: Gangs | None = None
        self.client: Client | None = None
        self._note: Path | None = None  # tells JupyterLab where the dashboard is
        self.backend: Any = None
        try:
            self.backend = backends.choose(request, self.name, self.guard)
            self.cluster = self.backend.cluster
            self.membership = Membership()
            self.cluster.sync(self._attend)
            self.client = Client(self.cluster, set_as_default=False)
            self._note = dashboard.announce(self.cluster.scheduler.own_dashboard)
            self.guard.remove(self._note)
        except BaseException:
            self.close()
            raise

    async def _attend(self) -> None:
        self.cluster.scheduler.add_plugin(self.membership)

    def count(self) -> int:
        """How many nodes have joined."""
        return sum(name in self.membership.joined for name in self.names)

    def label(self) -> str:
        """What the nodes really are."""
        return self.backend.label(self.count())

    def dashboard(self) -> dict[str, str]:
        """The loopback address of Dask's dashboard and its path behind JupyterHub, with its key."""
        return self.cluster.scheduler.own_dashboard.addresses

    def workers(self) -> list[Worker]:
        """The nodes that have joined, by rank."""
        found = []
        for rank, name in enumerate(self.names):
            joined, who = self.membership.joined.get(name), self.identities.get(name)
            if joined is not None and who is not None:
                times = self.submitted[name], who.started, joined[0]
                found.append(Worker(rank, name, who.host, who.job_id, who.pid, *times))
        return found

    def scale(self, wanted: int, progress: Progress | None, look: Look) -> None:
        """Have `wanted` nodes joined, or raise JoinError, SubmitError or what `look()` raises."""
        begin = time.monotonic()
        if self.backend.single:  # all or nothing; a worker that was lost is started again by its job
            ended = any(self.backend.ended(name) for name in self.names if not self.here(name))
            self.names = [] if ended or len(self.names) != wanted else self.names
        else:
            self.names = [name for name in self.names if self.here(name)][:wanted]
        self.names += self._new_names(wanted - len(self.names))
        try:
            self._apply()
            self._wait_for_all(progress, look, begin + self.request.join_timeout)
            self.introduce()
        except BaseException:
            self.names = [name for name in self.names if name in self.membership.joined]
            self._apply()
            raise
        self.ranks = {name: rank for rank, name in enumerate(self.names)}
        self.scale_trace = timeline.scale_trace(self.workers(), begin, time.monotonic())

    def _wait_for_all(self, progress: Progress | None, look: Look, deadline: float) -> None:
        seen = -1
        while True:
            look()
            missing = [name for name in self.names if name not in self.membership.joined]
            if progress is not None and seen != (seen := len(self.names) - len(missing)):
                progress(seen, len(self.names))
            if not missing:
                return
            ended = [name for name in missing if self.backend.ended(name)]
            if ended or time.monotonic() > deadline:
                raise self._join_error(ended or missing, deadline)
            before = self.membership.joined
            self.membership.wait(lambda before=before: self.membership.joined is not before, 0.1)  # type: ignore[misc]

    def _join_error(self, missing: list[str], deadline: float) -> JoinError:
        when = "ended before they joined" if time.monotonic() < deadline else (
            f"had not joined after {self.request.join_timeout:g} s"
        )  # fmt: skip
        return JoinError(
            f"{len(missing)} of {len(self.names)} nodes {when}. {self.backend.explain(missing)}\n"
            "Those nodes have been given up; the ones that joined stay."
        )

    def replace(self, names: list[str]) -> list[str]:
        """Give up these nodes and ask for as many new ones, which take over their ranks; the new names.

        A Slurm that takes no job now, or is away, is no error here: `refused` says so of the name.
        """
        fresh = self._new_names(len(names)) if names else []
        for name, new in zip(names, fresh, strict=True):
            rank = self.names.index(name)
            self.names[rank], self.ranks[new] = new, rank
        if names:
            try:
                self._apply()
            except SlurmError as error:
                self.refused.update({name: error for name in fresh if self.backend.ended(name)})
        return fresh

    def gang(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        ranks: int | None,
        timeout: float,
        look: Look,
    ) -> tuple[list[Any], Trace]:
        """Run a gang on the first `ranks` nodes; lost ones are replaced first."""
        Repairs(self).look()
        ranks = len(self.names) if ranks is None else checks.integer("ranks", ranks, 1, MOST_NODES)
        if not 1 <= ranks <= len(self.names):
            raise PoolError(
                f"{ranks} ranks need as many nodes and the pool has {len(self.names)}: call "
                f"pool.scale({max(1, ranks)}) first."
            )
        self._wait_for_all(None, look, time.monotonic() + self.request.join_timeout)
        self.introduce()
        if self.gangs is None:
            self.gangs = Gangs(self)
        return self.gangs.run(function, args, ranks, timeout, look)

    def introduce(self) -> None:
        """Learn who the newly joined are."""
        assert self.client is not None
        joined = self.membership.joined
        new = {name: joined[name][1] for name in self.names if name in joined and not self.known(name)}
        if new:
            for who in identify(self.client, new):
                self.identities[who.name] = who
                # An allocation starts a lost worker again before anyone here has noticed the loss.
                self.submitted[who.name] = min(self.submitted[who.name], who.started)

    def rank_of(self, name: str) -> int:
        """The rank a node holds, or held when it was lost."""
        return self.ranks.get(name, 0)

    def offset_of(self, name: str) -> float:
        """Seconds to add to a node's clock to get the pool's."""
        who = self.identities.get(name)
        return who.offset if who is not None else 0.0

    def known(self, name: str) -> bool:
        """Whether this node is here, and is the process that introduced itself under this name."""
        who, joined = self.identities.get(name), self.membership.joined.get(name)
        return who is not None and joined is not None and who.address == joined[1]

    def here(self, name: str) -> bool:
        """Whether this node has joined and not left."""
        return name in self.membership.joined

    def _new_names(self, count: int) -> list[str]:
        """Names that no node of this pool has had; those of one allocation share the name of its job."""
        first = self._counter
        self._counter += 1 if self.backend.single else count
        if self.backend.single:
            names = [f"{self.name}-{first}-{member}" for member in range(count)]
        else:
            names = [f"{self.name}-{number}" for number in range(first, first + count)]
        self.submitted.update(dict.fromkeys(names, time.monotonic()))
        return names

    def _apply(self) -> None:
        async def apply() -> None:
            self.cluster.worker_spec = self.backend.specification(self.names)
            await self.cluster._correct_state()

        self.cluster.sync(apply)

    def close(self) -> None:
        """End every node and remove every file. If this is cut short, the watchdog finishes it."""
        if self._closed:
            return
        self._closed = True
        loop = getattr(getattr(self, "cluster", None), "loop", None)
        inside = loop is not None and getattr(loop, "asyncio_loop", None) is not None and (
            threading.current_thread() is getattr(self.cluster._loop_runner, "_loop_thread", None)
        )  # fmt: skip
        if inside:  # collected by chance on Dask's own thread, which cannot wait for itself
            threading.Thread(target=self._close, daemon=False).start()
        else:
            self._close()

    def _close(self) -> None:
        all_ended = False
        try:
            if self.gangs is not None:
                self.gangs.settle()
            if self.backend is not None:
                all_ended = self.backend.end_all()
            if self.client is not None:
                self.client.close(timeout=5)
            if hasattr(self, "cluster"):
                self.cluster.close(timeout=20)
            if self.backend is not None:
                shutil.rmtree(self.backend.directory, ignore_errors=True)
            if self._note is not None:
                dashboard.withdraw(self._note)
        except BaseException:
            self.guard.abandon()
            raise
        if all_ended:
            self.guard.dismiss()
        else:  # Slurm did not answer, or a backend was only half made
            self.guard.abandon()
