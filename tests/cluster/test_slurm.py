"""The Slurm object with real jobs on the session's cluster."""

import os
import subprocess
import time

import pytest

from hpclab.cluster import slurm
from hpclab.cluster.slurm import SubmitError
from tests.conftest import until

pytestmark = pytest.mark.slurm
QUIET = "--output=/dev/null"


def test_a_job_from_submission_to_history(client, tmp_path):
    job = client.submit("#!/bin/sh\nexit 3\n", "--job-name=three", f"--output={tmp_path}/out", "--time=2")
    ended = client.wait(job, 60)
    assert (ended.state, ended.name, ended.limit, ended.nodes) == ("FAILED", "three", 120.0, 1)
    until(lambda: client.history([job]), "its end is in the history")
    (finished,) = client.history([job])
    assert (finished.exit_code, finished.state, finished.partition) == (3, "FAILED", "main")
    assert finished.limit == 120.0
    assert finished.submitted is not None
    assert abs(finished.submitted - time.time()) < 120
    assert job not in [waiting.id for waiting in client.queue()]


def test_arrays_dependencies_and_reasons(client):
    array = client.submit("#!/bin/sh\nsleep 30\n", "--array=1-6%2", QUIET)
    after = client.submit("#!/bin/sh\ntrue\n", f"--dependency=afterok:{array}", QUIET)
    until(lambda: sum(job.state == "RUNNING" for job in client.queue([array])) == 2, "two of its tasks run")
    tasks = client.queue([array])
    assert sorted(job.array_task or 0 for job in tasks) == [1, 2, 3, 4, 5, 6]
    assert {job.reason for job in tasks if job.state == "PENDING"} == {"JobArrayTaskLimit"}
    (waiting,) = client.queue([after])
    assert (waiting.state, waiting.reason) == ("PENDING", "Dependency")
    with pytest.raises(TimeoutError, match=r"PENDING .*waits for another job"):
        client.wait(after, 0.1)
    client.cancel(array, after)
    until(lambda: client.queue() == [], "the queue is empty")
    assert client.wait(array, 30).state == "CANCELLED"
    until(lambda: {job.array_task for job in client.history([array])} >= {1, 2}, "their end is told")


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        (["--nodes=9"], "4 node"), (["--mem=900G"], "GiB"), (["--gres=gpu:9"], "gpu:pretend:2"),
        (["--partition=debug", "--time=00:10:00"], "debug has .* at most 5:00"),
        (["--partition=nosuch"], "main has"),
    ],
)  # fmt: skip
def test_what_can_never_run_is_refused_at_once_with_the_limits(client, options, limit):
    with pytest.raises(SubmitError, match=limit):
        client.submit("#!/bin/sh\ntrue\n", QUIET, *options)
    assert client.queue() == []
    assert not [job for job in client.history() if job.nodes == 0 and job.state == "FAILED"]


def test_pretend_gpus_are_seen_by_batch_scripts_and_tasks_never_as_cuda(client, tmp_path):
    ask = 'echo "$HPCLAB_PRETEND_GPUS|$CUDA_VISIBLE_DEVICES"'
    script = f"#!/bin/sh\nexport CUDA_VISIBLE_DEVICES=5\n{ask}\nsrun -n1 sh -c '{ask}'\n"
    job = client.submit(
        script, "--gres=gpu:2", f"--output={tmp_path}/out", "--export=ALL,CUDA_VISIBLE_DEVICES=7"
    )
    assert client.wait(job, 60).state == "COMPLETED"
    assert (tmp_path / "out").read_text().split() == ["0,1|5", "0,1|"]
    job = client.submit(f"#!/bin/sh\n{ask}\n", f"--output={tmp_path}/none")
    client.wait(job, 60)
    assert (tmp_path / "none").read_text().strip() == "|"


SET_BY_A_MODULE = {
    "SBATCH_PARTITION": "gpu_teaching", "SBATCH_CLUSTERS": "mpp2", "SBATCH_TIMELIMIT": "9-00",
    "SBATCH_WAIT": "1", "SALLOC_ACCOUNT": "a", "SLURM_PARTITION": "gpu", "SQUEUE_PARTITION": "gpu",
    "SCANCEL_STATE": "PENDING", "SINFO_PARTITION": "gpu",
}  # fmt: skip
OF_A_JOB = dict.fromkeys(("SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_NNODES", "SLURM_MEM_PER_CPU"), "9")


@pytest.mark.parametrize("gone", ["/nowhere/slurm.conf", ""])
def test_our_own_takes_nothing_of_an_enclosing_job_or_a_sites_module(
    local_slurm, tmp_path, monkeypatch, gone
):
    monkeypatch.delenv("HPCLAB_SLURM")  # look for a site's Slurm too, and find none
    for name, value in (SET_BY_A_MODULE | OF_A_JOB | {"SLURM_CONF": gone}).items():
        monkeypatch.setenv(name, value)
    client = slurm.connect(export=True)
    assert os.environ["SLURM_CONF"] == str(local_slurm.directory / "slurm.conf")
    assert [name for name in os.environ if name.startswith("SLURM_")] == ["SLURM_CONF"]
    assert not set(SET_BY_A_MODULE) & set(os.environ)  # so that !sbatch takes none of it either
    script = "#!/bin/sh\necho $SLURM_JOB_NUM_NODES\nsrun hostname | wc -l\n"
    job = client.wait(client.submit(script, f"--output={tmp_path}/out"), 60)
    assert (job.state, job.partition, job.limit) == ("COMPLETED", "main", 3600.0)
    assert (tmp_path / "out").read_text().split() == ["1", "1"]
    monkeypatch.setenv("SBATCH_PARTITION", "debug")  # what is said after that counts
    words = ["sbatch", "--parsable", QUIET, "--wrap=true"]
    said = subprocess.run(words, capture_output=True, text=True).stdout
    assert client.queue([int(said)])[0].partition == "debug"
