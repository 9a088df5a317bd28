"""`models.memory`: ZeRO's and Korthikanti's formulas to the byte, parameters that are all somewhere."""

import pytest

from hpclab.models import memory
from hpclab.models.plan import Plan
from hpclab.models.transformer import BLOOM, LLAMA_2, MODELS, Transformer

GPT3 = Transformer(96, 12288, 96, 2048, 51200, dropout=True)
LLAMA = MODELS["Llama 3, 8 B"]


@pytest.mark.parametrize(("billions", "model"), [
    *((float(name.split()[-2]), model) for name, model in MODELS.items()), (6.74, LLAMA_2), (176.2, BLOOM),
])  # fmt: skip
def test_a_named_model_has_as_many_parameters_as_its_name_says(billions, model):
    assert model.parameters / 1e9 == pytest.approx(billions, rel=0.03)


def test_zero_shards_as_its_figure_1_says():
    totals = [sum(memory.states(7.5e9, stage, 64)) / 1e9 for stage in (0, 1, 2, 3)]
    assert totals == pytest.approx([120, 30 + 90 / 64, 15 + 105 / 64, 120 / 64])
    with pytest.raises(ValueError, match="zero must be a whole number from 0 to 3, not 4"):
        Plan(64, data=64, zero=4)


@pytest.mark.parametrize(("recompute", "split", "bytes_of_h"), [
    ("none", False, lambda t, scores: 10 + 24 / t + scores / t),
    ("none", True, lambda t, scores: (34 + scores) / t),
    ("selective", False, lambda t, scores: 10 + 24 / t),
    ("selective", True, lambda t, scores: 34 / t),
    ("full", False, lambda t, scores: 2),
])  # fmt: skip
def test_activations_of_a_layer_are_those_of_korthikanti(recompute, split, bytes_of_h):
    for tensor in (1, 8):
        plan = Plan(2, 2, tensor=tensor, sequence_parallel=split and tensor > 1, fused_attention=False)
        a_token = bytes_of_h(tensor, 5 * 96 * 2048 / 12288)
        expected = 2048 * 2 * 12288 * a_token
        assert memory.layer_activations(GPT3, plan, recompute) == pytest.approx(expected, rel=1e-12)


def test_what_fuses_or_shares_keeps_less():
    llama = 8192 * 2 * (4 * 4096 + 2 * 4096 + 2 * 1024 + 4 * 14336)
    assert memory.layer_activations(LLAMA, Plan(1), "none") == llama
    assert memory.layer_activations(LLAMA, Plan(1), "half") < llama / 2
    assert memory.layer_activations(GPT3, Plan(1), "none") == 2048 * 12288 * 34


def test_pipelines_hold_micro_batches_until_they_go_back():
    plan = Plan(64, pipeline=8)
    assert [memory.in_flight(plan, stage) for stage in (0, 3, 7)] == [8, 5, 1]
    assert memory.in_flight(Plan(4, pipeline=8)) == 4
    interleaved = Plan(64, pipeline=8, chunks=3)
    assert memory.in_flight(interleaved) == pytest.approx(8 * (1 + 7 / 24))


@pytest.mark.parametrize("model", [GPT3, LLAMA])
def test_every_parameter_is_on_one_stage(model):
    held = sum(memory.held_parameters(model, Plan(8, pipeline=8), stage) for stage in range(8))
    again = model.hidden * model.vocabulary if model.tied else 0  # tied embeddings are on two
    assert held == model.parameters + again
    assert memory.held_parameters(model, Plan(1)) == model.parameters
    eighth = memory.held_parameters(model, Plan(1, tensor=8))
    assert model.parameters / 8 <= eighth < model.parameters / 8 * 1.01


def test_the_kinds_go_as_the_plan_says():
    plain = memory.predict(LLAMA, Plan(64, data=64))
    assert (plain.parameters, plain.optimizer) == (2 * LLAMA.parameters, 12 * LLAMA.parameters)
    sharded = memory.predict(LLAMA, Plan(64, data=64, zero=3))
    assert sharded.parameters == plain.parameters / 64
    assert sharded.activations == plain.activations
    around = memory.predict(LLAMA, Plan(16, data=16, context=4, zero=3))
    assert (around.optimizer, around.activations) == (sharded.optimizer, plain.activations / 4)
    last, first = (memory.predict(LLAMA, Plan(64, pipeline=2), stage) for stage in (1, 0))
    assert memory.peak(LLAMA, Plan(64, pipeline=2)).total == max(last.total, first.total)


def test_what_does_not_divide_is_refused_but_layers_are_rounded_up():
    assert memory.predict(LLAMA, Plan(9, pipeline=9)).total > memory.predict(LLAMA, Plan(8, pipeline=8)).total
    with pytest.raises(ValueError, match="does not divide the model's 32 heads"):
        memory.predict(LLAMA, Plan(1, tensor=5))
    with pytest.raises(ValueError, match="stage must be"):
        memory.predict(LLAMA, Plan(8, pipeline=2), 2)
