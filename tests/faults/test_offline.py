"""Fault 20: on a machine without any network but loopback everything runs, on a Slurm of its own as well."""

import shutil
import subprocess
import sys

import pytest

from hpclab.cluster.local_slurm import files
from hpclab.cluster.slurm import SlurmError

PROGRAM = """
import fcntl, os, socket, struct, subprocess, sys
with socket.socket() as probe:  # a new network namespace has a loopback that is down
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh", b"lo", 0x41))
    assert probe.connect_ex(("192.0.2.1", 80))

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


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.parametrize(
    "backends", [("slurm",), pytest.param(("slurm", "local"), marks=pytest.mark.soak)], ids=len
)
def test_pools_jobs_and_commands_run_without_a_network(state_dir, tmp_path, backends):
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "--net", "true"], capture_output=True).returncode:
        pytest.skip("only root can take the network away from a process")
    words = [unshare, "--net", sys.executable, "-c", PROGRAM, *backends]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr


@pytest.mark.slurm
def test_a_slurm_of_the_time_with_a_network_says_what_to_do(client, monkeypatch):
    monkeypatch.setattr(files, "_communication_parameters", lambda: ["EnableWhatItHasNot"])
    with pytest.raises(SlurmError, match="without one its commands do not find it: hpclab slurm down, "):
        client.queue()
