"""Every notebook runs top to bottom as it is shipped, and passes every check with the answers filled in."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hpclab import course

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.timeout(600)]
ANSWERS = Path(__file__).resolve().parents[1] / "exercises" / "answers"
every = pytest.mark.parametrize("lesson", course.lessons(), ids=lambda lesson: lesson.name)

# Runs inside the notebook, before its first cell: a learner's functions are __main__'s, so these are, too.
SOLVE = """
get_ipython().run_line_magic("run", "-i {answers!r}")
def _solved(exercise, name):
    assert RIGHT[name]
    for answer in RIGHT[name]:
        verdict = exercise.check(answer)
        assert verdict.passed, f"{{name}}: {{verdict.message}}"
"""


@pytest.fixture
def folder():
    """The course laid out in a folder of its own, with a state of its own, all of it gone afterwards."""
    base = Path(tempfile.mkdtemp(prefix="hnb-", dir="/tmp"))  # short: Slurm's socket paths are limited
    yield course.lay_out(base / "course").folder
    environment = os.environ | {"HPCLAB_STATE_DIR": str(base / "state")}
    subprocess.run([sys.executable, "-m", "hpclab.cli", "slurm", "down"], env=environment, timeout=60)
    shutil.rmtree(base)


def nbval(notebook):
    """Run it with nbval, which also catches what goes wrong inside widgets' callbacks."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    base = notebook.parent.parent
    alone = ["-q", "-p", "no:cacheprovider", "-p", "no:timeout", f"--rootdir={base}", "-c", os.devnull]
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=180", *alone]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(notebook)],
        env=clean | {"HPCLAB_STATE_DIR": str(base / "state"), "IPYTHONDIR": str(base / "ipython")},
        cwd=notebook.parent,
        capture_output=True,
        text=True,
        timeout=570,
    )


@every
def test_it_runs_untouched(lesson, folder):
    done = nbval(folder / lesson.path.name)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"\d+ passed", done.stdout)
    assert "failed" not in done.stdout.splitlines()[-1]


@every
def test_with_the_answers_every_check_passes(lesson, folder):
    notebook = folder / lesson.path.name
    content = json.loads(notebook.read_text(encoding="utf-8"))
    solved = 0
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            cell["source"], found = re.subn(
                r"\b(lesson_\d\d\.([A-Z][A-Z0-9_]*))\.check\(.*\)$", r'_solved(\1, "\2")', source, flags=re.M
            )
            solved += found
            assert not re.search(r"\.check\(", cell["source"])
    assert solved
    answers = str(ANSWERS / f"lesson_{lesson.number}.py")
    first = {"cell_type": "code", "id": "answers", "metadata": {}, "outputs": [], "execution_count": None}
    content["cells"].insert(0, first | {"source": SOLVE.format(answers=answers)})
    notebook.write_text(json.dumps(content), encoding="utf-8")
    done = nbval(notebook)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
