"""The models that lessons train: parameters and operations as their description says, and they learn."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hpclab.models.transformer import Transformer
from hpclab.workloads import gpt

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
TINY = Transformer(layers=2, hidden=32, heads=4, sequence=16, vocabulary=64)


@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_those_of_the_description(tied):
    shape = Transformer(3, 48, 6, 24, 100, feed_forward=96, tied=tied)
    assert sum(one.numel() for one in gpt.GPT(shape).parameters()) == shape.parameters


def test_operations_are_those_of_the_description():
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        gpt.GPT(TINY)(torch.zeros(3, 16, dtype=torch.long))
    assert counter.get_total_flops() == TINY.forward_flops(3)


def test_it_learns_to_repeat():
    tokens, model, losses = torch.arange(4000) % 7, gpt.GPT(TINY), []
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(40):
        inputs, targets = gpt.batches(tokens, 8, 16, step)
        optimizer.zero_grad()
        loss = gpt.loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 4
    assert losses[-1] < 1


def test_ranks_share_one_batch():
    tokens = torch.arange(1000)
    whole, _ = gpt.batches(tokens, 8, 16, 3)
    parts = [gpt.batches(tokens, 8, 16, 3, rank, 4)[0] for rank in range(4)]
    assert torch.equal(torch.cat(parts), whole)
    with pytest.raises(ValueError, match="multiple of the 3 ranks"):
        gpt.batches(tokens, 8, 16, 3, 0, 3)


def test_what_the_model_has_not_is_refused():
    with pytest.raises(ValueError, match="no gates"):
        gpt.GPT(Transformer(2, 32, 4, 16, 64, gated=True))
    with pytest.raises(ValueError, match="multiple of 5"):
        Transformer(2, 32, 5, 16, 64)
