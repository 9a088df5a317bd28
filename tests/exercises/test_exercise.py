"""check never raises, tells unsolved from wrong, and gives hints one at a time."""

import sys
import types

import pytest

from hpclab.course import ledger
from hpclab.exercises import Exercise, Verdict, is_unsolved
from hpclab.exercises.prediction import Prediction


def judge(answer: object) -> Verdict:
    if answer == "boom":
        raise RuntimeError("inside the judge")
    if answer == "bad":
        raise ValueError("The answer must be a number.")
    return Verdict(answer == 4, "Right." if answer == 4 else "Did you add instead of multiply?")


EXERCISE = Exercise("99", "double", judge, ("Look at it.", "Two times two."))


def test_verdicts(capsys):
    assert EXERCISE.check(4) == Verdict(True, "Right.")
    assert EXERCISE.check(5).message.startswith("Did you add")
    assert EXERCISE.check("bad").message == "The answer must be a number."
    assert "RuntimeError: inside the judge" in EXERCISE.check("boom").message
    assert capsys.readouterr().out.startswith("Passed (double). Right.\n")


@pytest.mark.parametrize(("said", "shown"), [
    ("one line is left.", "One line is left."), ("softmax: too long.", "Softmax: too long."),
    ("gpu-0.txt is missing.",) * 2, ("tile must be 8.",) * 2, ("f(2) gives 3.",) * 2, ("`srun` waits.",) * 2,
])  # fmt: skip
def test_a_sentence_begins_with_a_capital_but_a_name_stays_as_it_is(said, shown, capsys):
    Verdict(False, said).show()
    assert capsys.readouterr().out == f"Not yet right. {shown}\n"


def test_in_a_notebook_a_dollar_is_no_mathematics_and_backticks_are_code(monkeypatch):
    shown = []
    display = types.SimpleNamespace(display=lambda data, raw: shown.append(data["text/html"]))
    fake = types.SimpleNamespace(get_ipython=lambda: True, display=display)
    monkeypatch.setitem(sys.modules, "IPython", fake)
    Exercise("99", "a", judge, ("Is `$HOME/<x>` not $PWD?",)).hint()
    assert 'class="mathjax_ignore"' in shown[0]  # of which MathJax leaves out all that is inside
    assert "Is <code>$HOME/&lt;x&gt;</code> not $PWD?" in shown[0]


def unsolved_function(n):
    """What it should do."""
    ...


@pytest.mark.parametrize("answer", [..., [1, ...], {"a": ...}, unsolved_function, lambda n: None])
def test_unsolved_says_so(answer, capsys):
    verdict = EXERCISE.check(answer)
    assert not verdict.passed
    assert "Not solved yet" in verdict.message
    assert capsys.readouterr().out.count("Not solved yet") == 1


@pytest.mark.parametrize("answer", [0, None, [], lambda n: n, lambda: 3, print])
def test_an_answer_is_not_unsolved(answer):
    assert not is_unsolved(answer)


def test_hints_come_one_at_a_time(capsys):
    for _ in range(3):
        EXERCISE.hint()
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Hint 1 of 2. Look at it.", "Hint 2 of 2. Two times two.", "Hint 2 of 2. Two times two."]


def test_a_score_is_held_against_the_best_so_far(monkeypatch):
    scored = Exercise("99", "fewest", lambda answer: Verdict(True, "Right.", (answer, "sectors")))
    monkeypatch.setitem(sys.modules, "hpclab.exercises.lesson_99", types.SimpleNamespace(FEWEST=scored))
    kept = []
    monkeypatch.setattr(ledger, "kept_entries", lambda: kept)
    monkeypatch.setattr(ledger, "append", kept.append)
    said = [scored.check(score).message for score in (12, 14, 9)]
    assert said == [
        "Right. Your best: 12 sectors.",
        "Right. Your best: 12 sectors.",
        "Right. A new best: 9 sectors, after 12.",
    ]


def test_a_prediction_is_made_once():
    prediction = Prediction("speedup", "×", 0, 100)
    prediction.commit(3.5)
    prediction.skip()
    with pytest.raises(ValueError, match="already made"):
        prediction.commit(4)
    assert (prediction.text, prediction.decided) == ("you predicted 3.5 ×", True)
