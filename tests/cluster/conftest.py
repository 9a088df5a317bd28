"""What a Slurm of our own leaves to be seen from the outside; settings of a site, for one test."""

import contextlib
import os
from pathlib import Path

import dask
import psutil
import pytest

LEFT = f"sleep {4_000_000 + os.getpid()}"  # what a job leaves behind, told from that of any other run


def snapshot(places: list[Path]) -> tuple[set[str], set[str], set[str]]:
    """From the outside: Slurm's processes, listening sockets, and files below the places they may be in."""
    lines = {f"{one.pid} {' '.join(one.info['cmdline'] or [])}" for one in psutil.process_iter(["cmdline"])}
    processes = {line for line in lines if LEFT in line or any(str(place) in line for place in places)}
    sockets = [one for one in psutil.net_connections("tcp4") if one.status == psutil.CONN_LISTEN]
    listening = {str(one.laddr.port) for one in sockets}
    files = {str(path) for place in places if place.exists() for path in place.rglob("*")}
    return processes, listening, files


@pytest.fixture
def settings(monkeypatch):
    """Puts settings into jobqueue.slurm for one test."""
    import hpclab.cluster.backends.batch  # noqa: F401 - its defaults must be there first, as in a pool

    def put(**values):
        before = dask.config.get("jobqueue.slurm", {})
        held.enter_context(dask.config.set({"jobqueue.slurm": before | values}))

    with contextlib.ExitStack() as held:
        yield put
