"""Our own Slurm, many times on one machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hpclab.cluster import local_slurm
from tests.cluster.conftest import snapshot

pytestmark = [pytest.mark.slurm, pytest.mark.soak]


def test_forty_starts_at_once_on_one_machine(monkeypatch) -> None:
    """Forty learners on one node: forty clusters with ports of their own, each with its own job done."""
    program = (
        "from hpclab.cluster import local_slurm, slurm\n"
        "cluster = local_slurm.up(nodes=1)\n"
        "client = slurm.connect(export=False)\n"
        "job = client.submit('#!/bin/sh\\ntrue\\n', '--output=/dev/null')\n"
        "print(job, client.wait(job, 200).state, *cluster.state['ports'], flush=True)\n"
        "input()\n"
        "local_slurm.down()\n"
    )
    places = [Path(tempfile.mkdtemp(prefix="hpl-", dir="/tmp")) for _ in range(40)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ | {"HPCLAB_STATE_DIR": str(place)}, cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for place in places
    ]  # fmt: skip
    try:
        lines = [process.stdout.readline().split() for process in running]
        assert all(line[:2] == ["1", "COMPLETED"] for line in lines), lines
        ports = [port for line in lines for port in line[2:]]
        assert len(set(ports)) == len(ports) == 80
        for process in running:
            process.communicate("\n", timeout=120)
    finally:
        for process, place in zip(running, places, strict=True):
            process.kill()
            process.wait()
            monkeypatch.setenv("HPCLAB_STATE_DIR", str(place))
            local_slurm.down()
            shutil.rmtree(place, ignore_errors=True)
    assert not snapshot(places)[0]
