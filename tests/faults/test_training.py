"""A training that meets a fault goes on from its checkpoint to the weights of an undisturbed one.

The scripts and the program are those of slurm/jobs, on a real Slurm. The program is started through HOLD,
which waits at step 10 until a signal has been heard or the file `go` is there: no fault comes too late.
"""

import contextlib
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import psutil
import pytest

from hpclab.cluster import slurm as slurms
from hpclab.cluster.errors import RankError
from tests.conftest import gone, pool_at, until

pytestmark = [pytest.mark.slow, pytest.mark.slurm]
JOBS = Path(__file__).resolve().parents[2] / "slurm" / "jobs"
OPTIONS = "--tokens=tokens.npy --layers=2 --hidden=32 --sequence=16 --batch=12 --steps=14 --save-every=4"
HOLD = f"""
import os, runpy, signal, time
from hpclab.workloads import gpt
original = gpt.batches
def batches(tokens, batch, length, step, *ranks):
    heard = signal.getsignal(signal.SIGTERM).__globals__["heard"]
    while step >= 10 and not os.path.exists("go") and not heard:
        open("held", "w").close()
        time.sleep(0.02)
    return original(tokens, batch, length, step, *ranks)
gpt.batches = batches
runpy.run_path({str(JOBS / "train.py")!r}, run_name="__main__")
"""


@pytest.fixture(scope="module")
def pool(request):
    """Two of the session's Slurm's four nodes; the others are for jobs."""
    request.param = "slurm"
    with pool_at(request, 2) as pool:
        yield pool


@pytest.fixture(scope="module")
def slurm(_shared_cluster):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCLAB_STATE_DIR", str(_shared_cluster.directory.parent))
        yield slurms.connect(export=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of the job scripts whose train.py holds, and the tokens."""
    place = tmp_path_factory.mktemp("training") / "jobs"
    shutil.copytree(JOBS, place)
    (place / "train.py").write_text(HOLD)
    numpy.save(place / "tokens.npy", (numpy.arange(4000) ** 2 % 61).astype("uint16"))
    return place


@pytest.fixture(scope="module")
def in_pool(pool, place):
    """Train in the pool, and in step 10 one rank may do something; the weights' hashes."""
    # No module afterwards, so that it travels to the ranks as a notebook cell's function does.
    program = runpy.run_path(str(JOBS / "train.py"), run_name="train_program")
    train, options = program["train"], program["arguments"](OPTIONS.split())
    options.tokens = str(place / "tokens.npy")

    def run(folder, guilty=-1, number=0, timeout=20.0):
        options.folder = str(place / folder)

        def on_a_rank():
            import torch.distributed as dist

            from hpclab.workloads import gpt

            original = gpt.batches

            def batches(tokens, batch, length, step, *ranks):
                if step == 10 and dist.get_rank() == guilty:
                    os.kill(os.getpid(), number)
                return original(tokens, batch, length, step, *ranks)

            gpt.batches = batches  # of this rank's process, which ends with this run
            return train(options)

        return pool.run(on_a_rank, ranks=2, timeout=timeout)

    return run


@pytest.fixture(scope="module")
def undisturbed(in_pool):
    """The hash of its weights."""
    hashes = in_pool("undisturbed")
    assert re.fullmatch("[0-9a-f]{16}", hashes[0])
    assert len(set(hashes)) == 1
    return hashes[0]


def test_a_rank_killed_or_stopped_is_named_and_the_training_goes_on(in_pool, undisturbed, place):
    with pytest.raises(RankError, match="SIGKILL") as raised:
        in_pool("in-pool", 1, signal.SIGKILL)
    assert raised.value.rank == 1
    assert any((place / "in-pool").glob("*-step-4"))
    with pytest.raises(RankError, match="stopped") as raised:
        in_pool("in-pool", 0, signal.SIGSTOP, timeout=4.0)
    assert raised.value.rank == 0
    assert in_pool("in-pool") == [undisturbed] * 2


def submit(slurm, place, script, folder, *options):
    """The job's number, and its log."""
    (place / "held").unlink(missing_ok=True)
    (place / "go").unlink(missing_ok=True)
    environment = dict(slurm.environment) | {"PYTHON": sys.executable}
    words = ["sbatch", "--parsable", *options, script, *OPTIONS.split(), f"--folder={folder}"]
    said = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=True)
    job = int(said.stdout)
    return job, place / f"{script.removesuffix('.sh').replace('_', '-')}-{job}.out"


def command(slurm, *words):
    """Whether a command of Slurm's succeeds."""
    return subprocess.run(words, env=dict(slurm.environment), capture_output=True).returncode == 0


def call(slurm, job):
    """Start a requeued job now, which Slurm lets wait for two minutes.

    Not in the second in which it was put back: its nodes refuse, to the second, what was granted until then,
    and Slurm would end it as a batch job that cannot be started.
    """
    time.sleep(2)
    assert command(slurm, "scontrol", "update", f"JobId={job}", "StartTime=now")
    until(lambda: state(slurm, job) in ("RUNNING", "COMPLETED"), "it starts", 240)


def held(place, folder, saved):
    """Wait until the training is at step 10, and step 8 is saved, which it has been `saved` times."""
    until((place / "held").exists, "it is at step 10")
    until(lambda: len(list((place / folder).glob("0*-step-8"))) == saved, "step 8 is saved")


def state(slurm, job):
    return slurm.queue([job])[0].state


def family(place, kind):
    """The job's processes that are "srun", "torchrun" or "rank"."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline() if process.cwd() == str(place) else []
            torchrun = "torchrun" if "torch.distributed.run" in line else "rank"
            if "train.py" in line and kind == ("srun" if line[0] == "srun" else torchrun):
                found.append(process)
    return found


def check_that_no_rank_survives(slurm, place, job, kind):
    ranks, launchers = family(place, "rank"), family(place, kind)
    assert len(ranks) == 2
    assert launchers
    for launcher in launchers:
        with contextlib.suppress(psutil.NoSuchProcess):  # the second srun ends with the first
            launcher.kill()
    until(lambda: all(map(gone, ranks)), f"no rank survives {kind}")
    until(lambda: state(slurm, job) == "FAILED", f"nor the job {kind}")


@pytest.mark.timeout(900)
def test_the_time_limit_and_a_preemption_cost_no_step(slurm, undisturbed, place):
    """Saved on USR1 and put back by itself; then saved on TERM and put back by Slurm; then finished."""
    job, log = submit(slurm, place, "train_requeue.sh", "requeued", "--partition=preempt")
    held(place, "requeued", 1)
    assert command(slurm, "scancel", "--signal=USR1", str(job))  # as --signal=USR1@60 does a minute before
    for step in (11, 12):
        until(lambda: state(slurm, job) == "PENDING", "it is queued again")
        assert f"stopped by a signal, saved at step {step}" in log.read_text()
        (place / "held").unlink()
        if step == 12:
            (place / "go").touch()
        call(slurm, job)
        if step == 11:
            held(place, "requeued", 1)
            node = slurm.queue([job])[0].node_list
            high = slurm.submit("#!/bin/sh\ntrue\n", f"--nodelist={node}", "--nodes=2", "--output=/dev/null")
            assert slurm.wait(high, 120).state == "COMPLETED"
    assert slurm.wait(job, 120).state == "COMPLETED"
    text = log.read_text()
    assert re.findall(r"from step (\d+)", text) == ["0", "11", "12"]
    assert f"done at step 14, weights {undisturbed}\n" in text


def test_launchers_killed_and_checkpoints_damaged(slurm, undisturbed, place):
    """No rank survives torchrun or srun, and what is whole of the checkpoints is enough."""
    folder = place / "damaged"
    job, log = submit(slurm, place, "train_torchrun.sh", "damaged")
    held(place, "damaged", 1)
    check_that_no_rank_survives(slurm, place, job, "torchrun")
    os.truncate(max(folder.glob("*-step-8/*.distcp")), 100)

    job, log = submit(slurm, place, "train.sh", "damaged")
    held(place, "damaged", 2)
    assert re.search(r"step-8 was passed over: .* 100 bytes.*\n.* from step 4\n", log.read_text())
    check_that_no_rank_survives(slurm, place, job, "srun")
    newest = max(folder.glob("0*-step-*"))  # of step 11 where the ranks had time to save on Slurm's TERM
    shutil.copytree(newest, folder / ".000009-step-12.part")
    content = bytearray((newest / ".metadata").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / ".metadata").write_bytes(content)

    job, log = submit(slurm, place, "train.sh", "damaged")
    (place / "go").touch()
    assert slurm.wait(job, 120).state == "COMPLETED"
    said = log.read_text()
    assert "000009-step-12 was only half written" in said
    assert f"{newest.name} was passed over: .metadata is damaged" in said
    assert f"done at step 14, weights {undisturbed}\n" in said
