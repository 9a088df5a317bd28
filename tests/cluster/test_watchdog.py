"""The watchdog by itself: a program at the far end of a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hpclab.cluster import watchdog


@pytest.fixture
def dog():
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", watchdog.__file__, str(os.getpid())], stdin=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def tell(dog, **message):
    dog.stdin.write(json.dumps(message) + "\n")
    dog.stdin.flush()


def test_it_ends_and_removes_what_it_was_told(dog, sleeper, tmp_path):
    folder = tmp_path / "pool"
    (folder / "below").mkdir(parents=True)
    note = tmp_path / "note"
    note.touch()
    tell(dog, watch=sleeper.pid, since=watchdog.start_time(sleeper.pid))
    tell(dog, remove=str(folder))
    tell(dog, remove=str(note))
    tell(dog, padding="x" * 2**20)  # more than a pipe holds: once it is through, the rest has been read
    assert sleeper.poll() is None
    dog.stdin.close()
    assert dog.wait(60) == 0
    assert sleeper.wait(60) == -9
    assert not folder.exists()
    assert not note.exists()


def test_a_last_word_leaves_everything(dog, sleeper, tmp_path):
    tell(dog, watch=sleeper.pid, since=watchdog.start_time(sleeper.pid))
    tell(dog, remove=str(tmp_path))
    tell(dog, done=True)
    assert dog.wait(60) == 0
    assert sleeper.poll() is None
    assert tmp_path.exists()


def test_a_number_that_now_belongs_to_another_process_is_spared(dog, sleeper):
    tell(dog, watch=sleeper.pid, since="12345")
    dog.stdin.close()
    assert dog.wait(60) == 0
    assert sleeper.poll() is None


@pytest.mark.slow
def test_jobs_are_cancelled_until_none_is_left(dog, tmp_path):
    """Two programs stand in: the job shows up after the first scancel, as that of a late sbatch would."""
    log = tmp_path / "log"
    for name, body in {
        "scancel": f'echo "$@" >> {log}',
        "squeue": f"[ $(grep -vc KILL {log}) -lt 3 ] && echo 7 || true",
    }.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o700)
    tell(dog, jobs="hpclab-x", environment={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    dog.stdin.close()
    assert dog.wait(60) == 0
    calls = [line for line in log.read_text().splitlines() if "KILL" not in line]
    assert len(calls) >= 3
    assert set(calls) == {"--name hpclab-x"}


def test_signals_for_the_terminal_do_not_end_it(dog, sleeper):
    import signal

    tell(dog, watch=sleeper.pid, since=watchdog.start_time(sleeper.pid))
    tell(dog, padding="x" * 2**20)  # more than a pipe holds: once it is through, the watchdog is listening
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        dog.send_signal(number)
    dog.stdin.close()
    assert dog.wait(60) == 0
    assert sleeper.wait(60) == -9
