"""The worked solutions of lesson 06 that people read are solutions: each code block passes its check."""

import re
from pathlib import Path

from hpclab.exercises import lesson_06

SOLUTIONS = Path(__file__).resolve().parents[2] / "docs" / "solutions.md"
SECTION = SOLUTIONS.read_text(encoding="utf-8").split("\n## 06 ")[1].split("\n## ")[0]


def test_each_solution_passes():
    cell = {"__name__": "__main__", "lesson_06": lesson_06}
    for block in re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL):
        exec(block, cell)
    answers = [
        (lesson_06.FIT, (cell["alpha"], cell["beta"])),
        (lesson_06.RING, cell["chunk_to_send"]),
        (lesson_06.CROSSOVER, cell["crossover_size"]),
        (lesson_06.BOTTLENECK, cell["links"]),
    ]
    for exercise, answer in answers:
        verdict = exercise.check(answer)
        assert verdict.passed, verdict.message
