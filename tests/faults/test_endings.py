"""What is left when a notebook ends in every way it can end, seen from outside."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.conftest import gone, jobs_left, until


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
        left = [str(p) for p in self.family if not gone(p)]
        if Path(self.facts["directory"]).exists():
            left.append(self.facts["directory"])
        for name in ("port", "dashboard"):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.facts[name])) == 0:
                    left.append(f"port {self.facts[name]}")
        return left + (jobs_left(slurm_environment, self.facts["name"]) if slurm_environment else [])

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()


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


# The long form has all of them on both; these end as others do that are tried there.
QUICK = {
    "local": ("killed while a gang runs, one rank of it stopped", "collected", "raised",
              "killed while another process holds its pipes"),
    "slurm": ("killed while it maps",),
}  # fmt: skip


def ways():
    for backend, quick in QUICK.items():
        for ending in ENDINGS:
            marks = [] if ending in quick else [pytest.mark.soak]
            yield pytest.param(backend, ending, marks=marks + [pytest.mark.slurm] * (backend == "slurm"))


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "ending"), ways(), indirect=["backend"])
def test_nothing_is_left(backend, ending, request):
    environment = request.getfixturevalue("local_slurm").environment if backend == "slurm" else None
    notebook = Notebook(backend, ENDINGS[ending])
    try:
        if ending == "collected":  # the pool, and not the notebook
            notebook.family = [p for p in notebook.family if p.pid != notebook.process.pid]
        else:
            notebook.process.wait(60)
        if "holds its pipes" in ending:  # and with them its listening sockets, which are its own business
            notebook.facts |= {"port": 1, "dashboard": 1}
            notebook.family = [p for p in notebook.family if p.pid in notebook.facts["pids"]]
        until(lambda: not notebook.left(environment), "nothing of it is left")
        if ending != "collected":
            until(lambda: gone(notebook.facts["watchdog"]), "its watchdog has ended")
    finally:
        notebook.close()
