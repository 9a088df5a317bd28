"""Fault 20: on a machine without any network but loopback everything runs, on a Slurm of its own as well."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from hpclab.cluster.local_slurm import files

WITHOUT = """
import fcntl, os, socket, struct, subprocess, sys
with socket.socket() as probe:  # a new network namespace has a loopback that is down
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh", b"lo", 0x41))
    assert probe.connect_ex(("192.0.2.1", 80))
"""
EVERYTHING = """
from hpclab.cluster import Pool, local_slurm, slurm

try:
    local_slurm.up(nodes=2)
    client = slurm.connect()
    job = client.submit("#!/bin/sh\\nsrun --nodes=2 --ntasks=2 echo ran\\n", "--nodes=2", "--output=job.out")
    assert client.wait(job, 60).state == "COMPLETED", client.history()
    assert open("job.out").read().split() == ["ran", "ran"]
    for backend in sys.argv[1:]:
        with Pool(2, backend=backend) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
            assert pool.run(abs, -3) == [3, 3]
finally:
    local_slurm.down()
for command in ("doctor", "validate"):
    subprocess.run([sys.executable, "-m", "hpclab.cli", command], check=True, stdout=subprocess.DEVNULL)
"""
LOST = """
import time
from hpclab.cluster import local_slurm, slurm

ip = lambda words: subprocess.run(["ip", *words.split()], check=True)
ip("link add name v0 type veth peer name v1")
ip("addr add 192.0.2.7/24 dev v0")
ip("link set v0 up")
try:
    local_slurm.up(nodes=1)
    client = slurm.connect()
    assert len(client.nodes()) == 1
    ip("link del v0")
    time.sleep(1)
    try:
        client.queue()
    except slurm.SlurmError as error:
        assert "without one its commands do not find it: hpclab slurm down, then" in str(error), error
    else:
        raise SystemExit("the queue was told")
    local_slurm.down()
    local_slurm.up(nodes=1)
    assert slurm.connect().queue() == []
finally:
    local_slurm.down()
"""


@pytest.fixture
def offline(state_dir, tmp_path):
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "--net", "true"], capture_output=True).returncode:
        pytest.skip("only root can take the network away from a process")

    def run(program, *words):
        done = subprocess.run(
            [unshare, "--net", sys.executable, "-c", WITHOUT + program, *words],
            cwd=tmp_path, env=os.environ | {"HPCLAB_STATE_DIR": str(state_dir)}, capture_output=True,
            text=True, timeout=280,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    return run


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.parametrize(
    "backends", [("slurm",), pytest.param(("slurm", "local"), marks=pytest.mark.soak)], ids=len
)
def test_pools_jobs_and_commands_run_without_a_network(offline, backends):
    offline(EVERYTHING, *backends)


@pytest.mark.slurm
@pytest.mark.soak
@pytest.mark.skipif(not shutil.which("ip"), reason="needs ip, of the package iproute2")
def test_a_slurm_that_loses_the_network_says_what_to_do(offline):
    offline(LOST)


@pytest.mark.parametrize(("families", "lost"), [([], False), (["EnableIPv6"], True)])
def test_a_slurm_of_the_time_with_a_network_is_known(tmp_path, monkeypatch, families, lost):
    """The short form of the one before: what its commands are told is decided by this."""
    (tmp_path / "slurm.conf").write_text("ClusterName=hpclab\n")
    monkeypatch.setattr(files, "_families", lambda: families)
    assert files.lost_its_network(tmp_path / "slurm.conf") is lost
