"""The node scaler without a browser: what it hides, runs, draws, refuses and leaves behind."""

import threading

import pytest

from hpclab.exercises.prediction import Prediction
from hpclab.figures import style
from hpclab.models.storage import Server, Store
from hpclab.widgets import scaler as scaler_module
from hpclab.widgets.node_scaler import NodeScaler
from tests.conftest import until
from tests.widgets.conftest import Pool, run

pytestmark = pytest.mark.slow


@pytest.fixture
def scaler(experiment, monkeypatch):
    monkeypatch.setattr(scaler_module, "REST", 0.15)
    made = NodeScaler(Pool(), experiment)
    yield made
    experiment.hold.set()
    made.close()
    assert made.wait(60)


def measure(scaler, *nodes):
    scaler.run(*nodes)
    assert scaler.wait(120)


def said(scaler):
    return style.description(scaler.shown.figure)


def title(scaler):
    return scaler.shown.get_title(loc="left")


def test_nothing_measured_is_seen_before_the_prediction(experiment):
    asked = Prediction("Speedup at 4 nodes", "×", 0.1, 64)
    scaler = NodeScaler(Pool(), experiment, asked, [*run(1), *run(2)])
    assert "measured" not in said(scaler)
    assert "Withheld until you commit" in title(scaler)
    scaler.controls["view"].value = "rank-seconds"
    assert "Withheld until you commit" in title(scaler)
    assert scaler.moving.value == ""
    scaler.controls["view"].value = "speedup"
    scaler.run(4)
    scaler._sweep.click()
    assert experiment.calls == []
    assert "prediction" in scaler._status.value
    asked.commit(3.5)
    scaler._show_progress()
    assert "You predicted 3.5×" in said(scaler)
    assert NodeScaler(Pool(), experiment, results=run(2)).picture.value.count("here</text>") == 1
    measure(scaler, 4)
    assert experiment.calls == [4]
    assert "you: 3.5× at 4" in scaler.moving.value
    assert "measured" in said(scaler)
    scaler.close()


def test_the_text_on_an_emulated_store_is_another_experiment_with_a_knee(scaler, experiment):
    measure(scaler, 1, 4)
    assert "3.1×" in title(scaler)
    scaler.controls["lies"].value = 4e6
    scaler.controls["stripes"].value = 2
    assert scaler.experiment.store == Store((Server(4e6),) * 2)
    assert "No speedup measured yet" in title(scaler)  # what was measured is of the disk
    assert "Store on 8 nodes: 2.5×, modelled" in said(scaler)
    assert "feed 2.5 nodes" in scaler.note.value
    scaler.controls["lies"].value = 0.0
    assert scaler.experiment.store is None
    assert "3.1×" in title(scaler)
    assert "Store" not in said(scaler)


def test_the_slider_measures_where_it_comes_to_rest(scaler, experiment):
    shown = scaler.shown
    for count in (2, 3, 4):
        scaler._count.value = count
        assert f"Run at {count} nodes" == scaler._here.description
        assert f"Modelled at {count} nodes: What if" in scaler.moving.value
    assert scaler.shown is shown, "a cursor redraws no points"
    until(lambda: experiment.calls == [1, 4], "the slider's point to be measured")
    assert scaler.wait(120)
    assert "4 nodes are 3.1× as fast" in title(scaler)
    scaler.controls["view"].value = "rank-seconds"
    assert "4 nodes:" in said(scaler)
    assert "4 nodes: " in scaler.announcer.value
    assert scaler._models["contention"].layout.visibility == "hidden"


def test_a_sweep_gives_curves_and_says_why_one_is_missing(scaler):
    measure(scaler, 1, 2, 3)
    assert "Amdahl" in said(scaler)
    assert "USL: no curve" in scaler.note.value
    measure(scaler, 4)
    assert "USL on" in said(scaler)
    assert "no curve" not in scaler.note.value
    assert "Emulated: a core for each node." in scaler.note.value
    scaler._count.value = 4
    scaler._rest()
    scaler._models["contention"].value = 0.4
    assert "Modelled at 4 nodes: What if 1.8×, Amdahl 3.1×" in scaler.announcer.value


def test_an_error_is_a_sentence_in_the_widget_and_a_fit_that_fails_leaves_the_points(
    scaler, experiment, capsys
):
    experiment.errors[1] = OSError("<disk> full")
    measure(scaler, 1)
    assert "The run ended with OSError: &lt;disk&gt; full" in scaler._status.value
    assert "disk" in scaler.announcer.value
    assert "Traceback" not in "".join(capsys.readouterr())
    scaler.run("four")
    assert "nodes must be a whole number from 1" in scaler._status.value
    for wrong, said in (((None, experiment), "needs a Pool"), ((Pool(), 4), "needs an experiment")):
        with pytest.raises(ValueError, match=said):
            NodeScaler(*wrong)
    experiment.errors.clear()
    experiment.fit = lambda results: 1 / 0
    measure(scaler, 1, 2)
    assert "ZeroDivisionError" in scaler._status.value
    assert "2 nodes are 1.8× as fast" in title(scaler)
    del experiment.fit
    measure(scaler, 3)
    assert "ZeroDivisionError" not in scaler._status.value


def test_a_slider_that_moves_during_a_fit_leaves_no_curves_without_it(scaler, experiment):
    fit = experiment.fit

    def slow(results):
        scaler._models["contention"].value += 0.1
        return fit(results)

    experiment.fit = slow
    measure(scaler, 1, 2, 3, 4)
    assert "USL on" in said(scaler)


def test_close_cancels_and_leaves_no_thread(experiment):
    experiment.hold.clear()
    scaler = NodeScaler(Pool(), experiment)
    scaler._count.value = 3
    scaler.run(1)
    timer = scaler._timer
    scaler.close()
    assert scaler.wait(60)
    assert timer.finished.is_set(), "what the slider rested at is not measured"
    scaler.run(1)
    assert "closed: run its cell again" in scaler._status.value
    left = ("hpclab-points", "queue view")
    until(lambda: not [t for t in threading.enumerate() if t.name in left], "its threads to end")
    assert experiment.calls in ([], [1])
    scaler.close()
