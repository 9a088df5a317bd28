"""`hpclab rehearse --site`: lessons as jobs whose own pools are jobs, too; and what a class needs."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab.classroom import rehearsal
from hpclab.classroom.settings import Site
from hpclab.cluster import slurm
from hpclab.course import Lesson, lessons
from hpclab.machine.footprint import members
from tests.conftest import jobs_left, until
from tests.course.conftest import notebook

LESSONS = {
    "00_good": ["pass"],
    "01_wrong": ["import os; assert not [name for name in os.environ if name.startswith('SLURM_JOB')]",
                 "assert 1 == 2, 'one is not two'"],
    "02_long": ["open(__import__('os').environ['BEGUN'], 'w').close(); import time; time.sleep(250)"],
}  # fmt: skip


def test_what_a_class_needs_is_plain_arithmetic():
    one = rehearsal.Rehearsed("05", "Scale out", 90.0, 3.0, 36.0, 2**30, 4)
    assert rehearsal.needs(one, 40) == rehearsal.Needs(40 * 2**30, 200, 300.0, 2.0)
    other = rehearsal.Rehearsed("06", "Pass", 60.0, None, 72.0, 2**29, 1)
    said = rehearsal.told([one, other], 40)
    assert said[-1].split()[:5] == ["all", "40", "GiB", "200", "nodes"]
    assert "380.0 node-hours (3.6)" in said[-1]
    assert all(rehearsal.minutes(lesson) >= 20 for lesson in lessons())


def test_the_script_is_quoted_words(tmp_path):
    lesson = Lesson("05", "05_x", "X", tmp_path, ())
    text = rehearsal.script(lesson, Path("/a b/$(id)'"), 60, Site(modules=("python/3.12",)))
    *_, load, run, end = text.split("\n")
    assert (load, end) == ("module load python/3.12", "")
    assert shlex.split(run)[:5] == ["exec", sys.executable, "-P", "-m", "hpclab.cli"]
    assert shlex.split(run)[-2:] == [">", "/a b/$(id)'/05.json"]


@pytest.fixture
def site(local_slurm, place, monkeypatch):
    """The session's Slurm, and a course of three lessons. A slurmd names its own slurm.conf to its jobs, so
    that a lesson finds no site and starts a Slurm of its own there; tests/site has a real one."""
    (place / "notebooks").mkdir()
    for name, cells in LESSONS.items():
        text = notebook("# A lesson\nAbout 30 minutes.", *cells)
        (place / "notebooks" / f"{name}.ipynb").write_text(text)
    (place / "sitecustomize.py").write_text(
        "import pathlib, hpclab.course.finder as f, hpclab.course.layout as l\n"
        f"f.root = l.root = lambda: pathlib.Path({str(place)!r})\n"
    )
    for name, value in {
        "BEGUN": place / "begun",
        "PYTHONPATH": f"{place}:{Path(__file__).parents[2]}", "HPCLAB_SITE": place / "none.toml",
        "SLURM_JOB_ID": 77, "SLURM_NTASKS": 9,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    yield place
    state = local_slurm.directory.parent
    until(lambda: not list(state.glob("hpclab-[sr]-*")), "no file is left")
    until(lambda: not members(str(state / "hpclab-")), "no process is left")
    until(lambda: not jobs_left(local_slurm.environment), "no job is left")


def rehearse(*words):
    command = [sys.executable, "-m", "hpclab.cli", "rehearse", "--site", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slurm
@pytest.mark.slow
def test_a_lesson_runs_as_a_job_and_its_report_comes_back(site):
    process = rehearse("--json", "--learners", "40", "--only", "01")
    said, log = process.communicate(timeout=250)
    assert process.returncode == 1, log
    (wrong,) = json.loads(said)["lessons"]
    assert wrong["failure"] == "code cell 2 (assert 1 == 2, 'one is not two'): AssertionError: one is not two"
    assert (wrong["nodes"], wrong["minutes"], wrong["class"]["nodes"]) == (0, 30, 40)
    assert wrong["waited"] is not None
    assert wrong["memory"] > 20 * 2**20


@pytest.mark.slurm
@pytest.mark.slow
def test_an_interrupt_cancels_the_job_and_what_it_began(site, client):
    process = rehearse("--only", "02")
    until(lambda: (site / "begun").exists(), "the lesson runs")
    process.send_signal(signal.SIGINT)
    said, log = process.communicate(timeout=120)
    assert process.returncode == 130, log
    assert "interrupted; the job is cancelled." in said
    ended = until(lambda: [job for job in client.history() if job.name == "hpclab-rehearse-02"], "its end")
    assert ended[-1].state == "CANCELLED"


@pytest.mark.slurm
def test_a_job_without_a_report_is_named_with_its_last_line(site, monkeypatch):
    monkeypatch.setattr(rehearsal, "_LATE", 1.0)
    lesson = Lesson("00", "00_good", "A lesson", site / "notebooks" / "00_good.ipynb", ())
    client = slurm.connect(start=False, export=False)
    found = rehearsal.rehearse(client, lesson, site, site=Site(python="/nowhere/python"))
    assert "without a report: " in found.failure
    assert "No such file" in found.failure
    assert "FAILED" in found.failure
