"""The runner: one point at a time, twice is once, cancel keeps what was found, errors are one sentence."""

import _thread
import threading
import time
from dataclasses import dataclass, field, replace

import pytest

from hpclab.cluster.errors import Cancelled, JoinError
from hpclab.results import Result
from hpclab.widgets.point_runner import PointRunner, State


class Pool:
    def __init__(self):
        self.stop = threading.Event()

    def cancel(self):
        self.stop.set()


@dataclass
class Experiment:
    """Measures by waiting; `hold` keeps it inside the second stage until released or cancelled."""

    error: Exception | None = None
    nodes: tuple[int, ...] = ()
    hold: threading.Event | None = None
    calls: list[int] = field(default_factory=list)

    def measure(self, where, *, progress=None, found=None):
        pool, (nodes,) = where, self.nodes
        self.calls.append(nodes)
        progress("starting nodes", 0, nodes)
        if self.error is not None and nodes > 1:
            raise self.error
        while self.hold is not None and not self.hold.is_set():
            if pool.stop.wait(0.01):
                raise Cancelled("map was cancelled")
        result = Result("t", "makespan", 10 / nodes, "measured", parameters={"nodes": nodes})
        found([result])
        progress("tokenising", 1, 1)
        return [result]


def runner(experiment, **options):
    states = []
    made = PointRunner(Pool(), experiment, lambda: states.append(made.state) if made else None, **options)
    return made, states


@pytest.fixture
def experiment():
    return Experiment()


def test_one_node_is_measured_first_because_speedup_is_relative_to_it(experiment):
    run, states = runner(experiment)
    run.request([4])
    assert run.wait(10)
    assert experiment.calls == [1, 4]
    run.request([3])
    assert run.wait(10)
    assert experiment.calls == [1, 4, 3]
    assert not run.state.busy
    assert "Done" in run.state.sentence
    assert any("4 nodes: tokenising" in state.sentence for state in states)


def test_pressed_twice_runs_once(experiment):
    experiment.hold = threading.Event()
    run, _ = runner(experiment)
    for _ in range(5):
        run.request([1, 2])
    experiment.hold.set()
    assert run.wait(10)
    assert experiment.calls == [1, 2]


def test_a_slider_that_moves_on_replaces_what_waits(experiment):
    experiment.hold = threading.Event()
    run, _ = runner(experiment)
    run.request([1])
    for point in (2, 3, 4):
        run.request([point], instead=True)
    experiment.hold.set()
    assert run.wait(10)
    assert experiment.calls == [1, 4]


def test_cancel_keeps_what_was_found_and_the_next_run_works(experiment):
    run, _ = runner(experiment)
    run.request([1])
    assert run.wait(10)
    experiment.hold = threading.Event()
    run.request([2, 3])
    while 2 not in experiment.calls:
        time.sleep(0.01)
    run.cancel()
    assert run.wait(10)
    assert [r.parameters["nodes"] for r in run.results] == [1]
    assert "Cancelled" in run.state.sentence
    run.pool.stop.clear()
    experiment.hold = None
    run.request([2])
    assert run.wait(10)
    assert [r.parameters["nodes"] for r in run.results] == [1, 2]


def test_what_is_read_aloud_changes_with_the_stage_not_with_every_task():
    state = State(4, "tokenising", 3, 36, waiting=(2,))
    assert state.sentence == "4 nodes: tokenising, 3 of 36; then 2."
    assert state.spoken == replace(state, done=4).spoken == "4 nodes: tokenising; then 2."


def test_an_interrupt_while_waiting_cancels(experiment):
    experiment.hold = threading.Event()
    run, _ = runner(experiment)
    run.request([1])
    threading.Timer(0.4, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        run.wait(20)
    assert run.wait(10)
    assert "Cancelled" in run.state.sentence


def test_a_point_asked_for_while_the_last_one_is_drawn_is_run(experiment):
    asked = []

    def changed():
        if "Done" in made.state.sentence and not asked:
            asked.append(2)
            made.request(asked)

    made = PointRunner(Pool(), experiment, changed)
    made.request([1])
    assert made.wait(10)
    assert experiment.calls == [1, 2]


def test_a_point_asked_for_after_a_cancel_is_run(experiment):
    experiment.hold = threading.Event()
    run, _ = runner(experiment)
    run.request([1, 2])
    run.cancel()
    run.request([3])
    run.pool.stop.clear()
    experiment.hold.set()
    assert run.wait(10)
    assert 2 not in experiment.calls
    assert [r.parameters["nodes"] for r in run.results][-1] == 3


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            JoinError("2 of 4 nodes did not join:\njob 7 is PENDING (Resources)."),
            "job 7 is PENDING (Resources).",
        ),
        (ZeroDivisionError("division by zero"), "The run ended with ZeroDivisionError: division by zero"),
        (RuntimeError("x" * 5000), "…"),
    ],
)
def test_an_error_is_one_sentence_and_ends_the_queue(error, said):
    experiment = Experiment(error)
    run, _ = runner(experiment)
    run.request([2, 3])
    assert run.wait(10)
    assert said in run.state.sentence
    assert "\n" not in run.state.sentence
    assert len(run.state.sentence) < 700
    assert experiment.calls == [1, 2]
    assert not run.state.busy


@pytest.mark.parametrize("point", [0, -1, 1.5, float("nan"), float("inf"), 1e30, "four", None, True])
def test_a_point_that_is_no_node_count_is_refused(experiment, point):
    run, _ = runner(experiment)
    with pytest.raises(ValueError, match="nodes must be a whole number"):
        run.request([point])
    assert not run.state.busy


def test_after_close_nothing_runs(experiment):
    experiment.hold = threading.Event()
    run, _ = runner(experiment)
    run.request([1])
    run.close()
    assert run.wait(10)
    with pytest.raises(ValueError, match="closed"):
        run.request([1])
    run.cancel()
    run.close()
