"""What the repository says of itself is so: links lead somewhere, pins fit, setup asks before it installs."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hpclab
from hpclab import course

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += [ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "#"))]
    for link in links:
        assert (page.parent / link.split("#")[0]).exists(), link


def test_the_readme_lists_the_lessons_that_exist():
    listed = re.findall(r"\]\(notebooks/([^)]+)\.ipynb\)", (ROOT / "README.md").read_text())
    assert listed == [lesson.name for lesson in course.lessons()]


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == citation["version"] == hpclab.__version__


def test_every_dependency_is_pinned_within_its_bounds():
    extras = PROJECT["optional-dependencies"]
    wanted = [Requirement(text) for group in (PROJECT["dependencies"], *extras.values()) for text in group]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    for requirement in wanted:
        if requirement.name != "hpclab":
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_hooks_and_pins_fetch_from_nowhere():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]
    assert "://" not in (ROOT / "constraints.txt").read_text()


@pytest.mark.parametrize("room", ["hpclab", "tests", "benchmarks"])
def test_a_file_is_one_idea(room):
    long = {path.name: path.read_text().count("\n") for path in (ROOT / room).rglob("*.py")}
    assert long
    assert not {name: lines for name, lines in long.items() if lines > 250}


TOOLS = "sh sed cat cksum mktemp rm grep uname id ls dirname env timeout"


@pytest.fixture
def set_up(tmp_path):
    """setup.sh on a machine without Python or Slurm: only these tools, and a make-believe apt-get that writes
    down what it is asked for. The checkout's path has spaces in it."""
    if os.uname().sysname != "Linux":
        pytest.skip("system packages are Linux's")
    checkout, programs = tmp_path / "a path with spaces", tmp_path / "bin"
    for folder in (checkout, programs):
        folder.mkdir()
    for name in ("constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    script = (ROOT / "setup.sh").read_text().replace('PATH="$PATH:', 'PATH="$PATH:/nowhere:')
    (checkout / "setup.sh").write_text(script.replace(":/usr/sbin:/sbin:", ":"))  # where a Slurm may be
    for tool in TOOLS.split():
        (programs / tool).symlink_to(shutil.which(tool))

    def run(purpose, environment=(), **pretended):
        pretended = {"apt-get": f'echo "$@" >>"{tmp_path}/asked"', "apt-cache": "exit 1"} | pretended
        for name, does in pretended.items():
            (programs / name).write_text(f"#!/bin/sh\n{does}\n")
            (programs / name).chmod(0o755)
        done = subprocess.run(
            [programs / "sh", checkout / "setup.sh", purpose], stdin=subprocess.DEVNULL, timeout=60,
            env={"PATH": str(programs), "HOME": str(checkout)} | dict(environment),
            capture_output=True, text=True,
        )  # fmt: skip
        asked = tmp_path / "asked"
        return done.returncode, done.stderr, asked.read_text().splitlines() if asked.exists() else []

    return run


def test_nobody_to_ask_installs_nothing_and_says_what_is_missing(set_up):
    status, said, asked = set_up("lab")
    assert (status, asked) == (1, [])
    assert "python3-venv slurm-wlm munge" in said
    assert "Python 3.11, 3.12 or 3.13 with venv is needed" in said
    assert "chromium" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user would be asked for a password")
def test_yes_installs_all_of_it_at_once(set_up):
    update, install = set_up("dev", {"YES": "1"})[2]
    assert update.endswith("update")
    assert install.endswith("install python3-venv slurm-wlm munge chromium fonts-dejavu-core libatomic1")


@pytest.mark.parametrize(
    ("purpose", "words"),
    [("lab", "name one with PYTHON="), ("x", "hpclab: setup.sh takes lab, hub or dev, not 'x'.\n")],
)
def test_a_python_that_is_too_old_and_a_wrong_word_are_refused(set_up, purpose, words):
    status, said, _ = set_up(purpose, python3="exit 1")
    assert status == 1
    assert words in said
