"""The prediction control, without a browser: commit, skip, and input that is no number."""

import pytest

from hpclab.exercises.prediction import Prediction
from hpclab.widgets import predict


@pytest.mark.parametrize(("typed", "value"), [("3.5", 3.5), (" 4 ", 4.0), ("2,5", 2.5), ("1e1", 10.0)])
def test_commit(typed, value):
    prediction, seen = Prediction("Speedup", "×", 0, 100), []
    field, commit, skip, message = predict.ask(prediction, seen.append).children
    field.value = typed
    commit.click()
    assert seen == [prediction]
    assert f"You predicted {value:g} ×" in message.value
    assert field.disabled
    assert commit.disabled
    skip.click()
    commit.click()
    assert (prediction.value, len(seen)) == (value, 1)


@pytest.mark.parametrize("typed", ["", "-1", "nan", "<b>1</b>", "1,000,000"])
def test_what_is_no_number_gets_one_sentence(typed):
    prediction = Prediction("Speedup", "×", 0, 100)
    field, commit, skip, message = predict.ask(prediction).children
    field.value = typed
    commit.click()
    assert prediction.value is None
    assert 'role="alert"' in message.value
    assert "Speedup must be a number from 0 to 100 ×" in message.value
    assert "<b>" not in message.value
    assert not field.disabled
    skip.click()
    assert (prediction.value, prediction.text) == (None, "no prediction")
    assert "No prediction." in message.value


def test_one_decided_in_another_control_is_said_to_be_made():
    prediction = Prediction("Speedup", "×", 0, 100)
    first, second = predict.ask(prediction).children, predict.ask(prediction).children
    for field, commit, *_ in (first, second):
        field.value = "3"
        commit.click()
    assert "It is already made (you predicted 3 ×): run its cell again" in second[-1].value
