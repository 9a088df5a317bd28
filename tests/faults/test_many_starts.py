"""Fault 11: many starts at once on one node, each with ports and a dashboard of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import psutil
import pytest

FORTY, POOLS = 40, 3
RESERVE = """
import json, random
from multiprocessing import get_context
from hpclab.cluster.host.ports import Ports

def reserve(answers):
    together.wait()
    ports = Ports.reserve(9)
    answers.put(ports.numbers)
    together.wait()  # nobody lets go before all have theirs

fork, forty = get_context("fork"), {forty}
together, answers = fork.Barrier(forty), fork.SimpleQueue()
if not {shuffled}:
    random.shuffle = lambda blocks: None
processes = [fork.Process(target=reserve, args=(answers,)) for _ in range(forty)]
for process in processes:
    process.start()
print(json.dumps([answers.get() for _ in processes]))
for process in processes:
    process.join()
"""


@pytest.mark.parametrize("shuffled", [True, False], ids=["as it is", "all meet at every block"])
def test_forty_reservations_at_once_share_no_port(shuffled):
    """Forty processes that begin at one moment; one interpreter forks them, so that none is late."""
    program = RESERVE.format(forty=FORTY, shuffled=shuffled)
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    taken = Counter(port for numbers in json.loads(said.stdout) for port in numbers)
    assert len(taken) == FORTY * 9
    assert set(taken.values()) == {1}
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not any(low <= number <= high for number in taken)  # the kernel's own to give


POOL = """
import json, os, sys
from hpclab.cluster import Pool
sys.stdin.readline()
pool = Pool(0, backend="local")
scheduler = pool._nodes.cluster.scheduler
print(json.dumps([pool.dashboard["address"], scheduler.port, os.getpid(), scheduler.id]), flush=True)
sys.stdin.read()
pool.close()
"""


@pytest.mark.slow
def test_pools_that_start_at_once_each_have_their_own_dashboard():
    words = [sys.executable, "-c", POOL]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(words, **pipes) for _ in range(POOLS)]
    try:
        for process in processes:
            print(file=process.stdin, flush=True)
        ports = []
        for process in processes:
            address, port, pid, identity = json.loads(process.stdout.readline())
            mine = [c.laddr for c in psutil.Process(pid).net_connections("tcp") if c.status == "LISTEN"]
            assert {listening.ip for listening in mine} == {"127.0.0.1"}
            assert port in {listening.port for listening in mine}
            page = address.replace("/status", "/json/identity.json")
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with browser.open(page, timeout=60) as answer:
                assert json.load(answer)["id"] == identity  # this pool's scheduler, not a neighbour's
            ports += [port, int(address.split(":")[2].split("/")[0])]
        assert len(set(ports)) == 2 * POOLS
    finally:
        for process in processes:
            process.communicate(timeout=60)
