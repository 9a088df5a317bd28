"""Where a pool's nodes come from: this machine's processes, Slurm jobs, or one Slurm allocation.

A backend has a Dask `cluster` whose worker specification it fills, a private `directory`, and can say of a
node by name whether its process or job has ended and why it has not joined.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpclab.cluster.guard import Guard
    from hpclab.cluster.request import Request


def choose(request: Request, name: str, guard: Guard) -> Any:
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
