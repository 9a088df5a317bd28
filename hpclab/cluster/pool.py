"""A Pool is where code runs: nodes that are this machine's processes, or jobs of a batch system.

    with Pool(nodes=2) as pool:
        pool.scale(4)                        # returns when four have joined
        values = pool.map(task, items)       # values in the order of items
        ranks = pool.run(function)           # a gang of ranks, torch.distributed initialised

It does one thing at a time, and leaves nothing behind when it is closed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hpclab import checks
from hpclab.cluster.request import MOST_NODES, Request

if TYPE_CHECKING:
    from hpclab.cluster.maps.tasks import TaskRecord
    from hpclab.cluster.roster import Worker
    from hpclab.trace import Trace

Progress = Callable[[int, int], None]


class Pool:
    """Nodes that run code: jobs of a batch system through dask-jobqueue, or this machine's processes.

    `nodes` join before the constructor returns. `backend` is one of `request.BACKENDS`: "slurm", or "local",
    this machine's processes; "auto" takes the first that exists or can be started; `label` says which. Each
    node runs one task at a time with `cores_per_node` threads; `memory` is bytes per node or text such as
    "2 GiB"; `walltime` and `join_timeout` are seconds or text, the walltime by default the site's or half an
    hour; `extra_directives` are sbatch options such as "--qos=debug".
    `allocation="single"` asks Slurm for all nodes in one job, for gangs over several nodes or GPUs. Raises
    ValueError for what can be seen to be wrong at once, SubmitError for what Slurm refuses, JoinError for
    nodes that do not come up.
    """

    def __init__(
        self, nodes: int = 1, *, backend: str = "auto", cores_per_node: int = 1, gpus_per_node: int = 0,
        memory: str | float | None = None, partition: str | None = None, account: str | None = None,
        walltime: str | float | None = None, join_timeout: str | float = 60.0, allocation: str = "jobs",
        extra_directives: Iterable[str] = (),
    ):  # fmt: skip
        request = Request.checked(
            nodes, backend, cores_per_node, gpus_per_node, memory, partition, account, walltime,
            join_timeout, allocation, extra_directives,
        )  # fmt: skip
        from hpclab.cluster.nodes import Nodes

        self._nodes = Nodes(request)
        self._finalizer = weakref.finalize(self, Nodes.close, self._nodes)
        self._tasks: list[TaskRecord] = []
        self._trace: Trace | None = None
        try:
            if request.nodes:
                self.scale(request.nodes)
        except BaseException:
            self.close()
            raise

    backend = property(lambda self: self._nodes.backend.kind, doc="One of `request.BACKENDS`.")
    nodes = property(lambda self: len(self._nodes.roster.here()), doc="How many nodes have joined.")
    label = property(lambda self: self._nodes.backend.label(self.nodes), doc="Kind of nodes, in one line.")
    tasks = property(lambda self: list(self._tasks), doc="A TaskRecord per task of the last map.")

    @property
    def trace(self) -> Trace | None:
        """The Trace of the last scale and map, or of the last run; None before the first."""
        return self._trace if self._trace is not None else self._nodes.scale_trace

    @property
    def dashboard(self) -> dict[str, str]:
        """Where Dask's dashboard is: `address` on loopback, `proxy` the path behind JupyterHub.

        Both hold the key that opens it: they are for its owner's eyes only.
        """
        return self._nodes.cluster.scheduler.own_dashboard.addresses

    def scale(self, nodes: int, progress: Progress | None = None) -> None:
        """Start or end nodes; return when `nodes` have joined; call ``progress(joined, nodes)`` meanwhile.

        Raises JoinError, with the jobs' states and the likely cause, when they have not after `join_timeout`
        seconds; the jobs that did not join are cancelled, the nodes that did stay.
        """
        wanted = checks.integer("nodes", nodes, 0, MOST_NODES)
        _check_progress(progress)
        with self._nodes.activity.one_thing(f"scale({wanted})"):
            self._trace = None
            self._nodes.scale(wanted, progress)

    def map(
        self, task: Callable[[Any], Any], items: Iterable[Any], *, progress: Progress | None = None
    ) -> list[Any]:
        """Return ``[task(item) for item in items]``, run on nodes that are free; ``progress(done, total)``.

        A node that is lost is replaced and its unfinished task runs again, so a task with an effect should
        take effect in one step (write under a temporary name, then rename). An exception of a task ends
        the map and is raised here; NodeKilled names an item that ends every node it is tried on.
        """
        checks.instance("task", task, Callable, "a function of one item")
        checks.instance("items", items, Iterable, "a list, an item for each task")
        _check_progress(progress)
        from hpclab.cluster.maps import mapping

        with self._nodes.activity.one_thing("map"):
            self._nodes.take_back()
            values, self._tasks, self._trace = mapping.map_items(self._nodes, task, list(items), progress)
        return values

    def run(
        self, function: Callable[..., Any], *args: Any, ranks: int | None = None, timeout: float = 60.0
    ) -> list[Any]:
        """Run ``function(*args)`` on every rank of a gang at once; return the values in the order of ranks.

        Each rank is a fresh process with torch.distributed's default group initialised, RANK, WORLD_SIZE and
        LOCAL_RANK set as torchrun sets them, and the function on its main thread. `ranks` is the number of
        nodes unless fewer are asked for; `timeout`, in seconds, is that of one collective. RankError names
        the rank that raised, died, was stopped or missed a collective; a slow one is warned of (SlowRank).
        """
        checks.instance("function", function, Callable, "a function")
        limit = checks.number("timeout", timeout, 0.5, 86400, "seconds")
        from hpclab.cluster.gang import gangs

        with self._nodes.activity.one_thing("run"):
            self._nodes.take_back()
            nodes = self._nodes
            nodes.gangs = nodes.gangs or gangs.Gangs(nodes)
            values, self._trace = nodes.gangs.run(function, args, ranks, limit)
        return values

    def workers(self) -> list[Worker]:
        """The nodes that have joined, by rank; times in seconds on the pool's clock."""
        return self._nodes.roster.workers()

    def jobs(self) -> list[Any]:
        """This pool's jobs as the batch system lists them; empty on the local backend."""
        return self._nodes.backend.jobs()

    def job_script(self) -> str:
        """Return the batch script of the job that runs a node; the worker's command on the local backend."""
        return self._nodes.backend.job_script()

    def cancel(self) -> None:
        """End, from another thread, the call under way, which then raises Cancelled; the nodes stay."""
        self._nodes.activity.cancel()

    def close(self) -> None:
        """End every node and job and remove every file; safe to call again, also while the pool works.

        A call under way then raises PoolClosed.
        """
        self._nodes.activity.end()
        self._finalizer()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<Pool closed>" if not self._finalizer.alive else f"<Pool of {self.label}>"


def _check_progress(progress: object) -> None:
    checks.instance("progress", progress, Callable | None, "a function of done and total")
