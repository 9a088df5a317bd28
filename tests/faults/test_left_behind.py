"""What a pool leaves behind: nothing, whatever its tasks started and whoever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from hpclab.cluster import Pool
from hpclab.cluster.backends import command

pytestmark = pytest.mark.slow


def until(ready, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def daemon(_):
    """A process that no longer is the task's child, in a session of its own, and deaf to SIGTERM."""
    import subprocess

    script = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 300 >/dev/null' &) "
    return int(subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True).stdout.split()[0])


@pytest.mark.parametrize("backend", ["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def test_a_daemon_of_a_task_ends_with_the_pool(backend, request):
    if backend == "slurm":
        request.getfixturevalue("local_slurm")
    with Pool(2, backend=backend) as pool:
        daemons = pool.map(daemon, range(2))
        assert not any(map(gone, daemons))
        os.kill(pool.workers()[0].pid, signal.SIGKILL)  # whoever adopted the daemons then
    until(lambda: all(map(gone, daemons)), 5)


def notebook(tail):
    """A process with a pool and a daemon of a task, which then does `tail`; its facts."""
    program = f"""
        import os, sys, time
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from test_left_behind import daemon
        import cloudpickle, test_left_behind
        cloudpickle.register_pickle_by_value(test_left_behind)
        from hpclab.cluster import Pool
        pool = Pool(1, backend="local")
        (left,) = pool.map(daemon, [0])
        print(pool._nodes.guard.pid, pool.workers()[0].pid, left, pool._nodes.backend.directory, flush=True)
        {tail}
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    watchdog, *pids, directory = process.stdout.readline().split()
    return process, int(watchdog), list(map(int, pids)), Path(directory)


def end(process):
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_the_watchdog_killed_and_then_the_notebook():
    process, watchdog, pids, directory = notebook(
        "print(*(sys.stdin.readline() and [pool._nodes.guard.pid]), flush=True); time.sleep(60)"
    )
    try:
        os.kill(watchdog, signal.SIGKILL)
        until(lambda: gone(watchdog))
        time.sleep(1.0)
        process.stdin.write("\n")
        process.stdin.flush()
        assert int(process.stdout.readline()) != watchdog  # there is another
        process.kill()
        process.wait()
        until(lambda: all(map(gone, pids)) and not directory.exists())
    finally:
        end(process)


def test_both_killed_at_once_is_swept_by_the_next_pool():
    process, watchdog, pids, directory = notebook("time.sleep(60)")
    try:
        for pid in (process.pid, watchdog):
            os.kill(pid, signal.SIGSTOP)  # so that neither sees the other go
        for pid in (watchdog, process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        until(lambda: gone(watchdog) and gone(pids[0]))
        assert directory.exists()
        with Pool(0, backend="local") as pool:
            assert not directory.exists()
            assert pool._nodes.backend.directory.exists()
    finally:
        end(process)
        if not gone(pids[1]):  # nobody was left to end it
            os.kill(pids[1], signal.SIGKILL)


def test_a_living_pools_directory_is_not_swept():
    with Pool(0, backend="local") as one, Pool(0, backend="local"):
        assert (one._nodes.backend.directory / "key.pem").exists()


def test_what_tasks_print_does_not_fill_the_disk():
    def talk(_):
        for _ in range(200):
            print("x" * 100_000)
        print("last words", flush=True)

    def used(directory):
        return sum(path.stat().st_blocks * 512 for path in directory.iterdir())

    with Pool(1, backend="local") as pool:
        directory, name = pool._nodes.backend.directory, pool.workers()[0].name
        pool.map(talk, [0])
        pool.map(abs, [0])
        assert used(directory) < 2 * command.MOST_LOG
        assert "last words" in pool._nodes.backend.log(name)
        pool.map(talk, [0])
        pool.map(abs, [0])
        assert used(directory) < 2 * command.MOST_LOG
