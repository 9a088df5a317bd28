"""The runner: one point at a time, twice is once, cancel keeps what was found, errors are one sentence."""

import _thread
import threading
from dataclasses import replace

import pytest

from hpclab.cluster.errors import JoinError
from hpclab.widgets.point_runner import PointRunner, State
from tests.conftest import until
from tests.widgets.conftest import Pool


@pytest.fixture
def run(experiment):
    made = PointRunner(Pool(), experiment, lambda: None)
    yield made
    experiment.hold.set()
    assert made.wait(60)


def found(run):
    return [result.parameters["nodes"] for result in run.results if result.quantity == "makespan"][::2]


def test_pressed_twice_runs_once_and_one_node_first_because_speedup_is_relative_to_it(run, experiment):
    experiment.hold.clear()
    for _ in range(5):
        run.request([4, 2])
    experiment.hold.set()
    assert run.wait(60)
    assert experiment.calls == found(run) == [1, 4, 2]
    assert "Done: 3 points" in run.state.sentence
    run.request([3])
    assert run.wait(60)
    assert found(run) == [1, 4, 2, 3]
    assert not run.state.busy


def test_a_slider_that_moves_on_replaces_what_waits(run, experiment):
    experiment.hold.clear()
    run.request([1])
    for point in (2, 3, 4):
        run.request([point], instead=True)
    assert "then 4." in run.state.sentence
    experiment.hold.set()
    assert run.wait(60)
    assert experiment.calls == [1, 4]


def test_cancel_keeps_what_was_found_and_what_is_asked_for_after_it_is_run(run, experiment):
    run.request([1])
    assert run.wait(60)
    experiment.hold.clear()
    run.request([2, 3])
    until(lambda: 2 in experiment.calls, "the second point to begin")
    run.cancel()
    assert run.wait(60)
    assert found(run) == [1]
    assert "Cancelled" in run.state.sentence
    run.pool.stop.clear()
    run.request([2, 3])
    run.cancel()
    run.request([4])
    run.pool.stop.clear()
    experiment.hold.set()
    assert run.wait(60)
    assert found(run)[-1] == 4
    assert 3 not in experiment.calls


def test_what_is_read_aloud_changes_with_the_stage_not_with_every_task():
    state = State(4, "tokenising", 3, 36, waiting=(2,))
    assert state.sentence == "4 nodes: tokenising, 3 of 36; then 2."
    assert state.spoken == replace(state, done=4).spoken == "4 nodes: tokenising; then 2."


def test_an_interrupt_while_waiting_cancels(run, experiment):
    experiment.hold.clear()
    run.request([1])
    threading.Timer(0.4, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        run.wait(60)
    assert run.wait(60)
    assert "Cancelled" in run.state.sentence


def test_a_point_asked_for_while_the_last_one_is_drawn_is_run(experiment):
    asked = []

    def changed():
        if "Done" in made.state.sentence and not asked:
            asked.append(2)
            made.request(asked)

    made = PointRunner(Pool(), experiment, changed)
    made.request([1])
    assert made.wait(60)
    assert experiment.calls == [1, 2]


def test_an_error_is_one_sentence_and_ends_the_queue(run, experiment):
    for error, said in (
        (JoinError("2 of 4 nodes did not join:\njob 7 is PENDING."), "join: job 7 is PENDING."),
        (RuntimeError("x" * 5000), "The run ended with RuntimeError: xxx"),
    ):
        experiment.errors[2] = error
        run.request([2, 3])
        assert run.wait(60)
        assert said in run.state.sentence
        assert "\n" not in run.state.sentence
        assert len(run.state.sentence) < 700
    assert 3 not in experiment.calls
    assert not run.state.busy
