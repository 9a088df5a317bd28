"""Lesson 02's puzzles show what the learner's kernel did; what is said of a score is what is counted."""

import runpy
from pathlib import Path

import pytest

from hpclab.exercises import lesson_02

ANSWERS = runpy.run_path(str(Path(__file__).parent / "answers" / "lesson_02.py"), run_name="__main__")


def checked(name, kind, number):
    answer = ANSWERS[kind][name][number]
    return getattr(lesson_02, name).check(answer[0] if kind == "WRONG" else answer)


@pytest.mark.slow
def test_a_puzzle_draws_who_went_where_and_what_should_be_there(capsys):
    right, wrong = checked("SHIFT", "RIGHT", 0), checked("SHIFT", "WRONG", 3)
    assert "answer: 10 of 10 items of out right" in right.picture
    assert "\u2260" not in right.picture
    assert right.picture.count("<path") == 9 + 10, "a line for each item read, and for each written"
    assert right.picture.count("<rect") == 10 + 16 + 10, "items, threads, items"
    assert "1 of 10 items of out right" in wrong.picture
    assert wrong.picture.count("\u2260") == 9
    assert "but an error: out of bounds" in checked("TWICE", "WRONG", 1).picture
    assert not lesson_02.SHIFT.check(...).picture
    assert "svg" not in capsys.readouterr().out, "only a notebook shows pictures"


@pytest.mark.slow
def test_the_par_of_the_challenge_is_what_those_kernels_move():
    for number in (0, 1):
        verdict = checked("MOVING_SUM", "RIGHT", number)
        assert f"{verdict.score[0]:,}" in verdict.message.partition("Nine")[2]
