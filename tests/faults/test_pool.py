"""What is left when a notebook ends in every way it can end, seen from outside; and nodes that never join."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from hpclab.cluster import Pool
from hpclab.cluster.errors import JoinError, NodeKilled, NodeLost

BACKENDS = ["local", pytest.param("slurm", marks=pytest.mark.slurm)]


class Notebook:
    """A Python process that owns a pool of two nodes and has run a gang, then does `ending`."""

    def __init__(self, backend: str, ending: str):
        program = f"""
            import gc, json, os, signal, sys, time
            from hpclab.cluster import Pool
            pool = Pool(2, backend="{backend}")
            pool.run(os.getpid)
            pids = [worker.pid for worker in pool.workers()]
            facts = {{"pids": pids, "directory": str(pool._nodes.backend.directory), "name": pool._nodes.name,
                     "watchdog": pool._nodes.guard.pid, "port": pool._nodes.cluster.scheduler.port,
                     "dashboard": int(pool.dashboard["proxy"].split("/")[1])}}
            print(json.dumps(facts), flush=True)
            sys.stdin.readline()  # until the test has seen who is there
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program) + textwrap.dedent(ending)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.facts = json.loads(line)
        roots = [psutil.Process(pid) for pid in [*self.facts["pids"], self.process.pid]]
        self.family = roots + [child for root in roots for child in root.children(recursive=True)]
        self.process.stdin.write("go on\n")
        self.process.stdin.close()

    def left(self, slurm_environment) -> list[str]:
        """Everything that is still there."""
        left = [str(p) for p in self.family if _alive(p)]
        if Path(self.facts["directory"]).exists():
            left.append(self.facts["directory"])
        for name in ("port", "dashboard"):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.facts[name])) == 0:
                    left.append(f"port {self.facts[name]}")
        if slurm_environment:
            jobs = subprocess.run(
                ["squeue", "--noheader", "--name", self.facts["name"], "--format=%i %T"],
                env=slurm_environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            left += [f"job {line}" for line in jobs.stdout.splitlines() if "COMPLETING" not in line]
        return left

    def close(self):
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


ENDINGS = {
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "killed while it maps": """
        import threading
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGKILL)).start()
        pool.map(time.sleep, [60, 60])
    """,
    "killed while a gang runs, one rank of it stopped": """
        import threading
        threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGKILL)).start()
        def stop_or_compute():
            if os.environ["RANK"] == "1":
                os.kill(os.getpid(), signal.SIGSTOP)
            while True:
                pass
        pool.run(stop_or_compute)
    """,
    "killed while another process holds its pipes": """
        if os.fork() == 0:
            time.sleep(40)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    """,
    "collected": "del pool; gc.collect(); time.sleep(60)",
    "raised": "pool.map(lambda item: 1 / item, [0])",
    "left": "sys.exit()",
    "terminated": "os.kill(os.getpid(), signal.SIGTERM)",
    "interrupted while it maps": """
        import threading
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
        pool.map(time.sleep, [60, 60])
    """,
}


# On Slurm these end as others do that are tried there: the long form has them all.
ALIKE = {"collected", "raised", "left", "terminated"}
WAYS = [pytest.param("local", ending) for ending in ENDINGS] + [
    pytest.param("slurm", ending, marks=[pytest.mark.slurm, *([pytest.mark.soak] if ending in ALIKE else [])])
    for ending in ENDINGS
]


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "ending"), WAYS)
def test_nothing_is_left_within_ten_seconds(backend, ending, request):
    environment = request.getfixturevalue("local_slurm").environment if backend == "slurm" else None
    notebook = Notebook(backend, ENDINGS[ending])
    try:
        if ending != "collected":
            notebook.process.wait(30)
        begin = time.monotonic()
        expected = [p for p in notebook.family if p.pid == notebook.process.pid]
        if ending == "collected":
            notebook.family = [p for p in notebook.family if p not in expected]
        if "holds its pipes" in ending:  # and with them its listening sockets, which are its own business
            notebook.facts |= {"port": 1, "dashboard": 1}
            notebook.family = [p for p in notebook.family if p.pid in notebook.facts["pids"]]
        while (left := notebook.left(environment)) and time.monotonic() - begin < 15:
            time.sleep(0.2)
        assert left == []
        assert time.monotonic() - begin < 10
        watchdog = notebook.facts["watchdog"]
        deadline = time.monotonic() + 5
        while psutil.pid_exists(watchdog) and ending != "collected" and time.monotonic() < deadline:
            if _zombie(watchdog):
                break
            time.sleep(0.1)
        assert ending == "collected" or not psutil.pid_exists(watchdog) or _zombie(watchdog)
    finally:
        if notebook.process.poll() is None:
            os.killpg(notebook.process.pid, signal.SIGKILL)
        notebook.close()


def _zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_task_that_always_kills_its_worker_is_named(backend, request):
    if backend == "slurm":
        request.getfixturevalue("local_slurm")

    def fatal(number):
        if number == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
        return number

    with Pool(2, backend=backend) as pool:
        with pytest.warns(NodeLost), pytest.raises(NodeKilled, match="item 13") as raised:
            pool.map(fatal, range(20))
        assert raised.value.item == 13
        assert pool.map(fatal, range(10)) == list(range(10))


@pytest.mark.slow
def test_a_task_that_only_waited_on_lost_nodes_is_tried_again(tmp_path):
    def fatal_once(place):
        path, number = place
        try:
            os.close(os.open(f"{path}/{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return number
        os.kill(os.getpid(), signal.SIGKILL)

    # The last waits while each of the others ends the node.
    with Pool(1, backend="local") as pool, pytest.warns(NodeLost):
        assert pool.map(fatal_once, [(str(tmp_path), n) for n in range(6)]) == list(range(6))


def test_a_local_node_that_cannot_start(monkeypatch):
    from hpclab.cluster.backends.command import Place

    monkeypatch.setattr(
        Place,
        "worker_command",
        lambda self, *_: [sys.executable, "-c", "raise SystemExit('no such library')"],
    )
    begin = time.monotonic()
    with pytest.raises(JoinError, match=r"(?s)ended before they joined.*status 1.*no such library"):
        Pool(2, backend="local", join_timeout=30)
    assert time.monotonic() - begin < 15


@pytest.mark.slurm
class TestNeverJoined:
    """Real causes on the real Slurm; the message names state, log and cause, and no job is left."""

    @pytest.fixture(autouse=True)
    def _after(self, local_slurm):
        yield
        jobs = subprocess.run(
            ["squeue", "--noheader", "--format=%j %T"],
            env=local_slurm.environment,
            capture_output=True,
            text=True,
        ).stdout
        assert not [
            line for line in jobs.splitlines() if line.startswith("hpclab-") and "COMPLETING" not in line
        ]

    def test_python_does_not_exist(self, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/no/such/place/bin/python")
        monkeypatch.setattr("hpclab.cluster.guard.sys", _System())
        with pytest.raises(JoinError, match=r"(?s)FAILED.*No such file.*does not exist on the node"):
            Pool(1, backend="slurm", join_timeout=30)

    def test_the_wrong_python(self, monkeypatch):
        monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
        monkeypatch.setattr("hpclab.cluster.guard.sys", _System())
        with pytest.raises(JoinError, match="lacks a package"):
            Pool(1, backend="slurm", join_timeout=30)

    def test_more_nodes_than_there_are_wait_with_their_reason(self):
        begin = time.monotonic()
        with pytest.raises(
            JoinError, match=r"(?s)2 of 6 nodes had not joined after 12 s.*PENDING.*Resources"
        ):
            Pool(6, backend="slurm", join_timeout=12)
        assert time.monotonic() - begin < 30

    def test_what_is_left_after_a_failed_scale(self):
        with Pool(2, backend="slurm", join_timeout=8) as pool:
            with pytest.raises(JoinError):
                pool.scale(6)
            assert pool.nodes == 4
            assert len(pool.jobs()) == 4
            assert pool.map(abs, [-1]) == [1]

    def test_a_partition_that_is_not_there(self):
        from hpclab.cluster.slurm import SubmitError

        with pytest.raises(SubmitError, match="partition"):
            Pool(1, backend="slurm", partition="nowhere")

    def test_a_walltime_the_partition_does_not_allow(self):
        from hpclab.cluster.slurm import SubmitError

        with pytest.raises(SubmitError, match="limit"):
            Pool(1, backend="slurm", partition="debug", walltime="10:00:00")

    def test_more_gpus_than_a_node_has(self):
        from hpclab.cluster.slurm import SubmitError

        with pytest.raises(SubmitError, match="not available"):
            Pool(1, backend="slurm", gpus_per_node=7)

    def test_pretend_gpus_are_given_as_such(self):
        with Pool(1, backend="slurm", gpus_per_node=1) as pool:
            assert pool.map(
                lambda name: os.environ.get(name), ["HPCLAB_PRETEND_GPUS", "CUDA_VISIBLE_DEVICES"]
            ) in (
                ["0", None],
                ["0", ""],
            )


class _System:
    """The test's own Python for the watchdog, while the pool is told another."""

    executable = sys.executable
