"""Memory of a process tree: children and marked strangers count, shared pages count once."""

import os
import subprocess
import sys
import threading
import uuid

import pytest

from hpclab.machine.footprint import processes_of_run, sampling, summed_pss
from tests.conftest import until

SIZE = 64 * 2**20
HOLD = f"import os, sys; block = bytearray(b'x') * {SIZE}"
WAIT = "print('ready', flush=True); sys.stdin.readline()"


@pytest.fixture
def holder():
    """Start processes that hold SIZE bytes until a line is written to them, or the test is over."""
    running = []

    def start(code=f"{HOLD}; {WAIT}", **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        running.append(process)
        return process

    yield start
    for process in running:
        process.communicate()


def test_shared_pages_count_once_and_what_is_gone_not_at_all(holder):
    code = f"{HOLD}; pids = [os.fork() for _ in range(2)]\nif all(pids): print('ready', flush=True)\n"
    pid = holder(f"{code}sys.stdin.read()").pid
    until(lambda: len(processes_of_run("", [pid])) == 4, "four processes")  # the first may fork later
    assert SIZE < summed_pss([*processes_of_run("", [pid]), 2**22 + 1]) < 1.6 * SIZE


def test_strangers_are_found_by_their_mark_and_this_process_is_not(holder, monkeypatch):
    mark = f"/tmp/hpclab-{uuid.uuid4().hex}"
    by_environment = holder(HPCLAB_STATE_DIR=mark).pid
    by_command = holder(f"{HOLD}; {WAIT}  # {mark}").pid
    unmarked = holder().pid
    monkeypatch.setenv("HPCLAB_STATE_DIR", mark)
    found = processes_of_run(mark)
    assert {by_environment, by_command} <= found
    assert not {unmarked, os.getpid()} & found


def test_the_peak_is_seen_after_it_has_passed(holder):
    mark = f"/tmp/hpclab-{uuid.uuid4().hex}"
    seen = []
    with sampling(lambda: seen.append(summed_pss(processes_of_run(mark)))):
        process = holder(f"{HOLD}; {WAIT}; del block; sys.stdin.read()", MARK=mark)
        until(lambda: max(seen, default=0) > SIZE, "the peak is seen")
        process.stdin.write("let go\n")
        process.stdin.flush()
        until(lambda: seen[-1] < SIZE / 2, "the memory is given back")
    count = len(seen)
    assert not [thread for thread in threading.enumerate() if thread.name == "hpclab-footprint"]
    assert len(seen) == count
