"""The node scaler without a browser: what it hides, runs, draws, refuses and leaves behind."""

import threading
from dataclasses import dataclass, field

import pytest

from hpclab.exercises.prediction import Prediction
from hpclab.experiments.scale_out import ScaleOut
from hpclab.figures import style
from hpclab.results import Result, select
from hpclab.widgets import node_scaler
from hpclab.widgets.node_scaler import NodeScaler
from tests.conftest import until


class Pool:
    """Stands for a pool where the widget itself is the matter; the real ones are in the tests below."""

    backend, nodes = "local", 0

    def __init__(self):
        self.cancelled = 0

    def cancel(self):
        self.cancelled += 1

    def workers(self):
        return []

    def scale(self, nodes):
        raise AssertionError("only the experiment scales the pool")

    map = scale


@dataclass
class Experiment:
    nodes: tuple = (1, 2, 3, 4)
    calls: list = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    fit = ScaleOut(corpus_bytes=2**20).fit

    def measure(self, where, *, progress=None, found=None):
        (nodes,) = self.nodes
        self.calls.append(nodes)
        if self.error:
            raise self.error
        progress("tokenising", 0, 2)
        while not self.hold.wait(0.02):
            progress("tokenising", 1, 2)  # raises Cancelled once the widget is cancelled
        found(run(nodes))
        return run(nodes)


def run(nodes):
    """One repeat's Results in the shape of ScaleOut's: a makespan and bars that sum to nodes × makespan."""
    seconds = 1 + 9 / nodes
    parameters = {"nodes": nodes, "chunk_bytes": 256 * 2**10, "corpus_bytes": 2**20}
    where = {"shared": True, "cores": 4}
    parts = {"compute": 9.0, "worker start": 0.6 * nodes, "idle": nodes * seconds - 9 - 0.6 * nodes}
    return [
        Result("t", "makespan", seconds, "measured", parameters=parameters, environment=where),
        Result(
            "t", "makespan", seconds, "emulated",
            parameters=parameters, environment=where, condition="a core for each node",
        ),
        *(
            Result("t", "rank-seconds", value, "measured", component=name, parameters=parameters)
            for name, value in parts.items()
        ),
    ]  # fmt: skip


@pytest.fixture
def experiment():
    made = Experiment()
    made.hold.set()
    return made


@pytest.fixture
def scaler(experiment, monkeypatch):
    monkeypatch.setattr(node_scaler, "REST", 0.15)
    made = NodeScaler(Pool(), experiment)
    yield made
    experiment.hold.set()
    made.close()
    assert made.wait(60)


def measure(scaler, *nodes):
    scaler.run(*nodes)
    assert scaler.wait(120)


def said(scaler):
    """What a screen reader says of the speedup figure."""
    return style.description(scaler.shown.figure)


def title(scaler):
    return scaler.shown.get_title(loc="left")


def predicting(experiment):
    asked = Prediction("Speedup at 4 nodes", "×", 0.1, 64)
    return asked, NodeScaler(Pool(), experiment, asked, [*run(1), *run(2)])


def test_nothing_measured_is_seen_before_the_prediction(experiment):
    asked, scaler = predicting(experiment)
    assert "measured" not in said(scaler)
    assert "No run yet" in scaler._bars.value
    scaler.run(4)
    scaler._sweep.click()
    assert experiment.calls == []
    assert "prediction" in scaler._status.value
    asked.commit(3.5)
    measure(scaler, 4)
    assert experiment.calls == [4]
    assert "You predicted 3.5×" in said(scaler)
    assert "you: 3.5× at 4" in scaler.moving.value
    assert "measured" in said(scaler)
    scaler.close()


def test_skipping_shows_what_was_there(experiment):
    _, scaler = predicting(experiment)
    skip = scaler.children[0].children[0].children[2]
    assert skip.description == "Skip"
    skip.click()
    assert "measured" in said(scaler)
    assert "predicted" not in said(scaler)
    scaler.close()


def test_the_slider_measures_where_it_comes_to_rest(scaler, experiment):
    shown = scaler.shown
    for count in (2, 3, 4):
        scaler._nodes.value = count
        assert f"Run at {count} nodes" == scaler._here.description
        assert f"Modelled at {count} nodes: What if" in scaler.moving.value
    assert scaler.shown is shown, "a cursor redraws no points"
    until(lambda: experiment.calls == [1, 4], "the slider's point to be measured")
    assert scaler.wait(120)
    assert "4 nodes are 3.1× as fast" in title(scaler)
    assert "4 nodes:" in scaler._bars.value


def test_a_slider_that_moves_on_while_something_runs_leaves_only_its_last_place(scaler, experiment):
    experiment.hold.clear()
    scaler.run(1)
    for count in (2, 3):
        scaler._nodes.value = count
        until(lambda count=count: f"then {count}." in scaler._status.value, f"{count} to wait")
    experiment.hold.set()
    assert scaler.wait(120)
    assert experiment.calls == [1, 3]


def test_a_sweep_gives_curves_and_says_why_one_is_missing(scaler):
    measure(scaler, 1, 2, 3)
    assert "Amdahl" in said(scaler)
    assert "USL: no curve" in scaler.note.value
    measure(scaler, 4)
    assert "USL on" in said(scaler)
    assert "no curve" not in scaler.note.value
    assert "Emulated: a core for each node." in scaler.note.value


def test_a_model_slider_redraws_no_points_and_nothing_else(scaler):
    scaler._nodes.value = 4
    measure(scaler, 1, 2, 3, 4)
    others = scaler.picture.value, scaler._bars.value, scaler.note.value, scaler.shown
    before = scaler.moving.value
    scaler._models["contention"].value = 0.4
    assert scaler.moving.value != before
    assert "Modelled at 4 nodes: What if 1.8×, Amdahl 3.1×" in scaler.announcer.value
    assert (scaler.picture.value, scaler._bars.value, scaler.note.value, scaler.shown) == others


def test_cancel_ends_the_run_and_keeps_the_rest(scaler, experiment):
    measure(scaler, 1)
    experiment.hold.clear()
    scaler.run(2, 3)
    until(lambda: 2 in experiment.calls, "the second point to begin")
    scaler._cancel.click()
    assert scaler.wait(120)
    assert "Cancelled" in scaler._status.value
    assert {r.parameters["nodes"] for r in scaler.results} == {1}
    assert 3 not in experiment.calls


def test_an_error_is_a_sentence_in_the_widget(scaler, experiment, capsys):
    experiment.error = OSError("<disk> full")
    measure(scaler, 1)
    assert "disk" in scaler.announcer.value
    assert "The run ended with OSError: &lt;disk&gt; full" in scaler._status.value
    assert "Traceback" not in "".join(capsys.readouterr())


def test_a_fit_that_fails_is_a_sentence_and_the_points_are_drawn(scaler, experiment):
    experiment.fit = lambda results: 1 / 0
    measure(scaler, 1, 2)
    assert "ZeroDivisionError" in scaler._status.value
    assert "2 nodes are 1.8× as fast" in title(scaler)
    del experiment.fit
    measure(scaler, 3)
    assert "ZeroDivisionError" not in scaler._status.value


@pytest.mark.parametrize("count", [0, -1, float("nan"), 1e30, "four", None])
def test_a_wrong_node_count_is_a_sentence_too(scaler, count):
    scaler.run(count)
    assert "nodes must be a whole number from 1" in scaler._status.value


def test_arguments_of_the_wrong_kind_are_refused(experiment):
    with pytest.raises(ValueError, match="needs a Pool"):
        NodeScaler(None, experiment)
    with pytest.raises(ValueError, match="needs an experiment"):
        NodeScaler(Pool(), 4)


def test_close_cancels_and_leaves_no_thread(experiment):
    experiment.hold.clear()
    scaler = NodeScaler(Pool(), experiment)
    scaler._nodes.value = 3
    scaler.run(1)
    timer = scaler._timer
    scaler.close()
    assert scaler.wait(60)
    assert timer.finished.is_set(), "what the slider rested at is not measured"
    left = ("hpclab-points", "queue view")
    until(lambda: not [t for t in threading.enumerate() if t.name in left], "its threads to end")
    assert experiment.calls in ([], [1])
    scaler.close()


@pytest.mark.slow
def test_on_real_processes_the_bars_add_up_and_the_tokens_are_right():
    from hpclab.cluster import Pool as RealPool

    experiment = ScaleOut(corpus_bytes=2**20, nodes=(1, 2))
    with RealPool(nodes=1, backend="local") as pool:
        scaler = NodeScaler(pool, experiment)
        measure(scaler, 2)
        assert {r.parameters["nodes"] for r in scaler.results} == {1, 2}, scaler._status.value
        assert {r.environment["tokens"] for r in scaler.results} == {experiment.serial().fingerprint}
        assert "process" in scaler._queue.picture.value
        elapsed = select(scaler.results, "elapsed", nodes=2)[0].value
        parts = select(scaler.results, "rank-seconds", nodes=2)
        assert sum(part.value for part in parts if part.repeat == 0) == pytest.approx(2 * elapsed, rel=0.05)
        scaler.close()
