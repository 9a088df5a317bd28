"""Fault 5 where a job gives way: it saves on the signal, is queued again, and goes on from there."""

from __future__ import annotations

import subprocess

import pytest

from hpclab.cluster import slurm
from tests.conftest import until

SCRIPT = """#!/bin/bash
#SBATCH --requeue --open-mode=append
cd {place} || exit 9
count=$(cat saved 2> /dev/null || echo 0)
trap 'echo $count > saved.part && mv saved.part saved && echo "TERM: saved $count"; exit 143' TERM
echo "run ${{SLURM_RESTART_COUNT:-0}} starts from $count"
goal=$((${{SLURM_RESTART_COUNT:-0}} ? count + 5 : 1000))
while [ $count -lt $goal ]; do sleep 0.2 & wait $!; count=$((count + 1)); touch $count; done
echo "done at $count"
"""


@pytest.mark.slow
@pytest.mark.slurm
def test_a_preempted_job_saves_on_the_signal_and_goes_on_from_there(local_slurm, tmp_path):
    client, log = slurm.connect(export=False), tmp_path / "log"
    low = client.submit(
        SCRIPT.format(place=tmp_path), "--partition=preempt", "--nodelist=node2", f"--output={log}"
    )
    until((tmp_path / "3").exists, "it has counted to three")
    high = client.submit("#!/bin/sh\nsleep 1\n", "--nodelist=node2", "--output=/dev/null")
    assert client.wait(high, 120).state == "COMPLETED"
    until(lambda: client.queue([low])[0].state == "PENDING", "it is queued again")
    saved = int((tmp_path / "saved").read_text())
    assert saved >= 3
    # Slurm lets a requeued job wait for two minutes; its owner may call it earlier.
    now = ["scontrol", "update", f"JobId={low}", "StartTime=now"]
    until(
        lambda: not subprocess.run(now, env=dict(client.environment), capture_output=True).returncode,
        "it may start",
    )
    assert client.wait(low, 120).state == "COMPLETED"
    assert [line for line in log.read_text().splitlines() if "slurmstepd" not in line] == [
        "run 0 starts from 0", f"TERM: saved {saved}", f"run 1 starts from {saved}", f"done at {saved + 5}",
    ]  # fmt: skip
