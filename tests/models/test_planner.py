"""`models.planner`: what it lists fits and is in order, what it refuses it names."""

import re

import pytest

from hpclab.models import memory, planner, training_step
from hpclab.models.gpu_cluster import named
from hpclab.models.plan import Plan
from hpclab.models.transformer import BLOOM, Transformer

GPT3 = Transformer(96, 12288, 96, 2048, 51200)
SMALL = Transformer(24, 2048, 16, 2048, 51200)


def test_plans_use_all_gpus_fit_and_come_fastest_first():
    cluster = named("dgx-a100")
    found = planner.plans(GPT3, cluster, gpus=1024, batch=1536)
    assert len(found) > 50
    assert {one.plan.gpus for one in found} == {1024}
    assert {one.plan.batch for one in found} == {1536}
    assert max(one.plan.tensor for one in found) == 8
    seconds = [one.step.seconds for one in found]
    assert seconds == sorted(seconds)
    for one in found[::10]:
        assert one.memory.total <= memory.usable(cluster.memory)
        assert one.step.seconds == training_step.predict(GPT3, one.plan, cluster).seconds
    chunked = [one.plan for one in found if one.plan.chunks > 1]
    assert not any(plan.micro_batches % plan.pipeline for plan in chunked)
    assert any(plan.micro_batches > plan.pipeline for plan in chunked)
    assert any(one.plan.micro_batches % one.plan.pipeline for one in found if one.plan.chunks == 1)


def test_nothing_is_sharded_or_made_again_that_fits_without():
    found = planner.plans(SMALL, named("dgx-a100"), gpus=8, batch=64)
    alone = [one.plan for one in found if one.plan.data == 8 and one.plan.micro_batch == 1]
    assert [(plan.zero, plan.recompute) for plan in alone] == [(1, "none")]
    assert planner.refusal(SMALL, alone[0], named("dgx-a100")) == ""
    assert planner.plans(GPT3, named("dgx-a100"), gpus=8, batch=8) == []
    assert planner.plans(BLOOM, named("a100-omni-path"), gpus=384, batch=2048) == []  # as lesson 10 says
    with pytest.raises(ValueError, match="gpus must be"):
        planner.plans(GPT3, named("dgx-a100"), gpus=0, batch=8)


@pytest.mark.parametrize(("plan", "why"), [
    (Plan(8, data=8), r"^it needs \d{4} GiB, a GPU has 79$"),
    (Plan(16, tensor=16), "tensor = 16 is more than the 8 GPUs of a node"),
    (Plan(11, pipeline=11), "pipeline = 11 does not divide the model's 96 layers"),
    (Plan(1, tensor=64), "does not divide the model's 96 heads"),
])  # fmt: skip
def test_a_refusal_is_one_clause(plan, why):
    assert re.search(why, planner.refusal(GPT3, plan, named("dgx-a100")))
