"""What makes a model fit on one rank: activations computed again, 16 bits, adapters; with equal results."""

import pytest
import torch
from torch import nn

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
    for call in (lambda block, x: block(x), recompute.by_hand, recompute.by_torch):
        model, runs = GPT(SHAPE).double().to(device), []
        model.blocks[1].register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        with recompute.kept(model) as kept:
            value = loss(recompute.forward(model, tokens, call), tokens)
        value.backward()
        found.append((sum(kept.values()), len(runs), [value, *(one.grad for one in model.parameters())]))
    (usual, once, expected), (by_hand, twice, ours), (by_torch, twice_too, theirs) = found
    assert (once, twice, twice_too) == (1, 2, 2)
    # of a block at least two norms, query, key, value, what attention gives, a sum, and twice the MLP's width
    assert usual - by_hand >= SHAPE.layers * 15 * tokens.numel() * SHAPE.hidden * 8
    assert by_hand == by_torch
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(theirs, expected, rtol=0, atol=1e-12)


def test_loss_scaling_keeps_what_half_precision_loses(device):
    """The gradient by the layer's output is 1e-8."""
    for kind, scale, kept in (("float16", 1.0, 0), ("float16", 2.0**16, 1), ("bfloat16", 1.0, 1)):
        layer, by_hand = nn.Linear(4, 1, bias=False, device=device), precision.LossScale(scale)
        with torch.autocast(device, getattr(torch, kind)):
            value = layer(torch.ones(2, 4, device=device))
        by_hand.backward(value.float().sum() * 1e-8)
        assert by_hand.step(torch.optim.SGD(layer.parameters(), lr=0.0))
        expected = torch.full_like(layer.weight, 2e-8 * kept)
        torch.testing.assert_close(layer.weight.grad, expected, rtol=1e-2, atol=0)
    gradient = torch.tensor([0.0, 1e-9, 1e-3], device=device)
    assert precision.lost(gradient) == 0.5
    assert precision.lost(gradient, 2.0**16) == 0


def test_the_scale_falls_and_grows_as_pytorchs(device):
    ours, theirs = (nn.Parameter(torch.ones(1, device=device)) for _ in range(2))
    by_hand = precision.LossScale(8.0, 2)
    by_torch = torch.amp.GradScaler(device, init_scale=8.0, growth_interval=2)
    optimizers = [torch.optim.SGD([weight], lr=0.1) for weight in (ours, theirs)]
    for factor in (1, 1, 1, torch.inf, 1, torch.inf, torch.inf, 1, 1, 1, 1):
        ours.grad = theirs.grad = None
        by_hand.backward((ours * factor).sum())
        assert by_hand.step(optimizers[0]) == (factor == 1)
        by_torch.scale((theirs * factor).sum()).backward()
        by_torch.step(optimizers[1])
        by_torch.update()
        assert (by_hand.scale, ours) == (by_torch.get_scale(), theirs)
    assert by_hand.scale == 8  # doubled, halved three times, doubled twice


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
