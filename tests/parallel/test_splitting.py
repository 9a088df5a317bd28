"""A model split over ranks against the same model on one process: the same losses, the same weights.

In float64, where only the order of sums differs: after three steps all agree to 1e-10 (seen: 1e-15), and the
bytes sent in the first step are exactly those of the formulas. On CUDA tensors of several ranks on one GPU it
is gloo that carries them; NCCL needs a GPU for each.
"""

import copy
import functools

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional

from hpclab.models.communication_volume import formula
from hpclab.models.transformer import Transformer
from hpclab.parallel import context, experts, mesh, sequence, tensor
from hpclab.parallel.volume import Volume
from hpclab.workloads.gpt import GPT, batches, loss
from tests.conftest import pool_at

pytestmark = pytest.mark.slow
SHAPE = Transformer(layers=2, hidden=32, heads=4, sequence=16, vocabulary=64)
BATCH, STEPS, EXPERTS = 8, 3, 8
ON_GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))


def gpt(device, top=0):
    """With larger weights than it begins with, so that attention looks at some tokens and not at all."""
    model = GPT(SHAPE, seed=3)
    model = experts.with_experts(model.to(device), EXPERTS, top) if top else model
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 5 if weight.dim() == 2 else 1
    return model.to(device, torch.float64)


def train(model, step):
    """Losses of the steps, and what the first one sent. `step` does all but the descent and says what this
    rank adds to the loss."""
    text = torch.arange(500) * 7 % SHAPE.vocabulary
    losses, sent = [], []
    for number in range(STEPS):
        inputs, targets = batches(text, BATCH, SHAPE.sequence, number)
        with Volume() as volume:
            share = step(model, inputs.to(model.token.weight.device), targets.to(model.token.weight.device))
        sent.append(dict(volume.sent))
        losses.append(float(tensor.summed(share.detach(), None)))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.5 * parameter.grad
                parameter.grad = None
    return losses, sent[0]


def on_all(model, inputs, targets):
    """Every rank has the whole batch; of the loss it adds its part."""
    value = loss(model(inputs), targets)
    value.backward()
    return value / dist.get_world_size()


def on_tokens(shared):
    def step(model, inputs, targets):
        share = sequence.share_of_loss(model, inputs, targets)
        share.backward()
        sequence.sum_gradients(shared(model))
        return share

    return step


def on_sequences(shared, group=None, averaged=False):
    """`averaged`: gradients are by FSDP, and none is `shared`."""

    def step(model, inputs, targets):
        row, rows = dist.get_rank(group), dist.get_world_size(group)
        value = loss(model(inputs.chunk(rows)[row]), targets.chunk(rows)[row])
        (value if averaged else value / rows).backward()
        sequence.sum_gradients(shared(model), group)
        return value / dist.get_world_size()

    return step


class Evenly(torch.nn.Module):
    """A router that has no favourites."""

    def forward(self, tokens):
        return functional.one_hot(
            torch.arange(len(tokens), device=tokens.device) % EXPERTS
        ) * tokens.new_tensor(9)


@functools.cache
def on_one_process(device, top):
    model = gpt(device, top)
    return train(model, on_all)[0], model


def off(losses, state, device, top, split):
    """The largest difference in any loss or weight from those of one process."""
    expected, model = on_one_process(device, top)
    whole = split(copy.deepcopy(model)).state_dict()
    assert expected[-1] < expected[0] - 0.1
    assert whole.keys() == state.keys()
    apart = [abs(one - other) for one, other in zip(losses, expected, strict=True)]
    return max(*apart, *(float((state[name] - whole[name]).abs().max()) for name in whole))


def checks(device):
    """On every rank, of every way to split: how far off it is, what it sent, and what the formula says."""
    ranks, found, none, everything = dist.get_world_size(), {}, lambda _: [], GPT.parameters
    table = init_device_mesh(device, (ranks // 2, 2), mesh_dim_names=("data", "tensor"))
    rows, columns = table["tensor"].get_group(), table["data"].get_group()

    def check(name, model, step, says=None, state=GPT.state_dict, top=0, split=lambda model: model):
        losses, sent = train(model, step)
        expected = formula(says, SHAPE, ranks, BATCH, item=8) if says else sent
        found[name] = off(losses, state(model), device, top, split), sent, expected

    whole = tensor.whole_state
    check("data", gpt(device), on_sequences(everything), "data")
    check("tensor", tensor.split(gpt(device)), on_all, "tensor", whole)
    cut = tensor.split_by_pytorch(gpt(device), init_device_mesh(device, (ranks,)))
    check("tensor by DTensor", cut, on_all, "tensor", whole)
    check("sequence", sequence.split(gpt(device)), on_tokens(sequence.not_cut), "sequence", whole)
    check("context", context.split(gpt(device)), on_tokens(everything), "context")
    naive = context.split(gpt(device), attend=context.gathered_attention)
    check("context, gathered", naive, on_tokens(everything))
    for top in (1, 2):
        spread = experts.spread(gpt(device, top))
        check(
            f"experts, top {top}",
            spread,
            on_sequences(experts.shared),
            None,
            GPT.state_dict,
            top,
            experts.spread,
        )
    cut = tensor.split(gpt(device), rows)
    check("data, tensor", cut, on_sequences(everything, columns), None, functools.partial(whole, group=rows))
    cut = mesh.split_by_pytorch(gpt(device), table)
    check("FSDP2, DTensor", cut, on_sequences(none, columns, averaged=True), None, whole)
    sharded = gpt(device)
    for module in (*sharded.blocks, sharded):
        fully_shard(module, reshard_after_forward=True)
    check("FSDP2", sharded, on_sequences(none, averaged=True), "zero 3", whole)

    even = experts.spread(gpt(device, 1))
    for block in even.blocks:
        block.mlp.router = Evenly()
    _, sent = train(even, on_sequences(experts.shared))
    says = formula("expert", SHAPE, ranks, BATCH // ranks, item=8)
    found["experts, evenly"] = 0.0, {"all_to_all": sent["all_to_all"]}, says

    first, rows = dist.get_rank() == 0, torch.ones(2, 4, dtype=torch.float64, device=device)
    with Volume() as volume:
        experts.all_to_all([2] + [0] * (ranks - 1), [2 * first] * ranks, rows, None)
    found["all to rank 0"] = 0.0, dict(volume.sent), {"all_to_all": 0 if first else rows.nbytes}
    return found


@pytest.fixture(scope="module", params=["local", pytest.param("slurm", marks=pytest.mark.slurm)])
def found(request):
    """What all ranks found, on so many ranks with tensors of a device; each gang runs once."""
    with pool_at(request, 4) as pool:
        yield functools.cache(lambda ranks, device: pool.run(checks, device, ranks=ranks))


@pytest.mark.parametrize("device", ["cpu", ON_GPU])
@pytest.mark.parametrize("ranks", [2, 4])
def test_losses_and_weights_are_those_of_one_process_and_bytes_those_of_the_formulas(found, ranks, device):
    for rank in found(ranks, device):
        assert {name: off for name, (off, *_) in rank.items() if not off < 1e-10} == {}
        assert {name: sent for name, (_, sent, _) in rank.items()} == {
            name: says for name, (_, _, says) in rank.items()
        }


def test_heads_that_ranks_do_not_divide_are_refused(refused):
    refused(lambda: tensor.parts_to_cut(GPT(SHAPE), 3))
