"""For every lesson: right answers pass however they are written, wrong ones get the hint that names them.

Each file in answers/ holds, by exercise, RIGHT (at least two answers, written differently), WRONG (at least
four, each with words that its hint must contain) and, where there is some, OWN: the package's own code, which
earns nothing.
"""

import importlib
import runpy
from pathlib import Path

import pytest

from hpclab.exercises import Exercise, limits

FILES = sorted((Path(__file__).parent / "answers").glob("lesson_*.py"))
# Run under a name nobody can import, as a notebook's cells are: their functions travel by value.
LESSONS = {path.stem: runpy.run_path(str(path), run_name="__main__") for path in FILES}
ENDLESS, RUN = ("did not finish", "is there a loop?"), limits._run
EXERCISES = [(lesson, name) for lesson, answers in LESSONS.items() for name in answers["RIGHT"]]


def exercise(lesson: str, name: str) -> Exercise:
    return getattr(importlib.import_module(f"hpclab.exercises.{lesson}"), name)


def cases(kind: str) -> list:
    return [
        pytest.param(lesson, name, answer, id=f"{lesson}-{name}-{number}")
        for lesson, name in EXERCISES
        for number, answer in enumerate(LESSONS[lesson].get(kind, {}).get(name, ()))
    ]


@pytest.mark.parametrize(("lesson", "name", "answer"), cases("RIGHT"))
def test_right_answers_pass(lesson, name, answer):
    verdict = exercise(lesson, name).check(answer)
    assert verdict.passed, verdict.message


@pytest.mark.slow  # some 150 of them, most in a child process each
@pytest.mark.parametrize(("lesson", "name", "answer"), cases("WRONG"))
def test_wrong_answers_get_the_hint_that_names_them(lesson, name, answer, monkeypatch):
    wrong, said = answer
    if said in ENDLESS:  # what has no end needs no five seconds to show it
        monkeypatch.setattr(limits, "_run", lambda task, place, _, memory: RUN(task, place, 1.0, memory))
    verdict = exercise(lesson, name).check(wrong)
    assert not verdict.passed, verdict.message
    assert said in verdict.message


@pytest.mark.parametrize(("lesson", "name", "answer"), cases("OWN"))
def test_the_packages_own_code_earns_nothing(lesson, name, answer):
    assert not exercise(lesson, name).check(answer).passed


@pytest.mark.parametrize(("lesson", "name"), EXERCISES)
def test_unsolved_moves_on(lesson, name):
    verdict = exercise(lesson, name).check(...)
    assert not verdict.passed
    assert "Not solved yet" in verdict.message


@pytest.mark.parametrize(("lesson", "name"), EXERCISES)
def test_there_are_enough_answers_and_hints(lesson, name):
    assert len(LESSONS[lesson]["RIGHT"][name]) >= 2
    assert len(LESSONS[lesson]["WRONG"][name]) >= 4
    assert exercise(lesson, name).task
    assert exercise(lesson, name).hints


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_exercise_of_the_lesson_has_answers(lesson):
    module = importlib.import_module(f"hpclab.exercises.{lesson}")
    found = {name for name, value in vars(module).items() if isinstance(value, Exercise)}
    assert found == set(LESSONS[lesson]["RIGHT"]) == set(LESSONS[lesson]["WRONG"])
