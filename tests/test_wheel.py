"""The wheel alone, in a fresh virtual environment outside the repository: the course is all there."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from hpclab import course

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the sources so that nothing is written into the checkout."""
    base = tmp_path_factory.mktemp("wheel")
    skipped = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "build", "dist")
    shutil.copytree(ROOT, base / "source", ignore=skipped)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", base, base / "source"]
    built = subprocess.run(build, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(base.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The `bin` folder of a fresh environment with only the wheel installed in it.

    What the wheel depends on is lent by the running environment, through a path file that comes after the
    fresh environment's own packages, so that gigabytes are not installed again.
    """
    base = tmp_path_factory.mktemp("a fresh place")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", base / "venv"], check=True, timeout=120)
    binaries = base / "venv" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", binaries / "python"]
    options = ["--no-deps", "--no-index", "--no-warn-script-location", "-q"]
    subprocess.run([*pip, "install", *options, wheel], check=True, timeout=120)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    lent = base / "venv" / "lib" / version / "site-packages" / "zz_lent.pth"
    lent.write_text(f"{sysconfig.get_path('purelib')}\n")
    return binaries


def test_the_wheel_carries_notebooks_job_scripts_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for lesson in course.lessons():
        assert f"hpclab/course/notebooks/{lesson.path.name}" in names
    for place, prefix in (("slurm/jobs", "hpclab/course/slurm/jobs"), ("hpclab", "hpclab")):
        for file in (ROOT / place).rglob("*"):
            if file.is_file() and not any(p.startswith((".", "__pycache__")) for p in file.parts[-3:]):
                assert f"{prefix}/{file.relative_to(ROOT / place).as_posix()}" in names
    assert not [name for name in names if name.startswith(("tests", "docs", "benchmarks"))]


def test_outside_the_repository_it_answers_and_lays_the_course_out(installed, tmp_path):
    """In an empty folder, with an empty home and no path to the checkout."""
    environment = os.environ | {"HOME": str(tmp_path), "HPCLAB_STATE_DIR": str(tmp_path / "s")}
    environment.pop("PYTHONPATH", None)

    def run(*words):
        done = subprocess.run(
            words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "--folder" in run(installed / "hpclab", "lab", "--help")
    found = json.loads(run(installed / "hpclab", "doctor", "--json"))["lessons"]
    assert [lesson["number"] for lesson in found] == [lesson.number for lesson in course.lessons()]
    lay_out = (
        "import hpclab, hpclab.course as course\n"
        f"assert not hpclab.__file__.startswith({str(ROOT)!r}), hpclab.__file__\n"
        "print(len(course.lay_out('work').names))"
    )
    assert int(run(installed / "python", "-c", lay_out)) >= len(course.lessons()) + 5
    assert (tmp_path / "work" / "slurm" / "jobs").is_dir()
    assert (tmp_path / "work" / course.lessons()[0].path.name).is_file()
