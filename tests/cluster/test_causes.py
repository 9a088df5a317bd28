"""What people meet when a job's worker does not join, and what they are told."""

import time
from types import SimpleNamespace

import pytest

from hpclab.cluster.backends import causes
from hpclab.cluster.backends.slurm import SlurmNodes
from hpclab.cluster.slurm import FinishedJob, Job, Slurm


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("slurm_script: line 9: SCRATCH: not set, but needed by jobqueue.slurm.python in jobqueue.yaml",
         "jobqueue.slurm.python in jobqueue.yaml uses the variable SCRATCH"),
        ("slurm_script: line 20: module: command not found", "#!/bin/bash -l"),
        ("Lmod has detected the following error: cuda/99", "module avail"),
        ("ImportError: /lib64/libc.so.6: version `GLIBC_2.34' not found", "this kind of node"),
        ("OSError: [Errno 122] Disk quota exceeded: '/home/a/.hpclab'", "quota is used up"),
        ("PermissionError: [Errno 13] Permission denied: '/scratch/dask'", "local-directory"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate is not yet valid", "clock"),
        ("ImportError: cannot import name 'x' from 'distributed'", "other versions"),
        ("slurmstepd: error: execve(): bash: No such file or directory", "does not exist on the node"),
        ("OSError: Timed out trying to connect to tls://10.0.0.1:4000", "jobqueue.slurm.interface"),
        ("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 10:00:00 DUE TO TIME LIMIT ***", "walltime"),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch.", "ask for more memory"),
    ],
)  # fmt: skip
def test_a_sign_in_the_log_has_its_remedy(log, words):
    told = causes.likely_cause("FAILED", f"distributed.nanny - INFO - Start\n{log}\nmore\n")
    assert told.startswith("Likely cause: ")
    assert words in told
    assert "\\" not in told


def test_without_a_sign_the_state_speaks():
    # No log: the node does not see its directory.
    assert "HPCLAB_STATE_DIR" in causes.likely_cause("FAILED", None)
    assert "job-script-prologue" in causes.likely_cause("FAILED", "", prologue=True)
    assert "ask for more" in causes.likely_cause("TIMEOUT", "distributed")
    assert "job_script()" in causes.likely_cause("FAILED", "distributed\nsomething else")


def test_a_job_that_waits_is_told_with_its_reason_and_what_holds_nodes(tmp_path):
    def job(number, name, state, nodes=1, reason="None"):
        return Job(number, name, state, reason, "main", nodes, "n1", 0.0, 0.0, 600.0)

    queue = [
        job(7, "hpclab-a", "PENDING", reason="Resources"),
        job(8, "hpclab-b", "RUNNING", 2),
        job(9, "hpclab-c", "PENDING", 4),
        job(10, "mine", "RUNNING"),
        job(11, "later", "PENDING"),
    ]
    slurm = Slurm("site", "", {})
    slurm.queue = lambda numbers=None: [one for one in queue if numbers is None or one.id in numbers]
    nodes = SimpleNamespace(batch=slurm, name="hpclab-a", settings={}, kind="slurm")
    told = causes.explain_job(nodes, 7, [])
    assert told.startswith("Job 7 is PENDING. Resources: it is the next to start")
    assert " 2 nodes are held by other pools of yours: close()" in told
    assert told.endswith("Jobs of yours that run: 10 (mine); `scancel NUMBER` ends one.")
    (tmp_path / "err").write_text("MemoryError")
    told = causes.explain_job(nodes, 10, [tmp_path / "err"])
    assert told.startswith(
        "Job 10 is RUNNING on n1. Its log ends:\n    MemoryError\nLikely cause: the job used"
    )
    assert causes.explain_job(nodes, 12, []) == "Job 12: gone from the queue."


@pytest.mark.parametrize(("state", "age", "told"), [
    ("COMPLETING", 601, "reached its time limit (00:10:00; Pool(walltime=...)"),
    ("TIMEOUT", 601, "reached its time limit (00:10:00;"),
    ("FAILED", 601, "ended (FAILED)"),
    ("RUNNING", 30, None),
    ("forgotten", 0, "reached its time limit (00:10:00;"),  # by the queue, which the history does not
])  # fmt: skip
def test_a_node_lost_to_its_time_limit_is_told_so(state, age, told, monkeypatch):
    queue = [Job(7, "a", state, "", "main", 1, "n1", 0.0, time.time() - age, 600.0)]
    past = [FinishedJob(7, "a", "TIMEOUT", "main", 1, "n1", 0.0, 1.0, 3.0, 0)]
    nodes = object.__new__(SlurmNodes)
    nodes.batch = SimpleNamespace(
        queue=lambda numbers: queue if state != "forgotten" else [], history=lambda numbers: past
    )
    nodes.request, nodes.settings = SimpleNamespace(walltime=600.0), {}
    monkeypatch.setattr(nodes, "job", lambda name: SimpleNamespace(job_id="7", refused=None))
    found = nodes.ended(["a"])
    assert found == {} if told is None else found["a"].startswith(f"its job 7 {told}")
