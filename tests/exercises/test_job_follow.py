"""Where there is no Slurm the lesson's scripts run on this machine's processes, and it is said."""

import shutil

import pytest

from hpclab.cluster.slurm import FinishedJob, Job, Slurm
from hpclab.course import root
from hpclab.exercises import job_follow
from hpclab.exercises.job_follow import ThisMachine, connect, follow


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """In a copy of the job scripts, where no program of Slurm can be found."""
    shutil.copytree(root() / "slurm" / "jobs", tmp_path / "jobs")
    monkeypatch.chdir(tmp_path / "jobs")
    monkeypatch.setenv("HPCLAB_STATE_DIR", str(tmp_path / "state"))

    def missing(*_, **__):
        raise job_follow.SlurmMissing(
            "There is no slurmctld on this machine: sudo apt install slurm-wlm munge."
        )

    monkeypatch.setattr(job_follow.slurms, "connect", missing)


@pytest.mark.slow
def test_scripts_run_on_this_machine(nowhere, capsys):
    slurm = connect()
    assert isinstance(slurm, ThisMachine)
    assert "apt install slurm-wlm" in capsys.readouterr().out
    finished = follow(slurm, ["bash: sbatch: command not found"], "hello.sh")
    said = capsys.readouterr().out
    assert [job.state for job in finished] == ["COMPLETED"]
    assert "on this machine, waited 0 s" in said
    assert "stand in for real ones" in said
    assert "runs on node1 with 1 core" in said
    job = slurm.submit("tasks.sh")
    assert [old.id for old in slurm.history()] == [1, job]
    assert "with srun: task 1 of 2" in slurm.logs[job]
    assert (slurm.queue(), slurm.nodes()) == ([], [])
    assert follow(slurm, job)[0].id == job


@pytest.mark.slow
def test_a_script_that_does_not_end_is_ended(nowhere, monkeypatch, capsys):
    dry_run = job_follow.job_trials.dry_run
    monkeypatch.setattr(job_follow.job_trials, "dry_run", lambda script, seconds: dry_run(script, 1.0))
    assert follow(connect(), [], "time_limit.sh")[0].state == "FAILED"


@pytest.mark.parametrize("said", [["sbatch: error: no"], [], ["Submitted batch job 7"], ["x;y"]])
def test_what_is_no_job_id(nowhere, said, capsys):
    assert follow(ThisMachine("none", "none", {}), said) == []
    assert "\n".join(said) in capsys.readouterr().out


def test_the_tasks_of_an_array_are_named_as_squeue_names_them(capsys):
    class Done(Slurm):
        def queue(self, job_ids=None, mine=True):
            return [Job(6, "a", "COMPLETED", "", "main", 1, "node1", 0.0, 1.0, 60.0, 1, "ada", 1, 6)]

        def history(self, job_ids=None):
            end = ("COMPLETED", "main", 1, "node1", 0.0, 1.0, 3.0, 0, "ada")
            return [FinishedJob(6, "a", *end, array_task=1, array_job=6),
                    FinishedJob(7, "a", *end, array_task=0, array_job=6)]  # fmt: skip

    assert len(follow(Done("local", "22.05", {}), ["6"])) == 2
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "job 6_0 (a)",
        "job 6_1 (a)",
    ]
