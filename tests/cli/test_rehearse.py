"""`hpclab rehearse`: notebooks of every fate, run in kernels of their own, with nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from hpclab.cli import main, rehearse
from hpclab.machine.footprint import members
from tests.conftest import until


def notebook(*sources: str) -> str:
    """A lesson of these code cells. Written out: reading it with nbformat takes seconds of imports."""
    cells: list[dict] = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# A lesson"}]
    for number, source in enumerate(sources):
        code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        cells.append(code | {"id": f"c{number}", "source": source})
    return json.dumps(
        {"cells": cells, "metadata": {"hpclab": {"needs": []}}, "nbformat": 4, "nbformat_minor": 5}
    )


FATES = {
    "00_good": notebook("import sys; print(sys.executable)", "assert 1 + 1 == 2"),
    "01_wrong": notebook(
        "value = 3", "# the second cell\nassert value == 4, 'three is not four'", "never = 1"
    ),
    "02_memory": notebook("block = bytearray(b'x') * (200 * 2**20)\nimport time; time.sleep(1)"),
    "03_slow": notebook("import time; time.sleep(60)"),
    "04_dies": notebook("import os; os._exit(3)"),
    "05_leaves": notebook(
        "import subprocess\n"
        "stray = subprocess.Popen(['sleep', '300'], start_new_session=True)\nprint(stray.pid)"
    ),
    "06_alone": notebook(
        "import os, pathlib\n"
        "assert [p.name for p in pathlib.Path().glob('0*.ipynb')], 'the course is laid out here'\n"
        "assert os.environ['HPCLAB_STATE_DIR'] != '/elsewhere'\n"
        "assert not [name for name in os.environ if name.startswith('SLURM_JOB')]"
    ),
}


@pytest.fixture
def fates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "notebooks").mkdir()
    for name, text in FATES.items():
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text(text)
    monkeypatch.setattr("hpclab.course.finder.root", lambda: tmp_path)
    monkeypatch.setattr("hpclab.course.layout.root", lambda: tmp_path)
    monkeypatch.setattr("hpclab.cli.rehearsal._LEAVE", 1.0)
    return tmp_path


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that rehearsals in this process were given."""
    given: list[str] = []
    make = tempfile.mkdtemp

    def mkdtemp(suffix: str | None = None, prefix: str | None = None, dir: str | None = None) -> str:
        path = make(suffix, prefix, dir)
        given.extend([path] if prefix == "hpclab-r-" else [])
        return path

    monkeypatch.setattr(rehearse.tempfile, "mkdtemp", mkdtemp)
    return given


def reports(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, dict]]:
    status = main(["rehearse", "--json", *words])
    answer = json.loads(capsys.readouterr().out)
    assert answer["passed"] is (status == 0)
    return status, {report["number"]: report for report in answer["lessons"]}


@pytest.mark.slow
def test_good_and_wrong_lessons(
    fates: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
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


def test_a_lesson_in_a_line():
    report = rehearse.Report("00", "00_good", 12.0, 300 * 2**20)
    assert "passed" in rehearse.line(report)
    assert "over a minute" in rehearse.line(replace(report, seconds=90.0))
    assert "FAILED\n    code cell 1" in rehearse.line(replace(report, failure="code cell 1: no"))


@pytest.mark.slow
def test_a_cell_without_end_a_dead_kernel_and_a_stray_process(
    fates: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
):
    status, said = reports(capsys, "--only", "03", "--only", "04", "--only", "05", "--cell-timeout", "3")
    assert status == 1
    assert said["03"]["failure"] == "code cell 1 (import time; time.sleep(60)) ran longer than 3 s."
    assert "kernel died" in said["04"]["failure"]
    assert said["05"]["failure"] == "it left running: sleep 300."
    assert len(folders) == 3
    for folder in folders:
        assert not members(folder)
        assert not Path(folder).exists()


@pytest.mark.slow
def test_an_interrupt_leaves_nothing(tmp_path: Path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_long.ipynb").write_text(notebook("import time; time.sleep(120)"))
    code = (
        "import pathlib, hpclab.course.finder as f, hpclab.course.layout as l\n"
        f"f.root = l.root = lambda: pathlib.Path({str(tmp_path)!r})\n"
        "from hpclab.cli import main; raise SystemExit(main(['rehearse']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    kernels = until(lambda: _folders_of(process.pid), "a kernel runs")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert not any(members(folder) for folder in kernels)
    assert not any(Path(folder).exists() for folder in kernels)


def _folders_of(pid: int) -> set[str]:
    """The rehearsal folders that kernels below `pid` run in."""
    found = set()
    for child in members("", [pid]):
        try:
            folder = os.readlink(f"/proc/{child}/cwd")
        except OSError:
            continue
        if "hpclab-r-" in folder:
            found.add(str(Path(folder).parent))
    return found
