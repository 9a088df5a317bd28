"""Training really runs, what it takes is all accounted for, and predictions follow the settings."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from hpclab.experiments import train_steps
from hpclab.experiments.train_steps import PARTS, SUMMED, Costs, TrainSteps
from hpclab.models.gpu_cluster import named
from hpclab.models.storage import Server, Store
from hpclab.models.transformer import Transformer
from hpclab.parallel.link import Link, Message
from hpclab.parallel.training import Trained, TrainedStep
from hpclab.results import Origin, select
from hpclab.timing import Sample

TINY = TrainSteps(
    ranks=(1, 2), scaling="strong", batch=4, steps=3, bucket=2**14, shape=Transformer(2, 32, 4, 16, 4096)
)
STEP = {"input": 0.1, "forward": 0.2, "backward": 0.5, "exposed": 0.3, "optimizer": 0.05}
ALONE = STEP | {"exposed": 0.0, "messages": 0.0}
COSTS = {1: Costs(ALONE, 1e9, 4.0), 2: Costs(STEP | {"messages": 0.4}, 1e9, 2.0)}


def seconds(results, ranks=2):
    return {one.component: one.value for one in select(results, "seconds", ranks=ranks)}


def made(ranks=2, repeat=0, slower=1.0, sample=None):
    """What three steps become, of which the second is the median: STEP, one message hidden for 0.1 s."""
    steps = []
    for times in (4 * slower, slower, 0.5 * slower):
        at, marks = 0.0, []
        for part in PARTS:
            marks.append(("compute", at, times * STEP[part], 0, part))
            at += times * STEP[part]
        begin = times * (at / times - 0.45)  # 0.1 s before the end of the backward pass
        steps.append(TrainedStep(marks, [Message("", 8, begin, begin + 0.4 * times)], 1.0))
    pool = SimpleNamespace(backend="local", label="here", workers=lambda: [])
    return TINY._results([Trained(steps, [1.0], [0.0], sample or Sample(1, 1))] * ranks, pool, repeat, "")


def test_the_parts_are_those_of_the_median_step_and_exposed_messages_are_among_them():
    found = made()
    assert seconds(found) == pytest.approx({**STEP, "idle": 0, "hidden": 0.1, "messages": 0.4})
    (step,) = select(found, "makespan")
    assert step.value == pytest.approx(sum(STEP.values()))
    assert step.origin is Origin.MEASURED


@pytest.mark.parametrize(("cores", "shared", "late"), [(1, 1.0, 0.3), (1, 0.5, 0.55), (4, 1.0, 0.8)])
def test_seconds_without_a_core_beyond_the_ranks_turns_are_others(cores, shared, late, monkeypatch):
    monkeypatch.setattr(train_steps, "environment", lambda *_: {"cores": cores, "shared": shared})
    assert made(sample=Sample(1, 0.2, 0.8))[0].environment["late"] == pytest.approx(late)
    assert made(sample=Sample(1, 1, 0.0))[0].environment["late"] == 0


def test_costs_are_medians_over_repeats_and_give_back_the_messages():
    runs = [
        one for repeat, slower in enumerate((0.5, 1, 3)) for n in (1, 2) for one in made(n, repeat, slower)
    ]
    costs = TINY.fit(runs)
    assert costs[2].parts == pytest.approx({**STEP, "messages": 0.4})
    assert seconds(TINY.predict(None, costs))["messages"] == pytest.approx(0.4)
    assert list(replace(TINY, link=Link(1e9)).fit(runs)) == [1, 2]
    with pytest.raises(ValueError, match="was not measured yet"):
        TINY.fit(select(runs, None, ranks=2))


def test_messages_are_predicted_from_the_link_the_ranks_and_the_buckets():
    size = 4 * TINY.shape.parameters
    over = replace(TINY, link=Link(1e6))
    for ranks, each in ((2, 1.0), (4, 1.5)):
        said = seconds(replace(over, batch=8).predict(None, COSTS, [ranks]), ranks)
        assert said["messages"] == pytest.approx(each * size / 1e6)
    one = replace(over, bucket=2**40)
    assert len(one.gradients()[0]) == 1
    assert seconds(one.predict(None, COSTS))["exposed"] == pytest.approx(size / 1e6)
    assert seconds(one.predict(None, COSTS))["hidden"] == 0
    assert seconds(over.predict(None, COSTS))["hidden"] > 0
    assert seconds(replace(over, overlap=False).predict(None, COSTS))["hidden"] == 0
    assert sum(over.gradients()[0]) == size


def test_weak_scaling_has_more_samples_and_more_ranks_than_cores_take_turns():
    strong, weak = (
        seconds(replace(TINY, scaling=s).predict(None, COSTS, [1]), 1) for s in ("strong", "weak")
    )
    assert strong == weak
    many = [seconds(replace(TINY, scaling="weak").predict(None, COSTS, [n]), n)["forward"] for n in (64, 128)]
    assert many[1] == pytest.approx(2 * many[0])


def test_cores_that_one_rank_leaves_idle_make_two_no_faster(monkeypatch):
    one = replace(TINY, scaling="weak")
    monkeypatch.setattr(train_steps.allowance, "cores", lambda: SimpleNamespace(whole=4))
    parts = [seconds(one.predict(None, {1: COSTS[1]}, [ranks]), ranks)["forward"] for ranks in (1, 2, 4, 8)]
    assert parts == pytest.approx([ALONE["forward"]] * 3 + [2 * ALONE["forward"]])


def test_on_gpus_the_step_is_that_of_the_model_which_is_validated():
    spec = replace(TINY, scaling="weak", shape=Transformer(8, 1024, 16, 1024, 50257))
    results = spec.predict(named("dgx-a100"), None, [1, 8])
    alone, eight = (seconds(results, ranks) for ranks in (1, 8))
    assert alone["exposed"] == alone["hidden"] == 0
    assert eight["exposed"] > 0
    assert eight["forward"] == pytest.approx(alone["forward"])


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="multiple of the 3 ranks"):
        TrainSteps(ranks=(3,), scaling="strong", batch=4)
    with pytest.raises(ValueError, match="link must be a Link"):
        TrainSteps(link=3.0)
    with pytest.raises(ValueError, match="runs on a pool"):
        TINY.measure()


@pytest.mark.slow
def test_the_parts_sum_to_the_step_and_the_same_batch_learns_the_same_on_two_ranks(pool):
    results = TINY.measure(pool)
    for ranks in (1, 2):
        (step,) = select(results, "makespan", ranks=ranks)
        assert sum(seconds(results, ranks)[name] for name in SUMMED) == pytest.approx(step.value, rel=1e-6)
        assert step.origin is Origin.MEASURED
    losses = [[one.value for one in select(results, "loss", ranks=ranks)] for ranks in (1, 2)]
    assert losses[0] == pytest.approx(losses[1], abs=2e-5)  # float32: the order of sums differs
    assert losses[0][-1] < losses[0][0]


@pytest.mark.slow
def test_over_a_link_and_a_store_it_is_emulated_and_says_so(pool):
    store = Store((Server(50e6),) * 2, metadata=1000, latency=1e-3)
    spec = replace(TINY, ranks=(2,), link=Link(12.5e6), store=store)
    step = select(spec.measure(pool), "makespan")[0]
    assert step.origin is Origin.EMULATED
    assert "a link of 0.1 Gb/s" in step.condition
    assert "the tokens lie on a striped store of 2 servers" in step.condition
