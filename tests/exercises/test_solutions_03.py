"""The worked solutions of lesson 03 that people read are solutions: each code block passes its check."""

import linecache
import re
from pathlib import Path

import numpy
import pytest

from hpclab.exercises import lesson_03
from hpclab.exercises.bottlenecks import _WORKS
from hpclab.kernels.cuda import cuda
from hpclab.models.device import from_catalogue
from hpclab.models.roofline import Launch, Work, predict

SOLUTIONS = Path(__file__).resolve().parents[2] / "docs" / "solutions.md"
SECTION = SOLUTIONS.read_text(encoding="utf-8").split("\n## 03 ")[1].split("\n## ")[0]
CHECKS = {
    "times": lesson_03.PREDICT,
    "tile": lesson_03.TILE,
    "changes": lesson_03.CHANGE_FIRST,
    "tail": lesson_03.FUSE,
}
H100 = from_catalogue("h100-80gb")


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL))
def test_each_solution_passes(block):
    file = "/a/cell/of/a/notebook.py"  # as in a notebook, the source is in no file
    linecache.cache[file] = (len(block), None, block.splitlines(keepends=True), file)
    cell = {"__name__": "__main__", "cuda": cuda, "np": numpy, "h100": H100}
    exec(compile(block, file, "exec"), cell)
    (name,) = set(cell) & set(CHECKS)
    verdict = CHECKS[name].check(cell[name])
    assert verdict.passed, verdict.message


def test_every_exercise_has_a_solution():
    assert all(re.search(rf"^(def )?{name}\b", SECTION, re.MULTILINE) for name in CHECKS)


def test_the_numbers_of_the_profiles_are_those_of_the_model():
    launches = {
        "A": Launch(2**18, 256, registers=40, in_flight=48),
        "B": Launch(2**20, 256),
        "C": Launch(1024, 256, registers=122, shared_memory=8320, in_flight=16),
        "D": Launch(132, 256),
        "E": Launch(16, 256, in_flight=12),
    }
    for name, counts in lesson_03.PROFILES.items():
        work = Work(counts["needed"], counts["operations"], cache_bytes=counts["moved"])
        found = predict(work, H100, launches[name])
        assert found.seconds == pytest.approx(counts["seconds"], rel=0.02)
        resident = min(found.occupancy.warps, launches[name].blocks * 8 / H100.multiprocessors)
        assert counts["warps"] == pytest.approx(max(resident, 8), rel=0.02)


def test_the_five_kernels_show_every_bound_that_is_asked_for():
    bounds = [predict(work, H100).bound for work in _WORKS.values()]
    assert bounds == ["memory", "memory", "compute", "memory", "launch"]
    assert _WORKS.keys() == lesson_03.KERNELS.keys()
