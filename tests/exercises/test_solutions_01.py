"""The worked solutions of lesson 01 that people read are solutions: each code block passes its check."""

import re
from pathlib import Path

import pytest

from hpclab.exercises import lesson_01
from hpclab.models import scaling

SOLUTIONS = Path(__file__).resolve().parents[2] / "docs" / "solutions.md"
SECTION = SOLUTIONS.read_text(encoding="utf-8").split("\n## 01 ")[1].split("\n## ")[0]
CHECKS = {
    "answer": lesson_01.SERIAL_SHARE,
    "most_cores": lesson_01.MOST_CORES,
    "predict_throughput": lesson_01.SIXTEEN,
}


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL))
def test_each_solution_passes(block):
    cell = {"__name__": "__main__", "scaling": scaling}
    exec(block, cell)
    (name,) = set(cell) & set(CHECKS)
    verdict = CHECKS[name].check(cell[name])
    assert verdict.passed, verdict.message


def test_every_exercise_has_a_solution():
    assert all(re.search(rf"^(def )?{name}\b", SECTION, re.MULTILINE) for name in CHECKS)
