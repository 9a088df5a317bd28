"""The stepper without a browser: every choice redraws, a step only its picture, playing starts nothing."""

import pytest

from hpclab import schedules
from hpclab.models.presets import PRESETS
from hpclab.widgets import message_stepper
from hpclab.widgets.message_stepper import MessageStepper


@pytest.fixture(scope="module")
def stepper():
    made = MessageStepper()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def as_at_first(stepper):
    stepper.slow.value = False
    stepper.collective.value, stepper.algorithm.value = "all_reduce", "ring"
    stepper.ranks.value, stepper.machine.value = 8, "dgx-h100"


def playable(stepper):
    return {stepper.play.layout.visibility, stepper.step.layout.visibility} == {"visible"}


def test_a_step_draws_the_next_picture_and_asks_no_model(stepper, monkeypatch):
    stepper.ranks.value = 16
    assert stepper.step.max == stepper.play.max == 30
    monkeypatch.setattr(message_stepper, "timed", None)
    for step in (1, 2, 30):
        stepper.step.value = step
        assert f"step {step} of 30" in stepper.picture.value
        assert f"step {step} of 30" in stepper.announcer.value
    monkeypatch.undo()
    stepper.algorithm.value = "recursive_doubling"  # another choice begins at the first step
    assert (stepper.step.value, stepper.step.max) == (0, 4)
    assert "before the first of 4 steps" in stepper.picture.value


def test_a_slow_link_is_compared_with_healthy_ones(stepper):
    stepper.slow.value = True
    assert "times as long as with all links healthy, and 8 of 8 ranks are done later" in stepper.note.value
    stepper.collective.value, stepper.algorithm.value = "broadcast", "binomial_tree"
    stepper.machine.value = "hdr100"
    assert "and 4 of 8 ranks are done later" in stepper.note.value  # those below rank 4
    stepper.algorithm.value = "star"  # only rank 0 sends
    assert "no longer than with all links healthy, and none of 8 ranks" in stepper.note.value


def test_every_choice_is_shown_and_what_is_said_of_a_slow_link_is_said_of_the_same_ranks(stepper):
    stepper.slow.value = True
    for stepper.machine.value in PRESETS:
        for collective, algorithms in schedules.ALGORITHMS.items():
            stepper.collective.value = collective
            assert [name for _, name in stepper.algorithm.options] == list(algorithms)
            for stepper.algorithm.value in algorithms:
                said = stepper.note.value
                assert "modelled" in said
                assert "times as long" not in said or "and none of" not in said
                assert message_stepper.words(stepper.algorithm.value).capitalize() in stepper.picture.value
                assert "slow link" in stepper.picture.value  # before anything is sent


def test_many_ranks_are_timed_and_not_drawn(stepper):
    stepper.ranks.value = 64
    assert "on 64 ranks" in stepper.shown.get_title(loc="left")
    assert not playable(stepper)
    stepper.slow.value = True
    assert "all links healthy" in stepper.picture.value
    stepper.ranks.value = 4
    assert playable(stepper)


def test_what_cannot_be_timed_is_a_sentence(stepper):
    stepper.machine.value, stepper.ranks.value = "dgx-1", 16
    assert 'role="alert"' in stepper.note.value
    assert "This machine has at most 8 ranks, not 16: choose fewer" in stepper.note.value
    assert not playable(stepper), "there is nothing to step through"
    stepper.step.value = 1
    assert stepper.picture.value == ""
    assert "at most 8 ranks" in stepper.note.value
    stepper.machine.value = "dgx-h100"
    stepper.collective.value = "all_to_all"
    stepper.ranks.value = 512
    assert "at most 256 ranks" in stepper.note.value
