"""Memory of a process tree: children and marked strangers count, shared pages count once."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest

from hpclab.machine.footprint import Footprint, members, summed_pss
from tests.conftest import until

SIZE = 64 * 2**20
HOLD = f"import sys; block = bytearray(b'x') * {SIZE}; print('ready', flush=True); sys.stdin.read()"


@pytest.fixture
def holder():
    """Start processes that hold SIZE bytes until the test is over."""
    running: list[subprocess.Popen] = []

    def start(code: str = HOLD, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        running.append(process)
        return process

    yield start
    for process in running:
        process.communicate()


def test_what_a_process_holds_is_counted(holder):
    pid = holder().pid
    assert SIZE < summed_pss([pid]) < SIZE + 64 * 2**20
    assert summed_pss([2**22 + 1]) == 0, "a process that is gone counts nothing"


def test_shared_pages_count_once(holder):
    code = (
        f"import os, sys; block = bytearray(b'x') * {SIZE}; pids = [os.fork() for _ in range(2)]\n"
        "if all(pids): print('ready', flush=True)\n"
        "sys.stdin.read()"
    )
    pid = holder(code).pid
    until(lambda: len(members("", [pid])) == 4, "four processes")  # the first child forks, too, maybe later
    family = members("", [pid])
    assert SIZE < summed_pss(family) < 1.6 * SIZE


def test_strangers_are_found_by_their_mark_and_this_process_is_not(holder, monkeypatch: pytest.MonkeyPatch):
    mark = f"/tmp/hpclab-{uuid.uuid4().hex}"
    monkeypatch.setenv("HPCLAB_STATE_DIR", mark)
    by_environment = holder(HPCLAB_STATE_DIR=mark).pid
    monkeypatch.delenv("HPCLAB_STATE_DIR")
    by_command = holder(f"{HOLD}  # {mark}").pid
    unmarked = holder().pid
    found = members(mark)
    assert {by_environment, by_command} <= found
    assert not {unmarked, os.getpid()} & found


def test_the_peak_is_seen_after_it_has_passed(holder):
    mark = f"/tmp/hpclab-{uuid.uuid4().hex}"
    code = (
        f"import sys; block = bytearray(b'x') * {SIZE}; print('ready', flush=True); sys.stdin.readline()\n"
        "del block; sys.stdin.read()"
    )
    with Footprint(mark, every=0.05) as footprint:
        process = holder(code, MARK=mark)
        until(lambda: footprint.peak > SIZE, "the peak is seen")
        process.stdin.write("let go\n")
        process.stdin.flush()
        until(lambda: summed_pss([process.pid]) < SIZE / 2, "the memory is given back")
        seen = footprint.looks
        until(lambda: footprint.looks > seen + 2, "more looks")
    assert footprint.peak > SIZE
