"""Where a pool's nodes come from: this machine's processes, Slurm jobs, or one Slurm allocation."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

import pkgutil
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpclab.cluster.backends import command
from hpclab.cluster.errors import BatchError, BatchMissing
from hpclab.cluster.request import BACKENDS

if TYPE_CHECKING:
    from hpclab.cluster.request import Request
    from hpclab.cluster.watchdog import Guard


class Backend:
    """The nodes of one pool, known by name; a kind of backend is a subclass. `cluster` is Dask's
    SpecCluster, whose `worker_spec` says which nodes there shall be; `directory` is private: keys, logs,
    scratch."""

    kind: str
    batch: Any  # the batch system where its jobs queue, beside those of the user's other pools, or None
    on_local_slurm = False  # nodes are of the Slurm of this machine, whose GPUs are in name only
    single = False  # whether all nodes are one job, which cannot grow and starts its own workers again
    network: str | None = "lo0" if sys.platform == "darwin" else "lo"  # on which a gang's ranks talk
    cluster: Any

    @staticmethod
    def connect() -> Any:
        """Return a client of the batch system; BatchError where there is none or it does not answer."""

    def __init__(self, batch: Any, request: Request, name: str, guard: Guard, site: bool = False):
        self.batch, self.request, self.name, self.guard, self.site = batch, request, name, guard, site
        self.directory = command.private_directory(name, shared=site)
        guard.register(remove=str(self.directory))

    def start(self, node: type, options: dict[str, Any], listens: Mapping[str, Any]) -> None:
        """Start Dask's scheduler in this process, at the host or interface in `listens`; Dask makes each of
        its nodes by ``node(**options)``."""
        from distributed import SpecCluster

        from hpclab.cluster.door import OwnScheduler

        security = command.make_security(self.directory)
        scheduler = {"port": 0, **listens, **command.SCHEDULER, "protocol": "tls://", "security": security}
        with command.scheduler_settings(self.directory, self.site):
            self.cluster = SpecCluster(
                scheduler={"cls": OwnScheduler, "options": scheduler},
                worker={"cls": node, "options": options | {"nodes": self}},
                security=security, name=self.name, silence_logs="critical",
            )  # fmt: skip

    def label(self, nodes: int) -> str:
        """Return a line that describes so many nodes: of two, ``2 processes on this machine's 8 cores``."""

    def specification(self, names: list[str]) -> dict[str, Any]:
        """Return Dask's `worker_spec` with the nodes of these names."""
        return dict.fromkeys(names, self.cluster.new_spec)

    def job_script(self) -> str:
        """Return the batch script of the job that runs one node, or the command of a node that is no job."""

    def jobs(self) -> list[Any]:
        """This pool's jobs in the queue."""
        return []

    def ended(self, names: Iterable[str]) -> dict[str, str]:
        """How each of these nodes that has ended did so, a clause by name; may wait for the batch system."""

    def explain(self, names: list[str]) -> str:
        """Return why these nodes have not joined, for at most three; may wait for the batch system."""
        told = list(dict.fromkeys(map(self.why, names)))
        return "\n".join(told[:3]) + (f"\n… and {len(told) - 3} more." if len(told) > 3 else "")

    def why(self, name: str) -> str:
        """Return why the node `name` has not joined: its state, the end of its log and the likely cause."""

    def starved(self, names: Iterable[str]) -> float:
        """The most seconds that one of these nodes was runnable without a core; 0 where that is unknown."""
        return 0.0

    def logs(self, name: str) -> list[Path]:
        """Paths of the log files of the node `name`."""

    def log(self, name: str) -> str:
        """The last lines of the logs of the node `name`, indented; empty where there are none."""
        return "".join(map(command.last_lines, self.logs(name)))

    def end_all(self) -> bool:
        """End every node at once, without asking Dask; return False where some are left to the watchdog."""


def choose(request: Request, name: str, guard: Guard) -> Backend:
    """Make the backend that `request` asks for, of the pool `name`; for "auto" the first that there is."""
    for kind, name_of_class in BACKENDS.items():
        if request.backend in ("auto", kind):
            nodes_class = pkgutil.resolve_name(name_of_class)
            try:
                batch = nodes_class.connect()
            except BatchError as error:
                if request.backend == kind:
                    raise
                if not isinstance(error, BatchMissing):
                    warnings.warn(f"{error} So the nodes are processes of this machine.", stacklevel=5)
                continue
            return nodes_class(batch, request, name, guard)
    raise AssertionError("The last backend is this machine, which is always there.")
