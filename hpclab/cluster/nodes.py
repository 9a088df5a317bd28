"""The nodes behind a pool: starts them, waits until they join, replaces lost ones, ends them all."""

from __future__ import annotations

import itertools
import secrets
import shutil
import threading
import time
import warnings
from collections.abc import Iterable
from contextlib import ExitStack, nullcontext, suppress
from typing import TYPE_CHECKING

from distributed import Client

from hpclab.cluster import backends
from hpclab.cluster.backends.command import refuse_lost_places
from hpclab.cluster.errors import BatchError, JoinError, NodeLost, PoolError
from hpclab.cluster.maps import tasks
from hpclab.cluster.notes import Notes
from hpclab.cluster.roster import Roster
from hpclab.cluster.turns import Turns
from hpclab.cluster.watch import Activity, Loop, Progress
from hpclab.cluster.watchdog import Guard

if TYPE_CHECKING:
    from hpclab.cluster.gang.gangs import Gangs
    from hpclab.cluster.request import Request
    from hpclab.trace import Trace

APPLY = 90.0  # seconds in which jobs are submitted or cancelled; each command has a limit of its own
ASK_SLURM = 60.0  # seconds in which Slurm answers a question about jobs
FETCH = 3.0  # seconds to reach a node that has a value, before Dask is asked again who has it: it may be gone
END = 15.0  # seconds in which all jobs are cancelled, or the watchdog goes on
TOGETHER = 1.0  # seconds in which nodes end for one reason: they are reported together


class Nodes:
    """The nodes of one Pool, without a reference to it, so that a forgotten pool is collected and closed."""

    def __init__(self, request: Request):
        self.request, self.activity, self.roster = request, Activity(), Roster()
        self.name = f"hpclab-{secrets.token_hex(4)}"
        self.guard = Guard(self.name)
        self.refused: dict[str, BatchError] = {}  # replacements whose job was not taken
        self.scale_trace: Trace | None = None
        self.gangs: Gangs | None = None
        self.turns: Turns | None = None
        self._lent = 0  # nodes that were given to another pool
        self._numbers = itertools.count()
        self._all_ended = False
        self._dask_thread: threading.Thread | None = None
        self._ends = ExitStack()  # what closing does, the last first
        self._ends.push(self._let_go)
        try:
            self.backend = backends.choose(request, self.name, self.guard)
            self._ends.callback(shutil.rmtree, self.backend.directory, ignore_errors=True)
            self.cluster = self.backend.cluster
            self._ends.callback(self._close_cluster)
            self.cluster.sync(self._register_roster)
            client = Client(self.cluster, set_as_default=False)
            client.rpc.timeout = FETCH
            self._ends.callback(client.close, timeout=5)
            self._ends.callback(self._end_nodes)
            self.loop = Loop(client, self.activity)
            batch, dashboard = self.backend.batch, self.cluster.scheduler.own_dashboard
            self.notes = Notes(self.name, batch.kind if batch else "", dashboard)
            self.guard.register(remove=str(self.notes.path))
            self._ends.callback(self.notes.withdraw)
            if batch:
                self.turns = Turns(self, batch)
                self._ends.callback(self.turns.close)
        except BaseException:
            self.close()
            raise

    async def _register_roster(self) -> None:
        self._dask_thread = threading.current_thread()
        self.cluster.scheduler.add_plugin(self.roster)

    def scale(self, wanted: int, progress: Progress | None) -> None:
        """Start or end nodes until `wanted` have joined; raises JoinError, SubmitError or Cancelled."""
        refuse_lost_places(self.backend.directory)
        begin, roster, self._lent = time.monotonic(), self.roster, 0
        ended = self.ended(roster.missing())
        if self.backend.single:  # all or nothing; a worker that was lost is started again by its job
            names = [] if ended or len(roster.names) != wanted else roster.names
        else:  # those that are here before those that are on their way
            here = [name for name in roster.here() if not roster.is_stuck(name)]
            coming = [name for name in roster.missing() if name not in ended and name not in self.refused]
            names = [name for name in roster.names if name in [*here, *coming][:wanted]]
        need = wanted - len(names)
        with self.turns.taken(need) if self.turns else nullcontext():
            roster.want(names + self._new_names(need), begin)
            try:
                self._apply()
                self.wait_for_all(progress)
                roster.compare_clocks(self.loop)
            except BaseException:
                roster.want(roster.here())
                with self.activity.cleaning_up():
                    self._apply()
                raise
        self.scale_trace = tasks.scale_trace(roster.workers(), begin, time.monotonic())

    def take_back(self) -> None:
        """Ask again for as many nodes as were given to another pool; does nothing if none were."""
        if self._lent:
            warnings.warn(NodeLost("The nodes were given to another pool or job of yours that waited: asking "
                                   "for as many again."), stacklevel=3)  # fmt: skip
            self.scale(self._lent, None)

    async def give_way(self) -> None:
        """End every node, so that another pool or job can have them; to be awaited on Dask's event loop."""
        self._lent = len(self.roster.names)
        self.roster.want([])
        await self._correct_state()

    def wait_for_all(self, progress: Progress | None) -> None:
        """Wait until all nodes have joined, and call ``progress(joined, wanted)``; JoinError for nodes whose
        job or process ended, or that have not joined within `join_timeout`."""
        roster, limit, seen, first = self.roster, self.request.join_timeout, -1, float("inf")

        def joined() -> bool:
            nonlocal seen, first
            missing = roster.missing()
            if progress is not None and seen != (seen := len(roster.names) - len(missing)):
                progress(seen, len(roster.names))
            if missing and (ended := self.ended(missing)):
                first = min(first, now := time.monotonic())
                if len(ended) == len(missing) or now > first + TOGETHER:
                    raise not_joined(list(ended), "ended before they joined")
            return not missing

        def not_joined(missing: list[str], when: str) -> JoinError:
            return JoinError(
                f"{len(missing)} of {len(roster.names)} nodes {when}. {self.why(missing)}\n"
                "Those nodes have been given up; the ones that joined stay."
            )

        late = lambda: not_joined(roster.missing(), f"had not joined after {limit:g} s")  # noqa: E731
        starved = lambda: self.backend.starved(roster.missing())  # noqa: E731
        self.activity.until(joined, limit, late, roster.wait, starved)

    def ended(self, names: Iterable[str]) -> dict[str, str]:
        """Name to how the node's process or job ended, for those of `names` that have ended."""
        if not (names := list(names)):
            return {}
        late = f"Slurm did not say within {ASK_SLURM:g} s what became of the jobs."
        return self.activity.call(ASK_SLURM, lambda: BatchError(late), self.backend.ended, names)

    def why(self, names: list[str]) -> str:
        """Why these nodes have not joined."""
        late = lambda: BatchError("Slurm does not answer, so nobody knows why.")  # noqa: E731
        try:
            return self.activity.call(ASK_SLURM, late, self.backend.explain, names)
        except BatchError as error:
            return str(error)

    def replace(self, names: list[str]) -> list[str]:
        """Give up these nodes and ask for as many new ones, which take over their ranks; return their names.

        Where Slurm takes no job now, or does not answer, nothing is raised: `refused` has the error by name.
        """
        if not names:
            return []
        refuse_lost_places(self.backend.directory)
        fresh, gone = self._new_names(len(names)), self.roster.addresses(names)
        for name, new in zip(names, fresh, strict=True):
            self.roster.replace(name, new)

        async def expel() -> None:  # else Dask asks a node that leaves for its data, and waits for an answer
            for address in gone.values():
                await self.cluster.scheduler.remove_worker(address, stimulus_id="hpclab-expel")

        with self.activity.cleaning_up():  # the roster has the new names, so they must be asked for
            self.loop.run(expel())
        try:
            self._apply()
        except BatchError as error:
            self.refused.update(dict.fromkeys(self.ended(fresh), error))
        return fresh

    def _new_names(self, count: int) -> list[str]:
        """Names that no node of this pool has had; those of a single allocation begin with its job's name."""
        if self.backend.single:
            job = next(self._numbers)
            return [f"{self.name}-{job}-{member}" for member in range(count)]
        return [f"{self.name}-{next(self._numbers)}" for _ in range(count)]

    def _apply(self) -> None:
        """Have Dask start and end nodes until they are those of the roster."""
        try:
            self.loop.run(self._correct_state(), APPLY, " to start and end nodes")
        except OSError as error:
            raise PoolError(f"A node could not be started: {error.strerror or error}.") from error

    async def _correct_state(self) -> None:
        """Tell Dask which nodes are wanted, and have it start and end jobs or processes to match."""
        self.cluster.worker_spec = self.backend.specification(self.roster.names)
        await self.cluster._correct_state()

    def close(self) -> None:
        """End every node and remove every file. If this is cut short, the watchdog finishes it."""
        if not self.activity.is_own():  # a forked child has a copy of what is not its own
            return
        if threading.current_thread() is self._dask_thread:  # which cannot wait for itself
            threading.Thread(target=self._close, daemon=False).start()
        else:
            self._close()

    def _close(self) -> None:
        with self.activity.cleaning_up():
            self._ends.close()

    def _end_nodes(self) -> None:
        if self.gangs is not None:
            self.gangs.settle()
        with suppress(TimeoutError):  # then the jobs are the watchdog's to cancel
            self._all_ended = self.activity.call(END, TimeoutError, self.backend.end_all)

    def _close_cluster(self) -> None:
        with suppress(TimeoutError):
            self.cluster.close(timeout=20)

    def _let_go(self, kind: type[BaseException] | None, *_: object) -> None:
        """Dismiss the watchdog if every node has ended without an exception (of `kind`), else abandon it."""
        if self._all_ended and kind is None:
            self.guard.dismiss()
        else:  # Slurm did not answer, closing was cut short, or a backend was only half made
            self.guard.abandon()
