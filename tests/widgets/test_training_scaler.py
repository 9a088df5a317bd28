"""The training scaler without a browser: other settings are another experiment, predicted first. What trains
is a stand-in; lesson 08's own test trains with it."""

from dataclasses import dataclass, replace

import pytest

from hpclab.exercises.prediction import Prediction
from hpclab.experiments.train_steps import SMALL, SUMMED, TrainSteps
from hpclab.figures import style
from hpclab.parallel.link import Link
from hpclab.results import select
from hpclab.widgets.training_scaler import TrainingScaler
from tests.widgets.conftest import Pool

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Steps(TrainSteps):
    """Measures at once what a prediction says of a machine whose steps take 20 ms."""

    def measure(self, where, *, progress=None, found=bool):
        parts = dict.fromkeys([*SUMMED, "hidden", "messages"], 0.02 / len(SUMMED))
        values = {"makespan": 0.02, **{("seconds", name): value for name, value in parts.items()}}
        ats = [{"ranks": ranks, "samples": self.samples(ranks)} for ranks in self.ranks]
        results = [one for at in ats for one in self.make_results(values, at, condition=str(self.link or ""))]
        at = {"step": 0, "elapsed": 0.02, "tokens": 64}
        results += [replace(one, quantity="loss", parameters={**one.parameters, **at}) for one in results[:1]]
        found(results)
        return results


SPEC = Steps((1, 2), link=Link(125e6))


@pytest.fixture
def scaler():
    made = TrainingScaler(Pool(), SPEC, None, SPEC.measure(None))
    yield made
    made.close()


def test_nothing_is_run_or_seen_before_the_prediction():
    asked = Prediction("Efficiency", "%", 0.1, 200)
    scaler = TrainingScaler(Pool(), SPEC, asked, SPEC.measure(None))
    assert "No run yet" in style.description(scaler.shown.figure) + scaler.shown.get_title("left")
    scaler.run(2)
    assert "prediction" in scaler._status.value
    asked.skip()
    scaler._show_progress()
    assert "2 ranks, emulated" in style.description(scaler.shown.figure)
    scaler.close()


def test_every_list_shows_what_is_set(scaler):
    shown = {name: one.label for name, one in scaler.controls.items() if hasattr(one, "options")}
    assert (shown["link"], shown["store"]) == ("emulated, 1 Gb/s", "this disk")
    assert all(shown.values())
    assert TrainingScaler(Pool(), replace(SPEC, link=None)).controls["link"].label == "this machine's"
    other = replace(SPEC, bucket=12345, shape=replace(SMALL, layers=2))
    assert TrainingScaler(Pool(), other).controls["bucket"].value == 12345  # what is not in the list, too


def test_other_settings_are_another_experiment_that_is_predicted_before_it_is_run(scaler):
    scaler.controls["link"].value = Link(12.5e6)
    text = style.description(scaler.shown.figure)
    assert "modelled" in text
    assert "emulated" not in text
    scaler.controls["overlap"].value = False
    assert "hidden" not in scaler.shown.get_title("left")
    scaler.run(2)
    assert scaler.wait(120)
    assert select(scaler.results, "makespan", link=str(Link(12.5e6)), ranks=2, overlap=False)
    assert "2 ranks, emulated" in style.description(scaler.shown.figure)


def test_it_is_carried_on_to_gpus_with_the_model_that_is_validated(scaler):
    scaler.controls["view"].label = "1,024 × DGX A100"
    assert "GPT-2 XL" in style.description(scaler.shown.figure)
    weak = scaler.note.value
    scaler.controls["scaling"].value = "strong"
    assert scaler.note.value != weak
    assert "Modelled at 1,024 GPUs" in scaler.note.value
    scaler.controls["view"].value = "loss against time"
