"""Fault 11: many starts at once on one node, each with ports of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

FORTY = 40
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
