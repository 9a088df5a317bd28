"""Memory of real steps, and of steps rehearsed at 1,024 ranks, against `models.memory` and closed forms."""

from dataclasses import replace

import pytest

from hpclab.models import memory
from hpclab.models.plan import Plan
from hpclab.models.transformer import Transformer
from hpclab.parallel import fake_cluster, memory_by_kind

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
WIDE = Transformer(2, 64, 4, 64, 2000)  # logits are the peak
DEEP = Transformer(6, 64, 4, 128, 100)  # layers are
LARGE = Transformer(2, 1024, 16, 512, 8192)


@pytest.mark.parametrize("shape", [WIDE, DEEP])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("recompute", ["none", "full"])
def test_a_real_step_has_what_is_predicted(shape, precision, recompute):
    plan = Plan(8, 4, precision=precision, recompute=recompute)
    seen, said = memory_by_kind.measure(shape, plan), memory.of_tensors(shape, plan)
    assert replace(seen, activations=0) == replace(said, activations=0)
    # 3 %: norms' means, attention's sums of exponentials and token numbers have no term in the model
    assert seen.activations == pytest.approx(said.activations, rel=0.03)


def test_gradients_are_not_there_yet_at_the_peak_of_one_micro_batch():
    assert memory_by_kind.measure(WIDE, Plan(4, 4)).gradients == 0
    with pytest.raises(ValueError, match="one GPU"):
        memory_by_kind.measure(WIDE, Plan(2, data=2))
    with pytest.raises(ValueError, match="leave out the rest"):
        fake_cluster.rehearse(LARGE, Plan(8, data=8, zero=1))


def test_fsdp_with_tensor_parallelism_rehearsed_at_1024_ranks():
    plan = Plan(1024, 4, data=128, tensor=8, zero=3)
    seen = fake_cluster.rehearse(LARGE, plan)
    held = memory.held_parameters(LARGE, plan)
    blocks = held - (1024 * 8192 / 8 + 1024 * 512 + 2 * 1024)
    # a block is gathered forward and backward, what is around the blocks once; two micro-batches
    assert seen.sent["all_gather"] == 2 * 2 * (held + blocks) * 127 / 128
    assert seen.sent["reduce_scatter"] == 2 * 4 * held * 127 / 128
    assert seen.calls["all_gather"] == 2 * (1 + 2 * 2)
    said = (memory.predict(LARGE, plan).total - memory.outside(plan)) / memory.RESERVED
    assert seen.peak.total == pytest.approx(said, rel=0.1)


def test_tensor_parallelism_with_summed_gradients_rehearsed():
    plan = Plan(256, data=128, tensor=8)
    seen, said = fake_cluster.rehearse(LARGE, plan), memory.predict(LARGE, plan)
    # four sums a block, one after the embedding, one before the output; three numbers a token in the loss
    tokens, held = 512, said.parameters / 2
    activations = 2 * (10 * tokens * 1024 * 2 + 3 * tokens * 4)
    assert seen.sent == {"all_reduce": activations * 2 * 7 / 8 + 2 * held * 2 * 127 / 128}
    assert seen.peak.parameters == said.parameters
    assert seen.peak.optimizer == said.optimizer
    assert seen.peak.activations == pytest.approx(said.activations, rel=0.1)
