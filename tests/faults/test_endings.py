"""What is left when a notebook ends in every way it can end, seen from outside."""

import json
import socket
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.conftest import gone, jobs_left, until

# A notebook that owns a pool of two nodes and has run a gang.
PROGRAM = """
import gc, json, os, signal, sys, threading, time
from hpclab.cluster import Pool
pool = Pool(2, backend=sys.argv[1])
pool.run(os.getpid)
facts = {"pids": [worker.pid for worker in pool.workers()], "directory": str(pool._nodes.backend.directory),
         "name": pool._nodes.name, "watchdog": pool._nodes.guard._process.pid,
         "ports": [pool._nodes.cluster.scheduler.port, int(pool.dashboard["proxy"].split("/")[1])]}
print(json.dumps(facts), flush=True)
sys.stdin.readline()  # until the test has seen who is there
"""
ENDINGS = {
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "killed while it maps": """
        threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGKILL)).start()
        pool.map(time.sleep, [60, 60])
    """,
    "killed while a gang runs, one rank of it stopped": """
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
@pytest.mark.parametrize(("backend", "ending"), list(ways()), indirect=["backend"])
def test_nothing_is_left(backend, ending, start, request):
    notebook = start(PROGRAM + textwrap.dedent(ENDINGS[ending]), backend)
    facts = json.loads(notebook.stdout.readline())
    roots = [psutil.Process(pid) for pid in [*facts["pids"], notebook.pid]]
    family = roots + [child for root in roots for child in root.children(recursive=True)]
    if ending == "collected":  # the pool, and not the notebook
        family = [process for process in family if process.pid != notebook.pid]
    if "holds its pipes" in ending:  # and with them its listening sockets, which are its own business
        family, facts["ports"] = roots[:2], []
    notebook.stdin.write("go on\n")
    notebook.stdin.close()

    def left():
        """Everything that is still there."""
        jobs = []
        if backend == "slurm":
            jobs = jobs_left(request.getfixturevalue("local_slurm").environment, facts["name"])
        ports = [port for port in facts["ports"] if listens(port)]
        folders = [facts["directory"]] if Path(facts["directory"]).exists() else []
        return [each for each in family if not gone(each)] + folders + ports + jobs

    if ending != "collected":
        notebook.wait(60)
    until(lambda: not left(), "nothing of it is left")
    if ending != "collected":
        until(lambda: gone(facts["watchdog"]), "its watchdog has ended")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
