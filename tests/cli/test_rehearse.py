"""`hpclab rehearse`: notebooks of every fate, run in kernels of their own, with nothing left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpclab.cli import main, rehearse
from hpclab.machine.footprint import processes_of_run
from tests.conftest import until
from tests.course.conftest import notebook


def write(top, **lessons):
    """Lessons of these code cells."""
    (top / "notebooks").mkdir()
    for name, sources in lessons.items():
        (top / "notebooks" / f"{name}.ipynb").write_text(notebook("# A lesson", *sources))


FATES = {
    "00_good": ["import sys; print(sys.executable)", "assert 1 + 1 == 2"],
    "01_wrong": ["value = 3", "# the second cell\nassert value == 4, 'three is not four'", "never = 1"],
    "02_memory": ["block = bytearray(b'x') * (200 * 2**20)\nimport time; time.sleep(1)"],
    "03_slow": ["import time; time.sleep(60)"],
    "04_dies": ["import os; os._exit(3)"],
    "05_leaves": ["import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True)"],
    "06_alone": [
        "import os, pathlib\n"
        "assert [p.name for p in pathlib.Path().glob('0*.ipynb')], 'the course is laid out here'\n"
        "assert os.environ['HPCLAB_STATE_DIR'] != '/elsewhere'\n"
        "assert not [name for name in os.environ if name.startswith('SLURM_JOB')]"
    ],
}


@pytest.fixture
def fates(tmp_path, monkeypatch):
    write(tmp_path, **FATES)
    monkeypatch.setattr("hpclab.course.layout.root", lambda: tmp_path)
    monkeypatch.setattr("hpclab.cli.rehearse._LEAVE", 1.0)
    return tmp_path


def reports(capsys, *words):
    status = main(["rehearse", "--json", *words])
    answer = json.loads(capsys.readouterr().out)
    assert answer["passed"] is (status == 0)
    return status, {report["number"]: report for report in answer["lessons"]}


@pytest.mark.slow
def test_good_and_wrong_lessons(fates, capsys, monkeypatch):
    monkeypatch.setenv("HPCLAB_STATE_DIR", "/elsewhere")
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    before = (fates / "notebooks" / "00_good.ipynb").read_text()
    status, said = reports(capsys, "--only", "0", "--only", "01", "--only", "02", "--only", "06")
    assert status == 1
    assert [said[number]["failure"] for number in ("00", "02", "06")] == [""] * 3
    assert said["01"]["failure"] == "code cell 2 (# the second cell): AssertionError: three is not four"
    assert said["00"]["seconds"] > 0
    assert 20 * 2**20 < said["00"]["peak_memory"] < 2**30
    assert said["02"]["peak_memory"] > 200 * 2**20  # what it does is in the peak
    assert (fates / "notebooks" / "00_good.ipynb").read_text() == before  # the learner's own are untouched


def test_a_lesson_in_a_line_and_what_is_for_a_site_is_refused_without_it(capsys):
    assert main(["rehearse", "--learners", "40"]) == 1
    assert "are for --site" in capsys.readouterr().err
    report = rehearse.Report("00", "00_good", 12.0, 300 * 2**20)
    assert "passed" in rehearse.line(report)
    assert "over a minute" in rehearse.line(replace(report, seconds=90.0))
    assert "FAILED\n    code cell 1" in rehearse.line(replace(report, failure="code cell 1: no"))


@pytest.mark.slow
def test_a_cell_without_end_a_dead_kernel_and_a_stray_process(fates, capsys, monkeypatch):
    run, folders = rehearse.rehearse, []
    monkeypatch.setattr(rehearse, "rehearse", lambda *of: folders.append(str(of[1])) or run(*of))
    status, said = reports(capsys, "--only", "03", "--only", "04", "--only", "05", "--cell-timeout", "3")
    assert status == 1
    assert said["03"]["failure"] == "code cell 1 (import time; time.sleep(60)) ran longer than 3 s."
    assert "kernel died" in said["04"]["failure"]
    assert said["05"]["failure"] == "it left running: sleep 300."
    assert len(folders) == 3
    assert not [folder for folder in folders if processes_of_run(folder) or Path(folder).exists()]


@pytest.mark.slow
def test_an_interrupt_leaves_nothing(tmp_path):
    write(tmp_path, **{"00_long": ["open('begun', 'w').close(); import time; time.sleep(120)"]})
    code = (
        "import pathlib, hpclab.course.layout as l\n"
        f"l.root = lambda: pathlib.Path({str(tmp_path)!r})\n"
        "from hpclab.cli import main; raise SystemExit(main(['rehearse']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    kernels = until(lambda: _folders_of(process.pid), "the cell runs")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert not any(processes_of_run(folder) or Path(folder).exists() for folder in kernels)


def _folders_of(pid):
    """The rehearsal folders that kernels below `pid` run in, once they have begun with a cell."""
    found = set()
    for child in processes_of_run("", [pid]):
        with contextlib.suppress(OSError):
            folder = Path(os.readlink(f"/proc/{child}/cwd"))
            found |= {str(folder.parent)} if (folder / "begun").exists() else set()
    return found
