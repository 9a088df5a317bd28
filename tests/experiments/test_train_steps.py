"""Training really runs, what it takes is all accounted for, and predictions follow the settings."""

from dataclasses import replace

import pytest

from hpclab.experiments.train_steps import PARTS, SUMMED, TrainSteps
from hpclab.models.gpu_cluster import named
from hpclab.models.storage import Server, Store
from hpclab.models.transformer import Transformer
from hpclab.parallel.link import Link
from hpclab.results import Origin, select

pytestmark = pytest.mark.slow
TINY = TrainSteps(
    ranks=(1, 2), scaling="strong", batch=4, steps=3, bucket=2**14, shape=Transformer(2, 32, 4, 16, 4096)
)


@pytest.fixture(scope="module")
def results(pool):
    return TINY.measure(pool)


def seconds(results, ranks=2):
    return {one.component: one.value for one in select(results, "seconds", ranks=ranks)}


def test_parts_sum_to_the_step(results):
    for ranks in (1, 2):
        (step,) = select(results, "makespan", ranks=ranks)
        assert sum(seconds(results, ranks)[name] for name in SUMMED) == pytest.approx(step.value, rel=1e-6)
        assert step.origin is Origin.MEASURED


def test_the_same_batch_learns_the_same_on_two_ranks(results):
    losses = [[one.value for one in select(results, "loss", ranks=ranks)] for ranks in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], abs=2e-5)  # float32: the order of sums differs
    assert losses[0][-1] < losses[0][0]


def test_over_a_link_and_a_store_it_is_emulated_and_says_so(pool):
    store = Store((Server(50e6),) * 2, metadata=1000, latency=1e-3)
    spec = replace(TINY, ranks=(2,), link=Link(12.5e6), store=store)
    step = select(spec.measure(pool), "makespan")[0]
    assert step.origin is Origin.EMULATED
    assert "a link of 0.1 Gb/s" in step.condition
    assert "the tokens lie on a striped store of 2 servers" in step.condition


def test_messages_are_predicted_from_the_link_the_ranks_and_the_buckets(results):
    costs = TINY.fit(results)
    size = 4 * TINY.shape.parameters
    over = replace(TINY, link=Link(1e6))
    for ranks, each in ((2, 1.0), (4, 1.5)):
        said = seconds(replace(over, batch=8).predict(None, costs, [ranks]), ranks)
        assert said["messages"] == pytest.approx(each * size / 1e6)
    one = replace(over, bucket=2**40)
    assert len(one.gradients()[0]) == 1
    assert seconds(one.predict(None, costs))["exposed"] == pytest.approx(size / 1e6)
    assert seconds(one.predict(None, costs))["hidden"] == 0
    assert seconds(over.predict(None, costs))["hidden"] > 0
    assert seconds(replace(over, overlap=False).predict(None, costs))["hidden"] == 0
    assert sum(over.gradients()[0]) == size


def test_weak_scaling_has_more_samples_and_more_ranks_than_cores_take_turns(results):
    costs = TINY.fit(results)
    strong, weak = (
        seconds(replace(TINY, scaling=s).predict(None, costs, [1]), 1) for s in ("strong", "weak")
    )
    assert strong == weak
    many = [seconds(replace(TINY, scaling="weak").predict(None, costs, [n]), n)["forward"] for n in (64, 128)]
    assert many[1] == pytest.approx(2 * many[0])


def test_on_gpus_the_step_is_that_of_the_model_which_is_validated():
    spec = replace(TINY, scaling="weak", shape=Transformer(8, 1024, 16, 1024, 50257))
    results = spec.predict(named("dgx-a100"), None, [1, 8])
    alone, eight = (seconds(results, ranks) for ranks in (1, 8))
    assert alone["exposed"] == alone["hidden"] == 0
    assert eight["exposed"] + eight["hidden"] > 0
    assert eight["forward"] == pytest.approx(alone["forward"])


def test_what_cannot_be_is_refused(results):
    with pytest.raises(ValueError, match="multiple of the 3 ranks"):
        TrainSteps(ranks=(3,), scaling="strong", batch=4)
    with pytest.raises(ValueError, match="link must be a Link"):
        TrainSteps(link=3.0)
    with pytest.raises(ValueError, match="was not measured yet"):
        TINY.fit([one for one in results if one.parameters["ranks"] == 2])
    assert list(replace(TINY, link=Link(1e9)).fit(results)) == [1, 2]
    assert set(PARTS) < set(seconds(results))
