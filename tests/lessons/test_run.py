"""Every lesson runs whole and untouched, its figures are drawn and described, and right answers pass in it.

Each notebook runs once, under nbval, which also catches what goes wrong inside widgets' callbacks. One cell
is added at its end, where a learner's functions would be, and hands in a right answer to every exercise."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hpclab import course

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(900)]
HERE = Path(__file__).parent
ANSWERS = HERE.parent / "exercises" / "answers"
SOLVE = """
get_ipython().run_line_magic("run", "-i {answers!r}")
from hpclab.exercises import {lesson} as _lesson
_found = [(name, getattr(_lesson, name).check(answers[0])) for name, answers in RIGHT.items()]
assert _found and all(verdict.passed for _, verdict in _found), _found
"""
FIGURE = re.compile(r"<svg[^>]*role=.img.*?</svg>", re.DOTALL)


@dataclass(repr=False)  # long ones, in nobody's way when a test fails
class Ran:
    """The notebook's cells, how nbval ended, and what each cell showed, by its id."""

    cells: list[dict[str, Any]]
    done: subprocess.CompletedProcess[str]
    showed: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module", params=course.lessons(), ids=lambda lesson: lesson.name)
def ran(request):
    """The lesson after its run, in a course and with a state of its own, all of it gone by now."""
    base = Path(tempfile.mkdtemp(prefix="hnb-", dir="/tmp"))  # short: Slurm's socket paths are limited
    notebook = course.lay_out(base / "course").path / request.param.path.name
    content = json.loads(notebook.read_text(encoding="utf-8"))
    lesson = f"lesson_{request.param.number}"
    solve = SOLVE.format(answers=str(ANSWERS / f"{lesson}.py"), lesson=lesson)
    last = {"cell_type": "code", "id": "answers", "metadata": {}, "outputs": [], "execution_count": None}
    notebook.write_text(json.dumps(content | {"cells": [*content["cells"], last | {"source": solve}]}))
    environment = os.environ | {
        "HPCLAB_STATE_DIR": str(base / "state"),
        "IPYTHONDIR": str(base / "ipython"),
        "CELLS_SHOWED": str(base / "showed.json"),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    alone = ["-q", "-p", "no:cacheprovider", "-p", "no:timeout", f"--rootdir={base}", "-c", os.devnull]
    options = ["-p", "nbval_outputs", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=180"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *alone, *options, str(notebook)],
            env=environment, cwd=notebook.parent, capture_output=True, text=True, timeout=840,
        )  # fmt: skip
        showed = json.loads((base / "showed.json").read_text(encoding="utf-8"))
    finally:
        down = [sys.executable, "-m", "hpclab.cli", "slurm", "down"]
        subprocess.run(down, env=environment, stdout=subprocess.DEVNULL, timeout=60)
        shutil.rmtree(base, ignore_errors=True)  # the watchdog of a pool left open removes the same files
    return Ran(content["cells"], done, showed)


def test_it_runs_untouched_and_right_answers_pass(ran):
    said = ran.done.stdout[-6000:] + ran.done.stderr[-2000:]
    assert ran.done.returncode == 0, said
    code = [cell["id"] for cell in ran.cells if cell["cell_type"] == "code"]
    assert list(ran.showed) == [*code, "answers"]


def test_every_figure_is_drawn_and_described(ran):
    code = {cell["id"]: "".join(cell["source"]) for cell in ran.cells if cell["cell_type"] == "code"}
    modules = re.findall(r"^from hpclab\.figures import (.+)$", "\n".join(code.values()), re.MULTILINE)
    names = "|".join(re.findall(r"\w+", " ".join(modules))) or "no figures"
    for cell, source in code.items():
        shown = [output.get("data", {}) for output in ran.showed[cell]]
        figures = FIGURE.findall("".join("".join(data.get("text/html", "")) for data in shown))
        asked = re.search(rf"\b({names})\.(draw|compare)\(|plt\.subplots", source)
        assert bool(figures) == bool(asked), cell
        assert not any("image/png" in data for data in shown), f"{cell}: a picture without words"
        for figure in figures:
            assert re.search(r"<title[^>]*>[^<]+</title>\s*<desc[^>]*>[^<]+</desc>", figure), cell
