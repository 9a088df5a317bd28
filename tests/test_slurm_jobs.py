"""Every script in slurm/jobs on a real Slurm: the good ones do what they say, the broken ones fail as their
header says, and a right repair is proven by a job."""

import importlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from unittest import mock

import pytest

from hpclab.cluster import local_slurm
from hpclab.cluster import slurm as slurms
from hpclab.exercises import lesson_04
from hpclab.exercises.lesson_04 import job_trials
from hpclab.exercises.lesson_04.job_folder import original, site_settings
from hpclab.exercises.lesson_04.job_follow import connect, follow
from hpclab.exercises.lesson_04.job_scripts import JobScript
from tests.conftest import until

JOBS = Path(__file__).resolve().parents[1] / "slurm" / "jobs"
SCRIPTS = sorted(JOBS.rglob("*.sh"))
LOST_LOG = importlib.import_module("tests.exercises.answers.lesson_04").RIGHT["LOST_LOG"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_name_no_site(path):
    """They run as they are anywhere: partition and account come from site.env."""
    script = JobScript(path.read_text())
    assert not {"partition", "account", "qos"} & set(script.options)
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", path]).returncode == 0
    assert max(map(len, path.read_text().splitlines())) <= 102  # a notebook's cell shows this much


def test_site_env_sets_in_a_shell_what_the_lesson_reads(tmp_path):
    text = original("site.env").replace("PARTITION=\n", "PARTITION=gpu\n", 1)
    file = tmp_path / "site.env"
    file.write_text(text.replace("ACCOUNT=\n", 'ACCOUNT="ab123"\n', 1))
    said = subprocess.run(
        ["bash", "-uc", ". ./site.env && env"], cwd=tmp_path, env={"PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    exported = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    settings = site_settings(file)
    assert len(settings) == 6
    assert settings == {name: exported.get(name) for name in settings}


@pytest.fixture(scope="module")
def slurm():
    """Our own Slurm with a pretend GPU on each of four nodes, for this file only."""
    place = tempfile.TemporaryDirectory(dir="/tmp", prefix="st")
    with place as state, mock.patch.dict(os.environ, HPCLAB_STATE_DIR=state):
        cluster = local_slurm.up(4, 1, 1)
        try:
            yield slurms.connect(start=False)
        finally:
            cluster.stop()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the job scripts, and in it."""
    shutil.copytree(JOBS, tmp_path / "jobs")
    monkeypatch.chdir(tmp_path / "jobs")
    return tmp_path / "jobs"


def _run(slurm, *words):
    return subprocess.run(words, env=dict(slurm.environment), capture_output=True, text=True)


def _sbatch(slurm, *words):
    done = _run(slurm, "sbatch", "--parsable", *words)
    time.sleep(0.6)  # one answer of squeue serves everybody for half a second, also an older one
    return int(done.stdout) if done.returncode == 0 else done.stderr


def _ended(slurm, job, timeout=60):
    slurm.wait(job, timeout)
    return {task.state for task in slurm.queue([job])}


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("name", "logs", "words"),
    [
        ("hello", 1, r"job \d+ runs on node\d with 1 core"),
        ("tasks", 1, r"with srun: task 1 of 2 on node\d"),
        ("gpu", 1, r"HPCLAB_PRETEND_GPUS=\d+\n  CUDA_VISIBLE_DEVICES=\(not set\)"),
        ("step", 1, r"step ends at .* with exit code 0"),
        ("requeue", 1, r"run 1 of job \d+ on node\d\n.* done"),
        ("array", 6, r"^$"),
    ],
)
def test_a_good_script_does_what_it_says(slurm, folder, name, logs, words):
    job = _sbatch(slurm, f"{name}.sh", "1")  # second, of those that take their time
    assert _ended(slurm, job) == {"COMPLETED"}
    found = sorted(folder.glob(f"{name}-{job}*.out"))
    assert len(found) == logs
    assert all(re.search(words, log.read_text()) for log in found)
    if name == "array":
        rates = [(folder / f"rate-{index}.txt").read_text().strip() for index in range(6)]
        assert rates == ["0.3", "0.1", "0.03", "0.01", "0.003", "0.001"]
    if name == "tasks":
        assert len(found[0].read_text().splitlines()) == 3


@pytest.mark.slurm
def test_the_partition_in_site_env_is_used_by_all(slurm, folder, monkeypatch):
    text = original("site.env").replace("PARTITION=\n", "PARTITION=debug\n", 1)
    (folder / "site.env").write_text(text)
    settings = site_settings()
    for name in settings:
        monkeypatch.setenv(name, "")  # so that it is taken out again
        monkeypatch.delenv(name)
    named = connect(settings)
    by_package = named.submit("hello.sh")
    by_hand = int(subprocess.run(["sbatch", "--parsable", "hello.sh"], capture_output=True).stdout)
    said = subprocess.run(["srun", "printenv", "SLURM_JOB_PARTITION"], capture_output=True, text=True).stdout
    assert said.strip() == "debug"
    assert lesson_04.LOST_LOG.check(LOST_LOG[0]).passed
    assert os.environ["SLURM_PARTITION"] == "debug"
    assert {job.partition for job in named.queue([by_package, by_hand])} == {"debug"}


@pytest.mark.slurm
def test_a_job_newer_than_the_last_look_is_followed_to_its_end(slurm, folder):
    slurm.queue()
    said = _run(slurm, "sbatch", "--parsable", "step.sh", "2").stdout
    assert [job.state for job in follow(slurm, [said])] == ["COMPLETED"]


@pytest.mark.slurm
def test_a_chain_runs_what_its_dependencies_allow(slurm, folder, capsys):
    train = _sbatch(slurm, "step.sh", "1", "1")
    report = _sbatch(slurm, f"--dependency=afterok:{train}", "step.sh")
    clean_up = _sbatch(slurm, f"--dependency=afterany:{train}", "step.sh")
    assert follow(slurm, [str(clean_up)])[0].state == "COMPLETED"
    waiting = slurm.queue([report])[0]
    assert (waiting.state, waiting.reason) == ("PENDING", "DependencyNeverSatisfied")
    assert follow(slurm, report, timeout=1) == []
    assert "DependencyNeverSatisfied: " in capsys.readouterr().out
    slurm.cancel(report)
    assert follow(slurm, ["sbatch: error: Invalid --time specification"]) == []
    assert "Invalid --time" in capsys.readouterr().out


@pytest.mark.slurm
def test_the_broken_scripts_fail_as_their_headers_say(slurm, folder):
    refused = _sbatch(slurm, "broken/2_thirty_minutes.sh")
    assert "Requested time limit is invalid" in refused
    refused = _sbatch(slurm, "broken/3_two_gpus.sh")
    assert "Requested node configuration is not available" in refused
    four_tasks = _sbatch(slurm, "broken/1_four_tasks.sh")
    four_rates = _sbatch(slurm, "broken/4_four_rates.sh")
    lost_log = _sbatch(slurm, "broken/5_lost_log.sh")
    assert _ended(slurm, four_tasks) == {"COMPLETED"}
    assert [path.name for path in folder.glob("part-*")] == ["part-0.txt"]
    assert _ended(slurm, four_rates) == {"COMPLETED", "FAILED"}
    assert len((folder / "result.txt").read_text().splitlines()) == 1
    assert _ended(slurm, lost_log) == {"FAILED"}
    assert not list(folder.glob("*lost*")) + list(folder.glob("logs"))


@pytest.mark.slurm
def test_a_wait_in_the_queue_does_not_cost_the_credit_and_what_the_real_one_refuses_does(
    slurm, folder, monkeypatch
):
    submit, once = job_trials.submit, "#SBATCH --ntasks=1\n"
    monkeypatch.setattr(job_trials, "submit", lambda *arguments: submit(*arguments, seconds=2))
    verdict = lesson_04.LOST_LOG.check(LOST_LOG[1].replace(once, "#SBATCH --ntasks=1 --hold\n"))
    assert verdict.passed
    assert "JobHeldUser" in verdict.message
    assert all(job.name != "lost-log" for job in slurm.queue())
    verdict = lesson_04.LOST_LOG.check(LOST_LOG[1].replace(once, "#SBATCH --ntasks=1 --mem=900T\n"))
    assert not verdict.passed
    assert "on the real Slurm sbatch refused it" in verdict.message


@pytest.mark.slurm
@pytest.mark.parametrize(
    "sent_by", ["hand", pytest.param("Slurm", marks=[pytest.mark.soak, pytest.mark.timeout(300)])]
)
def test_a_job_saves_on_the_signal_before_its_end_and_the_next_goes_on(slurm, folder, sent_by):
    log, saved = folder / "time-limit.out", folder / "time-limit.checkpoint"
    first = _sbatch(slurm, "time_limit.sh")
    until(lambda: log.exists() and "starts from 0" in log.read_text(), "the job to start")
    if sent_by == "hand":  # the limit, and the signal before it, are a minute away
        for signal, said in (("USR1", "USR1: saved at"), ("TERM", "TERM: at")):
            _run(slurm, "scancel", "--batch", f"--signal={signal}", str(first))
            until(lambda said=said: said in log.read_text(), f"the job to hear {signal}")
            at = int(re.search(r"saved at (\d+)", log.read_text())[1])
            until(lambda at=at: int(saved.read_text()) > at, "it to save again")
    assert _ended(slurm, first, timeout=200) == ({"TIMEOUT"} if sent_by == "Slurm" else {"FAILED"})
    said = re.search(r"USR1: saved at \d+.*TERM: at (\d+), lost (\d+)\n", log.read_text(), re.DOTALL)
    count = int(saved.read_text())
    assert (int(said[1]) - count, int(said[2]) < 10) == (int(said[2]), True)
    second = _sbatch(slurm, "time_limit.sh")
    until(lambda: f"job {second} starts from {count}\n" in log.read_text(), "the second job to start")
    slurm.cancel(second)
