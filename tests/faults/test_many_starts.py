"""Faults 11 and 15: many starts at once on one node, kernels restarted, cells run twice or out of order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

import psutil
import pytest

from hpclab.cluster import local_slurm as up_and_down
from hpclab.cluster import slurm

FORTY, POOLS = 40, 6


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


@pytest.mark.slow
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


class Kernel:
    """A real Jupyter kernel, as JupyterLab starts and restarts it."""

    def __init__(self):
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(kernel_name="python3", startup_timeout=60)

    def run(self, code: str, timeout: float = 60) -> str:
        """What the cell prints, or its error's name and text."""
        said: list[str] = []

        def note(message):
            content = message["content"]
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                said.append(content["text"])
            if message["msg_type"] == "error":
                said.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(code, timeout=timeout, output_hook=note)
        return "".join(said).strip()

    def restart(self, now: bool) -> None:
        self.manager.restart_kernel(now=now)
        self.client.wait_for_ready(timeout=60)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def own_slurm(state_dir):
    """Four nodes of its own for one test, and nothing left in the queue ten seconds after it."""
    cluster = up_and_down.up(nodes=4)
    try:
        yield cluster
        client, begin = slurm.connect(export=False), time.monotonic()
        while client.queue():
            assert time.monotonic() - begin < 10
            time.sleep(0.1)
    finally:
        up_and_down.down()


START = """
from hpclab.cluster import Pool, slurm
pool = Pool(nodes=2)
print(pool._nodes.name, pool._nodes.backend.slurm.environment["SLURM_CONF"], pool.nodes)
"""


@pytest.mark.slow
@pytest.mark.slurm
def test_a_kernel_restarted_twice_finds_the_slurm_and_leaves_no_job(own_slurm):
    cluster, supervisor, client = own_slurm, own_slurm.supervisor, slurm.connect(export=False)
    kernel = Kernel()
    try:
        names = []
        for restart_now in (True, False, None):
            # Of four nodes, so the third pool needs what the first held.
            name, conf, nodes = kernel.run(START).split()
            assert nodes == "2"
            assert conf == str(cluster.directory / "slurm.conf")
            assert kernel.run("print(pool.map(abs, [-1, -2]))") == "[1, 2]"
            names.append(name)
            if restart_now is not None:
                begin = time.monotonic()
                if restart_now:  # killed with jobs that wait, which no worker's end will end
                    kernel.client.execute("pool.scale(6)")
                    while (jobs := Counter(job.state for job in client.queue())) != {
                        "RUNNING": 4,
                        "PENDING": 2,
                    }:
                        assert time.monotonic() - begin < 30, jobs
                        time.sleep(0.1)
                    waiting = [job.id for job in client.queue() if job.state == "PENDING"]
                else:  # while a map runs, as impatient people do
                    kernel.client.execute("import time; pool.map(time.sleep, [60] * 4)")
                    time.sleep(1)
                kernel.restart(now=restart_now)
                begin = time.monotonic()
                while [job for job in client.queue() if job.name == name]:
                    assert time.monotonic() - begin < 10, "its jobs are still there"
                    time.sleep(0.1)
        assert len(set(names)) == 3
        assert {job.state for job in client.history(waiting)} == {"CANCELLED"}  # and not begun in vain
        assert up_and_down.find().supervisor == supervisor
    finally:
        kernel.close()
    begin = time.monotonic()
    while list(cluster.directory.parent.glob("hpclab-????????-*")):
        assert time.monotonic() - begin < 15
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.slurm
def test_cells_run_twice_and_out_of_order(own_slurm):
    cluster = own_slurm
    kernel = Kernel()
    try:
        first = kernel.run(START)
        second = kernel.run(START)  # start clicked twice: the new pool works, the old one is collected
        assert first.split()[0] != second.split()[0]
        assert kernel.run("import gc; gc.collect(); print(pool.map(abs, [-1]))") == "[1]"
        begin = time.monotonic()
        client = slurm.connect(export=False)
        while {job.name for job in client.queue()} != {second.split()[0]}:
            assert time.monotonic() - begin < 10
            time.sleep(0.1)
        # The start of Slurm, twice: the same one.
        again = kernel.run("c = slurm.connect(); c = slurm.connect(); print(c.environment['SLURM_CONF'])")
        assert again == str(cluster.directory / "slurm.conf")
        # A cell before the one it needs, and one after the last.
        out_of_order = kernel.run("empty = Pool(nodes=0)\nempty.map(abs, [1])")
        assert out_of_order == "PoolError: The pool has no nodes: call pool.scale(n) first."
        assert "pool.scale(1) first" in kernel.run("empty.run(abs)")
        kernel.run("pool.close(); pool.close()")
        assert kernel.run("pool.map(abs, [1])").startswith(
            "PoolClosed: This pool has been closed; make a new"
        )
        # A cell interrupted: the nodes are still there for the next.
        kernel.run("empty.scale(1)")
        kernel.client.execute("import time; empty.map(time.sleep, [60])")
        time.sleep(1.5)
        kernel.manager.interrupt_kernel()
        assert kernel.client.get_shell_msg(timeout=10)["content"]["ename"] == "KeyboardInterrupt"
        assert kernel.run("print(empty.map(abs, [-3]), empty.nodes)", timeout=30) == "[3] 1"
    finally:
        kernel.close()


@pytest.mark.slurm
def test_a_job_of_another_hand_is_known_at_once(own_slurm):
    """`!sbatch` in a notebook goes past us; what squeue said a moment before must not deny its job."""
    client = slurm.connect(export=False)
    for _ in range(5):
        client.queue()
        said = subprocess.run(
            ["sbatch", "--parsable", "--output=/dev/null", "--wrap=true"],
            env=dict(client.environment), capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        number = int(said)
        assert [job.id for job in client.queue([number])] == [number]
    assert client.wait(number, 60).state == "COMPLETED"
