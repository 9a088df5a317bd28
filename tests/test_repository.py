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


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


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
    pinned = pins()
    for requirement in wanted:
        if requirement.name != "hpclab":
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_hooks_and_pins_fetch_from_nowhere():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]
    assert "://" not in (ROOT / "constraints.txt").read_text()


def test_make_help_lists_every_target():
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    said = subprocess.check_output([make, "-C", ROOT, "--no-print-directory", "help"], text=True)
    for target in ("lab", "test", "check", "bench", "clean", "help"):
        assert f"make {target} " in said


def test_a_file_of_the_package_is_one_idea():
    long = {path.name: path.read_text().count("\n") for path in (ROOT / "hpclab").rglob("*.py")}
    assert not {name: lines for name, lines in long.items() if lines > 300}


class Bare:
    """A machine without Python or Slurm, as setup.sh sees it: only the tools named here, and a make-believe
    apt-get that writes down what it is asked for. The checkout's path has spaces in it."""

    TOOLS = "sh sed cat cksum mktemp rm grep uname id ls dirname env timeout"

    def __init__(self, base):
        self.checkout, self.bin, self.asked = base / "a path with spaces", base / "bin", base / "asked"
        self.checkout.mkdir()
        self.bin.mkdir()
        for name in ("setup.sh", "constraints.txt", "pyproject.toml"):
            shutil.copy(ROOT / name, self.checkout)
        script = (self.checkout / "setup.sh").read_text()
        hidden = script.replace('PATH="$PATH:', 'PATH="$PATH:/nowhere:').replace(":/usr/sbin:/sbin:", ":")
        (self.checkout / "setup.sh").write_text(hidden)  # this machine's own Slurm is out of sight
        for tool in self.TOOLS.split():
            (self.bin / tool).symlink_to(shutil.which(tool))

    def pretend(self, name, script):
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def set_up(self, purpose="lab", **environment):
        self.pretend("apt-get", f'echo "$@" >>"{self.asked}"')
        self.pretend("apt-cache", "exit 1")
        words = [self.bin / "sh", self.checkout / "setup.sh", purpose]
        known = {"PATH": str(self.bin), "HOME": str(self.checkout)} | environment
        return subprocess.run(
            words, env=known, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="system packages are Linux's")
class TestSetUp:
    def test_nobody_to_ask_installs_nothing_and_says_what_is_missing(self, tmp_path):
        bare = Bare(tmp_path)
        done = bare.set_up()
        assert done.returncode == 1
        assert not bare.asked.exists()
        assert "python3-venv slurm-wlm munge" in done.stderr
        assert "Python 3.11, 3.12 or 3.13 with venv is needed" in done.stderr
        assert "chromium" not in done.stderr

    @pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user would be asked for a password")
    def test_yes_installs_all_of_it_at_once(self, tmp_path):
        bare = Bare(tmp_path)
        bare.set_up("dev", YES="1")
        asked = bare.asked.read_text().splitlines()
        assert asked[0].endswith("update")
        assert asked[1].endswith("install python3-venv slurm-wlm munge chromium fonts-dejavu-core libatomic1")

    def test_a_python_that_is_too_old_and_a_wrong_word_are_refused(self, tmp_path):
        bare = Bare(tmp_path)
        bare.pretend("python3", "exit 1")
        for purpose, words in (
            ("lab", "name one with PYTHON="),
            ("nonsense", "hpclab: setup.sh takes lab or dev, not 'nonsense'.\n"),
        ):
            done = bare.set_up(purpose)
            assert done.returncode == 1
            assert words in done.stderr
