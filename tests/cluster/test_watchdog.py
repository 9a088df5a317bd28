"""The watchdog by itself: a program at the far end of a pipe."""

import json
import os
import signal
import subprocess
import sys

import pytest

from hpclab.cluster import watchdog
from hpclab.cluster.host import processes


@pytest.fixture
def dog():
    words = [sys.executable, "-S", "-m", watchdog.__name__, str(os.getpid())]
    with subprocess.Popen(words, stdin=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def tell(dog, **message):
    dog.stdin.write(json.dumps(message) + "\n")
    dog.stdin.flush()


@pytest.mark.parametrize(
    ("done", "another"), [(False, False), (True, False), (False, True)], ids=["dies", "done", "another"]
)
def test_it_ends_and_removes_what_it_was_told_but_after_a_last_word(dog, sleeper, done, another, tmp_path):
    """Also where the terminal sends it signals; another process that has the number now is spared."""
    folder, note = tmp_path / "pool", tmp_path / "note"
    (folder / "below").mkdir(parents=True)
    note.touch()
    tell(dog, watch=sleeper.pid, since="12345" if another else processes.start_time(sleeper.pid))
    tell(dog, remove=str(folder))
    tell(dog, remove=str(note))
    tell(dog, padding="x" * 2**20)  # more than a pipe holds: what was told before has been read
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        dog.send_signal(number)
    if done:
        tell(dog, done=True)
    assert sleeper.poll() is None
    dog.stdin.close()
    assert dog.wait(60) == 0
    assert (folder.exists(), note.exists()) == (done, done)
    if done or another:
        assert sleeper.poll() is None
    else:
        assert sleeper.wait(60) == -9


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
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    cancel, kill = ["scancel", "--name", "hpclab-x"], ["scancel", "KILL"]
    tell(dog, jobs=[cancel, kill], left=["squeue"], environment=path, exists="/")
    dog.stdin.close()
    assert dog.wait(60) == 0
    calls = [line for line in log.read_text().splitlines() if "KILL" not in line]
    assert len(calls) >= 3
    assert set(calls) == {"--name hpclab-x"}
