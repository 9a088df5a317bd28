"""The stepper without a browser: every choice redraws, a step only its picture, playing starts nothing."""

import pytest

from hpclab import schedules
from hpclab.figures import wording
from hpclab.models.presets import PRESETS
from hpclab.widgets import message_stepper
from hpclab.widgets.message_stepper import MessageStepper
from tests.widgets.conftest import put


@pytest.fixture(scope="module")
def made():
    made = MessageStepper()
    yield made
    made.close()


@pytest.fixture
def stepper(made):
    put(made, slow=False, collective="all_reduce", algorithm="ring", ranks=8, machine="dgx-h100")
    return made


def playable(stepper):
    return {stepper.controls[name].layout.visibility for name in ("play", "step")} == {"visible"}


def test_a_step_draws_the_next_picture_and_asks_no_model(stepper, monkeypatch):
    put(stepper, ranks=16)
    step = stepper.controls["step"]
    assert step.max == stepper.controls["play"].max == 30
    monkeypatch.setattr(message_stepper, "timed", None)
    for step.value in (1, 2, 30):
        assert f"step {step.value} of 30" in stepper.picture.value
        assert f"step {step.value} of 30" in stepper.announcer.value
    monkeypatch.undo()
    put(stepper, algorithm="recursive_doubling")  # another choice begins at the first step
    assert (step.value, step.max) == (0, 4)
    assert "before the first of 4 steps" in stepper.picture.value


def test_a_slow_link_is_compared_with_healthy_ones(stepper):
    put(stepper, slow=True)
    assert "times as long as with all links healthy, and 8 of 8 ranks are done later" in stepper.note.value
    put(stepper, collective="broadcast", algorithm="binomial_tree", machine="hdr100")
    assert "and 4 of 8 ranks are done later" in stepper.note.value  # those below rank 4
    put(stepper, algorithm="star")  # only rank 0 sends
    assert "no longer than with all links healthy, and none of 8 ranks" in stepper.note.value


def test_every_choice_is_shown_and_what_is_said_of_a_slow_link_is_said_of_the_same_ranks(stepper):
    put(stepper, slow=True)
    for machine in PRESETS:
        put(stepper, machine=machine)
        for collective, algorithms in schedules.ALGORITHMS.items():
            put(stepper, collective=collective)
            assert [name for _, name in stepper.controls["algorithm"].options] == list(algorithms)
            for algorithm in algorithms:
                put(stepper, algorithm=algorithm)
                said = stepper.note.value
                assert "modelled" in said
                assert "times as long" not in said or "and none of" not in said
                assert wording.spelled(algorithm).capitalize() in stepper.picture.value
                assert "slow link" in stepper.picture.value  # before anything is sent


def test_many_ranks_are_timed_and_not_drawn(stepper):
    put(stepper, ranks=64)
    assert "on 64 ranks" in stepper.shown.get_title(loc="left")
    assert not playable(stepper)
    put(stepper, slow=True)
    assert "all links healthy" in stepper.picture.value
    put(stepper, ranks=4)
    assert playable(stepper)


def test_what_cannot_be_timed_is_a_sentence(stepper):
    put(stepper, machine="dgx-1", ranks=16)
    assert 'role="alert"' in stepper.note.value
    assert "This machine has at most 8 ranks, not 16: choose fewer" in stepper.note.value
    assert not playable(stepper), "there is nothing to step through"
    put(stepper, step=1)
    assert stepper.picture.value == ""
    assert "at most 8 ranks" in stepper.note.value
    put(stepper, machine="dgx-h100", collective="all_to_all", ranks=512)
    assert "at most 256 ranks" in stepper.note.value
