"""For the faults of a Slurm: a moment at which its controller may be killed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hpclab.cluster.local_slurm.cluster import LocalSlurm


@pytest.fixture
def written(local_slurm: LocalSlurm) -> Callable[[], None]:
    """Wait until slurmctld has its state on disk, ten seconds at most: what is newer dies with it."""
    state = local_slurm.directory / "state" / "job_state"

    def wait() -> None:
        now = time.time()
        while time.time() < now + 12 and not (state.exists() and state.stat().st_mtime > now):
            time.sleep(0.1)

    return wait
