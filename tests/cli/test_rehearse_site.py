"""`hpclab rehearse --site`: lessons as jobs whose own pools are jobs, too; and what a class needs."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpclab.classroom.settings import Site
from hpclab.cli import rehearse_site
from hpclab.cli.rehearse import Report
from hpclab.cluster import slurm
from hpclab.course import Lesson, lessons
from hpclab.machine.footprint import processes_of_run
from tests.conftest import jobs_left, until
from tests.course.conftest import only_course

WRONG = ("import os; assert not [name for name in os.environ if name.startswith('SLURM_JOB')]",
         "assert 1 == 2, 'one is not two'")  # fmt: skip
LONG = ("open(__import__('os').environ['BEGUN'], 'w').close(); import time; time.sleep(250)",)


def test_what_a_class_needs_is_plain_arithmetic(tmp_path):
    only_course(tmp_path, **{"05_x": ()})
    lesson = Lesson("05", "05_x", "X", tmp_path / "notebooks" / "05_x.ipynb", ())
    one = rehearse_site.needs(lesson, Report("05", "05_x", 36.0, 2**30, nodes=4), 40)
    assert one == {"memory": 40 * 2**30, "nodes": 200, "node_hours": 100.0}
    other = rehearse_site.needs(lesson, Report("06", "06_x", 72.0, 2**29, nodes=1), 40)
    *_, last = rehearse_site.class_needs({"05": one, "06": other}, 40)
    assert last.split() == ["all", "40", "GiB", "200", "nodes", "140.0", "node-hours"]
    assert all(rehearse_site.minutes(lesson) >= 20 for lesson in lessons())


def test_the_script_is_quoted_words(tmp_path):
    lesson = Lesson("05", "05_x", "X", tmp_path, ())
    text = rehearse_site.script(lesson, Path("/a b/$(id)'"), 60, Site(modules=("python/3.12",)))
    *_, load, run, end = text.split("\n")
    assert (load, end) == ("module load python/3.12", "")
    program, *_, to, file = shlex.split(run)[1:]
    assert (program, to, file) == (sys.executable, ">", "/a b/$(id)'/05.json")


@pytest.fixture
def site(local_slurm, place, monkeypatch):
    """The session's Slurm, and a course of two lessons. A slurmd names its own slurm.conf to its jobs, so
    that a lesson finds no site and starts a Slurm of its own there; tests/site has a real one."""
    only_course(place, **{"01_wrong": WRONG, "02_long": LONG})
    for name, value in {
        "BEGUN": place / "begun",
        "PYTHONPATH": f"{place}:{Path(__file__).parents[2]}", "HPCLAB_SITE": place / "none.toml",
        "SLURM_JOB_ID": 77, "SLURM_NTASKS": 9,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    yield place
    state = local_slurm.directory.parent
    until(lambda: not list(state.glob("hpclab-r-*")), "no file is left")
    until(lambda: not processes_of_run(str(state / "hpclab-")), "no process is left")
    until(lambda: not jobs_left(local_slurm.environment), "no job is left")


@pytest.mark.slurm
@pytest.mark.slow
def test_a_job_gives_its_report_and_an_interrupt_cancels_the_next(site, client):
    words = "-m", "hpclab.cli", "rehearse", "--site", "--cores=1", "--memory=1 GiB"
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    until(lambda: (site / "begun").exists(), "the second lesson runs")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "FAILED\n    code cell 2 (assert 1 == 2, 'one is not two'): AssertionError: one is not two" in said
    assert re.search(r"\d MiB  waited \d[\d.]* m?s, nodes of its pools: 0", said)
    assert "interrupted; what was started is ended." in said
    ended = until(lambda: [job for job in client.history() if job.name == "hpclab-rehearse-02"], "its end")
    assert ended[-1].state == "CANCELLED"


@pytest.mark.slurm
def test_a_job_without_a_report_is_named_with_its_last_line(site, monkeypatch):
    monkeypatch.setattr(rehearse_site, "_LATE", 1.0)
    lesson = Lesson("02", "02_long", "A lesson", site / "notebooks" / "02_long.ipynb", ())
    client = slurm.connect(start=False, export=False)
    found = rehearse_site.rehearse(client, Site(python="/nowhere/python"), [], lesson, site, 60)
    for text in ("without a report: ", "No such file", "FAILED"):
        assert text in found.failure
