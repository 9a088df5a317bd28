"""What makes a model fit on one rank: activations computed again, 16 bits, adapters; with equal results."""

from functools import partial

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from hpclab.models.transformer import Transformer
from hpclab.parallel import low_rank, precision, recompute
from hpclab.parallel.data import trained
from hpclab.workloads.gpt import GPT, loss

SHAPE = Transformer(layers=3, hidden=32, heads=4, sequence=8, vocabulary=64)
TOKENS = torch.arange(32).view(4, 8)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.parametrize("device", ["cpu"] + ["cuda"] * torch.cuda.is_available()),
]


def test_recomputing_gives_the_same_gradients_of_fewer_kept_bytes(device):
    tokens, found = TOKENS.to(device), []
    by_torch = partial(checkpoint, use_reentrant=False)
    for call in (lambda block, x: block(x), recompute.by_hand, by_torch):
        model, runs = GPT(SHAPE).double().to(device), []
        model.blocks[1].register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        with recompute.kept(model) as kept:
            value = loss(recompute.forward(model, tokens, call), tokens)
        value.backward()
        found.append((sum(kept.values()), len(runs), [value, *(one.grad for one in model.parameters())]))
    (usual, once, expected), (by_hand, twice, ours), (by_torch, _, theirs) = found
    assert (once, twice) == (1, 2)
    # of a block at least two norms, query, key, value, what attention gives, a sum, and twice the MLP's width
    assert usual - by_hand >= SHAPE.layers * 15 * tokens.numel() * SHAPE.hidden * 8
    assert by_hand == by_torch
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(theirs, expected, rtol=0, atol=1e-12)


def test_loss_scaling_keeps_what_half_precision_loses(device):
    gradient = torch.tensor([0.0, 1e-9, 1e-3], device=device)
    assert precision.lost(gradient) == 0.5
    assert precision.lost(gradient, 2.0**16) == 0


def test_an_adapter_begins_as_the_model_and_its_merged_weights_are_the_adapted_model(device):
    model, tokens = GPT(SHAPE).double().to(device), TOKENS.to(device)
    before, frozen = model(tokens), {name: one.clone() for name, one in model.named_parameters()}
    low_rank.adapt(model, rank=2)
    assert torch.equal(model(tokens), before)
    assert sum(one.numel() for one in trained(model)) == SHAPE.layers * 2 * 2 * (2 * SHAPE.hidden)
    optimizer = torch.optim.AdamW(trained(model), lr=1e-2)
    for _ in range(2):
        loss(model(tokens), tokens).backward()
        optimizer.step()
    adapted = model(tokens)
    assert not torch.allclose(adapted, before, rtol=0, atol=1e-6)
    low_rank.merge(model)
    torch.testing.assert_close(model(tokens), adapted, rtol=0, atol=1e-12)
    changed = {name for name, one in model.named_parameters() if not torch.equal(one, frozen[name])}
    assert changed == {f"blocks.{n}.attention.{what}.weight" for n in range(3) for what in ("query", "value")}
