"""The scripts that lessons end with run as their second line says, without this package."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import pytest

from hpclab.cluster import local_slurm
from hpclab.cluster import slurm as slurms

PLAIN = Path(__file__).resolve().parents[2] / "slurm" / "jobs" / "plain"


def command(script):
    """The words of the line "# Run: ..." with which a script says how it is started."""
    return next(line for line in script.read_text().splitlines() if line.startswith("# Run: "))[7:].split()


def run(script, folder, environment):
    shutil.copytree(PLAIN, folder, dirs_exist_ok=True)
    words, environment = command(script), environment | {"TMPDIR": str(folder)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout + "".join(path.read_text() for path in sorted(folder.glob("*.out")))


@pytest.fixture
def bare():
    """An environment in which nothing of this package can be imported."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", sorted(PLAIN.glob("[0-9]*.py")), ids=lambda one: one.name)
def test_a_program_says_what_it_measured(script, tmp_path, bare):
    assert run(script, tmp_path, bare)


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.timeout(300)
@pytest.mark.parametrize("script", sorted(PLAIN.glob("[0-9]*.sh")), ids=lambda one: one.name)
def test_a_batch_script_runs_as_a_job(script, tmp_path, bare):
    place = tempfile.TemporaryDirectory(dir="/tmp", prefix="sp")
    with place as state, mock.patch.dict(os.environ, HPCLAB_STATE_DIR=state):
        cluster = local_slurm.up(4, 1)
        try:
            environment = bare | slurms.connect(start=False).environment
            assert run(script, tmp_path, {**environment, "PATH": f"{environment['PATH']}:{bare['PATH']}"})
        finally:
            cluster.stop()
