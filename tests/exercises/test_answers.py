"""For every lesson: right answers pass however they are written, wrong ones get the hint that names them.

Each file in answers/ holds, by exercise, RIGHT (at least two answers, written differently), WRONG (at least
four, each with words that its hint must contain) and, where there is some, OWN: the package's own code, which
earns nothing. The solutions that people read in docs/solutions.md pass, too."""

import importlib
import linecache
import re
import runpy
from pathlib import Path
from types import FunctionType

import numpy
import pytest

from hpclab.exercises import Exercise
from hpclab.kernels.cuda import cuda
from hpclab.models import scaling
from hpclab.models.device import from_catalogue

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((Path(__file__).parent / "answers").glob("lesson_*.py"))
# Run under a name nobody can import, as a notebook's cells are: their functions travel by value.
LESSONS = {path.stem: runpy.run_path(str(path), run_name="__main__") for path in FILES}
EXERCISES = [(lesson, name) for lesson, answers in LESSONS.items() for name in answers["RIGHT"]]


def exercise(lesson: str, name: str) -> Exercise:
    return getattr(importlib.import_module(f"hpclab.exercises.{lesson}"), name)


def notebook(lesson: str) -> str:
    return next((ROOT / "notebooks").glob(f"{lesson.removeprefix('lesson_')}_*")).read_text("utf-8")


def cases(kind: str) -> list:
    return [
        pytest.param(lesson, name, answer, id=f"{lesson}-{name}-{number}")
        for lesson, name in EXERCISES
        for number, answer in enumerate(LESSONS[lesson].get(kind, {}).get(name, ()))
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("lesson", "name", "answer"), cases("RIGHT"))
def test_right_answers_pass(lesson, name, answer):
    verdict = exercise(lesson, name).check(answer)
    assert verdict.passed, verdict.message


@pytest.mark.slow  # some 150 of them, most in a child process each
@pytest.mark.parametrize(("lesson", "name", "answer"), cases("WRONG"))
def test_wrong_answers_get_the_hint_that_names_them(lesson, name, answer):
    wrong, said = answer
    verdict = exercise(lesson, name).check(wrong)
    assert not verdict.passed, verdict.message
    assert said in verdict.message


NUMERIC = [
    (lesson, name) for lesson, name in EXERCISES
    if isinstance(LESSONS[lesson]["RIGHT"][name][0], FunctionType) and name not in ("BACKEND", "RING")
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("lesson", "name"), NUMERIC)
def test_a_function_that_is_a_little_off_is_not_right(lesson, name):
    """By five times what is allowed: 1 % mostly, 15 % of the fitted SIXTEEN, 5 % of INTERVAL."""
    right, off = LESSONS[lesson]["RIGHT"][name][0], {"SIXTEEN": 1.75, "INTERVAL": 1.25}.get(name, 1.05)
    answer = eval("lambda *case: off * right(*case)", {"__name__": "__main__", "off": off, "right": right})
    verdict = exercise(lesson, name).check(answer)
    assert not verdict.passed, verdict.message
    assert "Your function" not in verdict.message


@pytest.mark.parametrize(("lesson", "name", "answer"), cases("OWN"))
def test_the_packages_own_code_earns_nothing(lesson, name, answer):
    assert not exercise(lesson, name).check(answer).passed


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_exercise_of_the_lesson_is_whole_and_has_answers(lesson):
    module = importlib.import_module(f"hpclab.exercises.{lesson}")
    right, wrong = LESSONS[lesson]["RIGHT"], LESSONS[lesson]["WRONG"]
    found = {name: value for name, value in vars(module).items() if isinstance(value, Exercise)}
    assert set(found) == set(right) == set(wrong)
    for name, one in found.items():
        unsolved = one.check(...)
        assert (unsolved.passed, "Not solved yet" in unsolved.message) == (False, True)
        assert len(right[name]) >= 2
        assert len(wrong[name]) >= 4
        assert one.lesson == lesson.removeprefix("lesson_")
        assert one.hints


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_one_exercise_of_the_lesson_is_a_challenge_with_a_score(lesson):
    """Two right answers of different scores, so that there is something to beat."""
    found = re.findall(r"### Challenge.*?lesson_\d\d\.([A-Z_0-9]+)\.check\(", notebook(lesson), re.DOTALL)
    assert found
    for name in found:
        scores = {exercise(lesson, name).check(answer).score for answer in LESSONS[lesson]["RIGHT"][name]}
        assert None not in scores
        assert len(scores) > 1


SOLUTIONS = (ROOT / "docs" / "solutions.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("lesson", sorted(LESSONS.keys() - {"lesson_04"}))  # whose answers are files
def test_each_worked_solution_passes(lesson):
    number = lesson.removeprefix("lesson_")
    names = dict(re.findall(r"lesson_\d\d\.([A-Z_0-9]+)\.check\((\w+|\([\w, ]+\))\)", notebook(lesson)))
    section = SOLUTIONS.split(f"\n## {number} ")[1].split("\n## ")[0]
    cell: dict = {
        "__name__": "__main__", "np": numpy, "cuda": cuda, "scaling": scaling,
        "h100": from_catalogue("h100-80gb"), lesson: importlib.import_module(f"hpclab.exercises.{lesson}"),
    }  # fmt: skip
    checked = set()
    for n, block in enumerate(re.findall(r"```python\n(.*?)```", section, re.DOTALL)):
        file = f"/a/cell/of/a/notebook/{number}-{n}.py"  # as in a notebook, the source is in no file
        linecache.cache[file] = (len(block), None, block.splitlines(keepends=True), file)
        before = dict(cell)
        exec(compile(block, file, "exec"), cell)
        for name, answer in names.items():
            parts = re.findall(r"\w+", answer)
            if all(part in cell and cell[part] is not before.get(part) for part in parts):
                verdict = exercise(lesson, name).check(eval(answer, cell))
                assert verdict.passed, verdict.message
                checked.add(name)
    assert checked == set(LESSONS[lesson]["RIGHT"])
