"""Where there is no Slurm the lesson's scripts run on this machine's processes, and it is said."""

import shutil
from pathlib import Path

import pytest

from hpclab.cluster.slurm import FinishedJob, Job, Slurm
from hpclab.course import root
from hpclab.exercises.lesson_04 import job_follow
from hpclab.exercises.lesson_04.job_follow import ThisMachine, connect, follow


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """In a copy of the job scripts."""
    shutil.copytree(root() / "slurm" / "jobs", tmp_path / "jobs")
    monkeypatch.chdir(tmp_path / "jobs")


class Site(Slurm):
    """One that has these jobs, and remembers those that ended."""

    history_source = "This site has no accounting that answers."

    def __init__(self, queue=(), ended=()):
        super().__init__("site", "22.05", {})
        self.jobs, self.ended = queue, ended

    def queue(self, job_ids=None):
        return list(self.jobs)

    def history(self, job_ids=None):
        return list(self.ended)


def ended(number, state="COMPLETED", code=0, **task):
    return FinishedJob(number, "a", state, "main", 1, "node1", 0.0, 1.0, 3.0, code, **task)


@pytest.mark.slow
def test_scripts_run_on_this_machine(jobs, capsys):
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
    Path("fails.sh").write_text("#!/bin/bash\nexit 3\n")
    assert follow(slurm, [], "fails.sh")[0].state == "FAILED"


@pytest.mark.parametrize("said", [["sbatch: error: no"], [], ["x;y"]])
def test_what_is_no_job_id(jobs, said, capsys):
    assert follow(ThisMachine("none", "none", {}), said) == []
    assert "\n".join(said) in capsys.readouterr().out


def test_the_tasks_of_an_array_are_named_as_squeue_names_them(capsys):
    queue = [Job(6, "a", "COMPLETED", "", "main", 1, "node1", 0.0, 1.0, 60.0, 1, 6)]
    tasks = [ended(6, array_task=1, array_job=6), ended(7, array_task=0, array_job=6)]
    assert len(follow(Site(queue, tasks), ["6"])) == 2
    said = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["job 6_0 (a)", "job 6_1 (a)"]


def test_a_site_that_takes_no_job_is_told_and_scripts_run_here(monkeypatch, capsys):
    refused = job_follow.SlurmError("sbatch: Required partition not available (inactive or drain)")

    def run(self, words, **_):
        if words[0] == "sbatch":
            raise refused
        return ""

    monkeypatch.setattr(Slurm, "_run", run)
    monkeypatch.setattr(job_follow.slurms, "connect", lambda: Slurm("site", "slurm 24.11", {}))
    assert isinstance(connect(), ThisMachine)
    said = capsys.readouterr().out
    assert "Required partition not available" in said
    assert "Name a partition" in said
    assert "site.env" in said


def test_a_job_that_nobody_remembers_is_told_by_its_output(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_follow, "_PATIENCE", 0.1)
    (tmp_path / "hello-7.out").write_text("it ran\n")
    assert follow(Site(), 7) == []
    said = capsys.readouterr().out
    assert "no accounting" in said
    assert "it ran" in said


def test_a_folder_that_the_node_does_not_see_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(follow(Site(ended=[ended(6, "FAILED", 181)]), 6)) == 1
    assert f"this folder, {tmp_path}" in capsys.readouterr().out
