"""Fault 11: many starts at once on one node, each with ports, dashboard and Slurm of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path

import psutil
import pytest

FORTY, POOLS = 40, 3


class Starts:
    """`count` Python processes that begin `program` at the same moment and stay until `close`."""

    def __init__(self, count: int, program: str, environments=None):
        begin = "import sys; sys.stdin.readline()\n"
        words = [sys.executable, "-c", begin + program + "\nsys.stdin.read()"]
        self.processes = [
            subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=os.environ | (environments[number] if environments else {}),
            )
            for number in range(count)
        ]  # fmt: skip
        for process in self.processes:
            process.stdin.write("\n")
            process.stdin.flush()

    def answers(self) -> list:
        return [json.loads(process.stdout.readline()) for process in self.processes]

    def close(self) -> None:
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait(60)
            process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if error[0] is not None:
            for process in self.processes:
                process.kill()
        self.close()


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


@pytest.mark.slow
def test_pools_that_start_at_once_each_have_their_own_dashboard():
    program = (
        "import json, os\nfrom hpclab.cluster import Pool\npool = Pool(0, backend='local')\n"
        "print(json.dumps([pool.dashboard['address'], pool._nodes.cluster.scheduler.port, os.getpid(), "
        "pool._nodes.cluster.scheduler.id]), flush=True)\nsys.stdin.read()\npool.close()"
    )
    with Starts(POOLS, program) as starts:
        answers = starts.answers()
        ports = Counter(
            port for address, port, *_ in answers for port in (port, int(address.split(":")[2].split("/")[0]))
        )
        assert set(ports.values()) == {1}
        assert len(ports) == 2 * POOLS
        for address, port, pid, identity in answers:
            mine = {
                (c.laddr.ip, c.laddr.port)
                for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN
            }  # fmt: skip
            assert {ip for ip, _ in mine} == {"127.0.0.1"}
            page = address.replace("/status", "/json/identity.json")
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with browser.open(page, timeout=10) as answer:
                assert json.load(answer)["id"] == identity  # this pool's scheduler, not a neighbour's
            assert port in {number for _, number in mine}


@pytest.mark.soak
@pytest.mark.slurm
def test_two_slurms_at_once_do_not_notice_each_other():
    places = [Path(tempfile.mkdtemp(prefix="hpl-", dir="/tmp")) for _ in range(2)]
    program = (
        "import json\nfrom hpclab.cluster import Pool, local_slurm\ncluster = local_slurm.up(nodes=2)\n"
        "with Pool(2, backend='slurm') as pool:\n"
        "    values = pool.map(lambda n: n * n, range(10))\n"
        "    jobs = [job.name for job in pool._nodes.backend.slurm.queue()]\n"
        "    print(json.dumps([values, cluster.state['ports'], jobs, pool._nodes.name, "
        "str(cluster.directory)]), flush=True)\n    sys.stdin.readline()\nlocal_slurm.down()"
    )
    try:
        environments = [{"HPCLAB_STATE_DIR": str(place)} for place in places]
        with Starts(2, program, environments) as starts:
            answers = starts.answers()
            assert not set(answers[0][1]) & set(answers[1][1])
            for values, _, jobs, name, directory in answers:
                assert values == [n * n for n in range(10)]
                assert jobs == [name] * 2  # its own jobs, and nobody else's
                assert Path(directory).parent in places
            first, second = starts.processes
            first.stdin.close()  # the first closes its pool and ends its Slurm ...
            first.wait(60)
            assert not places[0].exists() or not list(places[0].iterdir())
            conf = {"SLURM_CONF": f"{answers[1][4]}/slurm.conf"}
            nodes = subprocess.run(
                ["sinfo", "--noheader", "--Node", "--partition=main", "--format=%t"],
                env=os.environ | conf, capture_output=True, text=True, check=True, timeout=30,
            )  # fmt: skip
            assert nodes.stdout.split() == ["alloc", "alloc"]  # ... and the second's work goes on
            assert second.poll() is None
    finally:
        for place in places:
            shutil.rmtree(place, ignore_errors=True)
