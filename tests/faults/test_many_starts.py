"""Fault 11: many starts at once on one node, each with ports of its own."""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from hpclab.cluster import local_slurm
from tests.cluster.conftest import snapshot

RESERVE = """
import json, random
from multiprocessing import get_context
from hpclab.cluster.host.ports import ReservedPorts

def reserve(answers):
    together.wait()
    ports = ReservedPorts.reserve(9)
    answers.put(ports.numbers)
    together.wait()  # nobody lets go before all have theirs

fork = get_context("fork")
together, answers = fork.Barrier(40), fork.SimpleQueue()
random.shuffle = lambda blocks: None  # so that all meet at every block
processes = [fork.Process(target=reserve, args=(answers,)) for _ in range(40)]
for process in processes:
    process.start()
print(json.dumps([answers.get() for _ in processes]))
for process in processes:
    process.join()
"""


def test_forty_reservations_at_once_share_no_port():
    """Forty processes that begin at one moment; one interpreter forks them, so that none is late."""
    said = subprocess.run([sys.executable, "-c", RESERVE], capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    taken = Counter(port for numbers in json.loads(said.stdout) for port in numbers)
    assert len(taken) == 40 * 9
    assert set(taken.values()) == {1}
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not any(low <= number <= high for number in taken)  # the kernel's own to give


SLURM = """
import os, sys
os.environ["HPCLAB_STATE_DIR"] = sys.argv[1]
from hpclab.cluster import local_slurm, slurm
cluster = local_slurm.up(nodes=1)
client = slurm.connect(export=False)
job = client.submit("#!/bin/sh\\ntrue\\n", "--output=/dev/null")
print(job, client.wait(job, 200).state, *cluster.state["ports"], flush=True)
sys.stdin.read()
local_slurm.down()
"""


@pytest.mark.slurm
@pytest.mark.soak
def test_forty_slurms_at_once_have_ports_of_their_own_and_each_its_job_done(start, monkeypatch):
    with tempfile.TemporaryDirectory(prefix="hpl-", dir="/tmp") as above:
        places = [Path(above, str(number)) for number in range(40)]
        running = [start(SLURM, str(place)) for place in places]
        try:
            lines = [process.stdout.readline().split() for process in running]
            assert all(line[:2] == ["1", "COMPLETED"] for line in lines), lines
            ports = [port for line in lines for port in line[2:]]
            assert len(set(ports)) == len(ports) == 80
            for process in running:
                process.communicate(timeout=120)
        finally:
            for place in places:
                monkeypatch.setenv("HPCLAB_STATE_DIR", str(place))
                local_slurm.down()
        assert not snapshot(places)[0]
