"""For faults: programs that are notebooks, and a moment at which a Slurm's controller may be killed."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator

import pytest

from hpclab.cluster.local_slurm import LocalSlurm


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python program, whose text and arguments it is given; it ends with the test."""
    with contextlib.ExitStack() as programs:

        def begin(program: str, *words: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), *words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            )  # fmt: skip
            programs.enter_context(process)
            programs.callback(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
            return process

        yield begin


@pytest.fixture
def written(local_slurm: LocalSlurm) -> Callable[[], None]:
    """Wait until slurmctld has its state on disk, ten seconds at most: what is newer dies with it."""
    state = local_slurm.directory / "state" / "job_state"

    def wait() -> None:
        now = time.time()
        while time.time() < now + 12 and not (state.exists() and state.stat().st_mtime > now):
            time.sleep(0.1)

    return wait
