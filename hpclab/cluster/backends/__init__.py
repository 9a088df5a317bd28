"""Where a pool's nodes come from: this machine's processes, Slurm jobs, or one Slurm allocation."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hpclab.cluster.request import Request
    from hpclab.cluster.slurm import Slurm
    from hpclab.cluster.watchdog import Guard


class Backend(Protocol):
    """What a pool needs of where its nodes come from. Nodes are known by name."""

    kind: str
    on_local_slurm: bool = False  # nodes are of the Slurm of this machine, whose GPUs are in name only
    single: bool = False  # whether all nodes are one job, which cannot grow and starts its own workers again
    slurm: Slurm | None = None  # where its jobs queue, beside those of the user's other pools
    cluster: Any  # Dask's SpecCluster, whose `worker_spec` says which nodes there shall be
    directory: Path  # private: keys, logs, scratch
    network: str | None = "lo0" if sys.platform == "darwin" else "lo"  # on which a gang's ranks talk

    def label(self, nodes: int) -> str:
        """What the nodes really are, in one line."""

    def specification(self, names: list[str]) -> dict[str, Any]:
        """Dask's worker specification for these nodes."""

    def job_script(self) -> str:
        """What is submitted, or run, for a node."""

    def rank_environment(self) -> dict[str, str]:
        """Environment of a gang's ranks: what keeps gloo, NCCL and TensorPipe on the network."""
        names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME")
        return dict.fromkeys(names, self.network) if self.network else {}

    def jobs(self) -> list[Any]:
        """This pool's jobs in Slurm's queue."""
        return []

    def ended(self, names: Iterable[str]) -> dict[str, str]:
        """Those of these nodes whose process or job has ended, each with how; may take as long as Slurm."""

    def explain(self, names: list[str]) -> str:
        """Why these nodes have not joined: state, last words and likely cause; may take as long as Slurm."""

    def starved(self, names: Iterable[str]) -> float:
        """The most seconds in which one of these nodes wanted a core and had none; 0 where nobody can say."""
        return 0.0

    def log(self, name: str) -> str:
        """The last lines that a node wrote, indented; empty where there are none."""

    def end_all(self) -> bool:
        """End every node at once, without asking Dask; False where that is left to the watchdog."""


def choose(request: Request, name: str, guard: Guard) -> Backend:
    """The backend that a request asks for; "auto" is Slurm where there is one or one can be started."""
    if request.backend != "local":
        from hpclab.cluster import slurm

        try:
            found = slurm.connect(export=False)
        except slurm.SlurmError as error:
            if request.backend == "slurm":
                raise
            if not isinstance(error, slurm.SlurmMissing):
                warnings.warn(f"{error} So the nodes are processes of this machine.", stacklevel=5)
        else:
            from hpclab.cluster.backends.slurm import SlurmNodes

            return SlurmNodes(found, request, name, guard)
    from hpclab.cluster.backends.local import LocalNodes

    request.refuse_slurm_words()
    return LocalNodes(name, guard, request.cores_per_node, request.memory)
