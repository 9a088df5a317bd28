"""The worked solutions of lesson 02 that people read are solutions: each code block passes its check."""

import linecache
import re
from pathlib import Path

import numpy
import pytest

from hpclab.exercises import lesson_02
from hpclab.kernels.cuda import cuda

SOLUTIONS = Path(__file__).resolve().parents[2] / "docs" / "solutions.md"
SECTION = SOLUTIONS.read_text(encoding="utf-8").split("\n## 02 ")[1].split("\n## ")[0]
CHECKS = {
    "difference": lesson_02.DIFFERENCE,
    "sectors": lesson_02.SECTORS,
    "scale_add": lesson_02.FEW_SECTORS,
    "transpose": lesson_02.TRANSPOSE,
    "block_sums": lesson_02.BLOCK_SUMS,
}


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL))
def test_each_solution_passes(block):
    file = "/a/cell/of/a/notebook.py"  # as in a notebook, the source is in no file
    linecache.cache[file] = (len(block), None, block.splitlines(keepends=True), file)
    cell = {"__name__": "__main__", "cuda": cuda, "np": numpy}
    exec(compile(block, file, "exec"), cell)
    (name,) = set(cell) & set(CHECKS)
    verdict = CHECKS[name].check(cell[name])
    assert verdict.passed, verdict.message


def test_every_exercise_has_a_solution():
    assert all(re.search(rf"^def {name}\b", SECTION, re.MULTILINE) for name in CHECKS)
