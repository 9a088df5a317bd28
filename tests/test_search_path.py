"""Files of the learner's named like modules of Python's, of packages or of ours: harmless, or named."""

import importlib.machinery
import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

import hpclab
from hpclab import search_path
from hpclab.exercises import limits

CHECKOUT = str(Path(hpclab.__file__).parents[1])
TRAP = 'raise SystemExit("a file of the learner\'s was imported")\n'
NAMES = ["random", "types", "socket", "logging", "torch", "numpy", "distributed", "dask", "queue", "yaml"]


def lay_traps(folder):
    for name in NAMES:
        (folder / f"{name}.py").write_text(TRAP)
    (folder / "helpers.py").write_text("def double(number):\n    return 2 * number\n")
    return folder


def run(folder, *words):
    environment = os.environ | {"PYTHONPATH": CHECKOUT}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ("random.py", True), ("torch.py", True), ("hpclab.py", True), ("socket.pyc", True),
        ("numpy/__init__.py", True), (f"yaml{SUFFIX}", True),
        ("helpers.py", False), ("torch/data.txt", False), ("__pycache__/random.cpython-311.pyc", False),
        ("sys.py", False), ("test.py", False), ("random.ipynb", False), ("no name.py", False),
    ],
)  # fmt: skip
def test_what_hides_a_module_is_named_and_nothing_else(tmp_path, entry, named):
    (tmp_path / entry).parent.mkdir(exist_ok=True)
    (tmp_path / entry).write_text("")
    assert search_path.in_the_way(str(tmp_path)) == ([entry.partition("/")[0]] if named else [])


@pytest.mark.parametrize(
    ("variable", "place"),
    [("PYTHONPATH", "."), ("PYTHONUSERBASE", "lib/python{}.{}/site-packages".format(*sys.version_info))],
)
def test_packages_that_an_environment_puts_before_ours_are_named(tmp_path, monkeypatch, variable, place):
    (folder := tmp_path / place).mkdir(parents=True, exist_ok=True)
    (folder / "numpy.py").write_text(TRAP)
    (folder / "theirs_alone.py").write_text("")
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(site, "ENABLE_USER_SITE", variable == "PYTHONUSERBASE")
    monkeypatch.setattr(site, "USER_SITE", None)
    monkeypatch.setattr(site, "USER_BASE", None)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    (said,) = [sentence for sentence in search_path.hiding_folders() if str(tmp_path) in sentence]
    assert "numpy.py" in said
    assert "theirs_alone" not in said


@pytest.mark.parametrize("ours", ["random", "torch", "json"])
def test_a_program_in_such_a_folder_runs_and_names_the_file(tmp_path, ours):
    (tmp_path / f"{ours}.py").write_text(TRAP)
    done = run(tmp_path, "-c", f"import hpclab, importlib.util as u; print(u.find_spec({ours!r}).origin)")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stdout
    assert f"{ours}.py in {tmp_path}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_in_a_folder_without_one_nothing_is_said_or_moved_and_no_setting_is_handed_down(tmp_path):
    """`!python mine.py` in a notebook finds what lies beside it: no PYTHONSAFEPATH comes from us."""
    (tmp_path / "helpers.py").write_text("")
    done = run(
        tmp_path, "-c", "import hpclab.cluster, os, sys; print(sys.path[0], 'PYTHONSAFEPATH' in os.environ)"
    )
    assert (done.stdout, done.stderr) == (" False\n", "")


@pytest.mark.slow
def test_workers_agents_and_ranks_start_beside_such_files(backend, tmp_path, monkeypatch):
    """And find the learner's own modules there."""
    monkeypatch.chdir(lay_traps(tmp_path))
    monkeypatch.setenv("PYTHONPATH", CHECKOUT)
    from hpclab.cluster import Pool

    def doubled(number):
        import helpers

        return helpers.double(number)

    with Pool(2, backend=backend) as pool:
        assert pool.map(doubled, [1, 2, 3]) == [2, 4, 6]
        assert pool.run(doubled, 4) == [8, 8]


def test_a_learners_function_uses_a_module_beside_such_files(tmp_path, monkeypatch):
    monkeypatch.chdir(lay_traps(tmp_path))
    monkeypatch.setattr(sys, "path", ["", *sys.path])  # as a kernel has it

    def rolled(number):
        import random

        import helpers

        return helpers.double(number) + 0 * random.random()

    assert limits.call_each(rolled, [(3,)]) == [6]
