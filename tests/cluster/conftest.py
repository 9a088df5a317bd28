"""What a Slurm of our own leaves to be seen from the outside; settings of a site, for one test."""

from __future__ import annotations

import os
from pathlib import Path

import dask
import pytest

LEFT = f"sleep {4_000_000 + os.getpid()}"  # what a job leaves behind, told from that of any other run


def snapshot(places: list[Path]) -> tuple[set[str], set[str], set[str]]:
    """From the outside: Slurm's processes, listening sockets, and files below the places they may be in."""
    processes = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if any(str(place) in text for place in places) or LEFT in text:
                processes.add(f"{entry.name} {text}")
    listening = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            listening.add(str(int(words[1].split(":")[1], 16)))
    files = {str(path) for place in places if place.exists() for path in place.rglob("*")}
    return processes, listening, files


@pytest.fixture
def settings(monkeypatch):
    """Puts settings into jobqueue.slurm for one test."""
    held = []

    def put(**values):
        held.append(dask.config.set({"jobqueue.slurm": dask.config.get("jobqueue.slurm", {}) | values}))

    import hpclab.cluster.backends.batch  # noqa: F401 - its defaults must be there first, as in a pool

    yield put
    for each in reversed(held):
        each.__exit__(None, None, None)
