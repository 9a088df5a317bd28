"""Loaded by every worker as it starts (``dask worker --preload``): a worker ends with whoever started it.

When a job is cancelled its batch shell may die first; a worker in the middle of a long call into C would
then outlive it, adopted by nobody that Slurm still watches.
"""

from __future__ import annotations

import os
from typing import Any

from hpclab.cluster.host import linux


def dask_setup(worker: Any) -> None:
    """Dask calls this when the worker starts."""
    linux.die_with_parent(os.getppid())
