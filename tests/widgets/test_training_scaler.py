"""The training scaler without a browser: other settings are another experiment, predicted first."""

import pytest

from hpclab.cluster import Pool
from hpclab.exercises.prediction import Prediction
from hpclab.experiments.train_steps import TrainSteps
from hpclab.figures import style
from hpclab.models.transformer import Transformer
from hpclab.parallel.link import Link
from hpclab.results import select
from hpclab.widgets.training_scaler import LARGE, TrainingScaler

pytestmark = pytest.mark.slow
TINY = TrainSteps((1, 2), batch=4, steps=2, shape=Transformer(1, 32, 2, 16, 4096), link=Link(125e6))


@pytest.fixture(scope="module")
def pool():
    with Pool(2, backend="local") as pool:
        yield pool


@pytest.fixture(scope="module")
def results(pool):
    return TINY.measure(pool)


def test_nothing_is_run_or_seen_before_the_prediction(pool, results):
    asked = Prediction("Efficiency", "%", 0.1, 200)
    scaler = TrainingScaler(pool, TINY, asked, results)
    assert "No run yet" in style.description(scaler.shown.figure) + scaler.shown.get_title("left")
    scaler.run(2)
    assert "prediction" in scaler._status.value
    asked.skip()
    scaler._ran()
    assert "2 ranks, emulated" in style.description(scaler.shown.figure)
    scaler.close()


def test_other_settings_are_another_experiment_that_is_predicted_before_it_is_run(pool, results):
    scaler = TrainingScaler(pool, TINY, None, results)
    scaler.controls["link"].value = Link(12.5e6)
    text = style.description(scaler.shown.figure)
    assert "modelled" in text
    assert "emulated" not in text
    scaler.controls["overlap"].value = False
    scaler.run(2)
    assert scaler.wait(120)
    (came,) = select(scaler.results, "makespan", link=str(Link(12.5e6)), ranks=2)
    assert "0.1 Gb/s" in came.condition
    assert "hidden" not in scaler.shown.get_title("left")
    scaler.close()


def test_it_is_carried_on_to_gpus_with_the_model_that_is_validated(pool, results):
    scaler = TrainingScaler(pool, TINY, None, results)
    scaler.controls["view"].value = "speedup to 1,024"
    assert "GPT-2 XL" in style.description(scaler.shown.figure)
    weak = scaler.note.value
    scaler.controls["scaling"].value = "strong"
    assert scaler.note.value != weak
    assert "Modelled at 1,024 GPUs" in scaler.note.value
    assert LARGE.parameters == pytest.approx(1.56e9, rel=0.01)
    scaler.controls["view"].value = "loss against time"
    scaler.close()


def test_what_is_no_pool_or_no_training_is_refused(pool):
    with pytest.raises(ValueError, match="needs a Pool"):
        TrainingScaler(None, TINY)
    with pytest.raises(ValueError, match="needs an experiment"):
        TrainingScaler(pool, 3)
