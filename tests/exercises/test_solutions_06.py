"""The worked solutions of lesson 06 that people read are solutions: each code block passes its check."""

import json
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


def test_the_notebooks_tables_are_those_of_the_exercises():
    notebook = json.loads((SOLUTIONS.parents[1] / "notebooks" / "06_pass_messages.ipynb").read_text("utf-8"))
    text = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    sizes = " | ".join(f"{size:,}" for size in lesson_06.POINTS)
    times = " | ".join(f"{round(time * 1e6, 1):,g}" for time in lesson_06.POINTS.values())
    assert f"| bytes | {sizes} |" in text
    assert f"| µs | {times} |" in text
    for name, run in lesson_06.RUNS.items():
        row = (name, run.collective, run.what, run.ranks, f"{run.size:,}", f"{run.seconds * 1e3:g}")
        assert f"| {' | '.join(map(str, row))} |" in text
    assert all(f"{name} {rate / 1e9:g}" in text for name, rate in lesson_06.LINKS.items())
