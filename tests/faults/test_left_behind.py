"""What a pool leaves behind: nothing, whatever its tasks started and whoever was killed."""

import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab.cluster import Pool
from hpclab.cluster.backends import command
from tests.conftest import gone, until

pytestmark = pytest.mark.slow


def daemon(_):
    """A process that no longer is the task's child, in a session of its own, and deaf to SIGTERM."""
    import subprocess

    script = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 300 >/dev/null' &) "
    return int(subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, check=True).stdout.split()[0])


def test_a_daemon_of_a_task_ends_with_the_pool(backend):
    with Pool(2, backend=backend) as pool:
        daemons = pool.map(daemon, range(2))
        assert not any(map(gone, daemons))
        os.kill(pool.workers()[0].pid, signal.SIGKILL)  # whoever adopted the daemons then
    until(lambda: all(map(gone, daemons)), "what its tasks left has ended")


BEGIN = """
import time
from hpclab.cluster import Pool
pool = Pool(1, backend="local")
(left,) = pool.map(daemon, [0])
print(pool._nodes.guard._process.pid, pool.workers()[0].pid, left, pool._nodes.backend.directory, flush=True)
"""
REPLACED = """
first = pool._nodes.guard._process.pid
while pool._nodes.guard._process.pid == first:
    time.sleep(0.05)
print("another", flush=True)
"""


@pytest.fixture
def notebook(start):
    """A process with a pool and a daemon of a task, which then does something and stays; its facts."""

    def begin(then=""):
        process = start(inspect.getsource(daemon) + BEGIN + then + "time.sleep(300)")
        watchdog, *pids, directory = process.stdout.readline().split()
        return process, int(watchdog), list(map(int, pids)), Path(directory)

    return begin


def test_the_watchdog_killed_and_then_the_notebook(notebook):
    process, watchdog, pids, directory = notebook(REPLACED)
    os.kill(watchdog, signal.SIGKILL)
    assert process.stdout.readline() == "another\n"
    process.kill()
    process.wait()
    until(lambda: all(map(gone, pids)) and not directory.exists(), "all is ended and removed")


def test_both_killed_at_once_is_swept_by_the_next_pool(notebook):
    process, watchdog, pids, directory = notebook()
    try:
        for pid in (process.pid, watchdog):
            os.kill(pid, signal.SIGSTOP)  # so that neither sees the other go
        for pid in (watchdog, process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        until(lambda: gone(watchdog) and gone(pids[0]), "the worker has ended")
        assert directory.exists()
        with Pool(0, backend="local") as pool, Pool(0, backend="local"):
            assert not directory.exists()
            assert (pool._nodes.backend.directory / "key.pem").exists()  # a living pool's is not swept
    finally:
        if not gone(pids[1]):  # nobody was left to end it
            os.kill(pids[1], signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "darwin", reason="makes no holes in files")
def test_a_log_that_grows_while_it_is_cut_loses_nothing_of_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "MOST_LOG", 2**16)
    log, talk = tmp_path / "worker.log", "for _ in range(60_000): print('x' * 999, flush=True)"
    with open(log, "wb") as out, subprocess.Popen([sys.executable, "-c", talk], stdout=out) as talking:
        while talking.poll() is None:
            command.cut_logs(tmp_path)
            assert b"\0" not in log.read_bytes()[-command.KEPT_LOG :]
    monkeypatch.setattr(command, "_punched", lambda *_: False)  # a file system without holes
    log.write_bytes(long := b"x" * 2 * command.MOST_LOG + b"last words")
    command.cut_logs(tmp_path)
    assert log.stat().st_blocks * 512 <= 2 * command.KEPT_LOG
    assert (len(cut := log.read_bytes()), cut[-command.KEPT_LOG :]) == (len(long), long[-command.KEPT_LOG :])


def test_what_tasks_print_does_not_fill_the_disk():
    with Pool(1, backend="local") as pool:
        directory, name = pool._nodes.backend.directory, pool.workers()[0].name
        for _ in range(2):
            pool.map(lambda _: print(*200 * ["x" * 100_000], "last words", sep="\n", flush=True), [0])
            pool.map(abs, [0])
            assert sum(path.stat().st_blocks * 512 for path in directory.iterdir()) < 2 * command.MOST_LOG
            assert "last words" in pool._nodes.backend.log(name)
