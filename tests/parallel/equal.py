"""Training on ranks equals training in one process on the whole batch: a check that every rank runs.

In double precision another order of additions changes the 16th digit (seen: 1e-15), so 1e-10 tells it from a
mistake. Adam, which divides by the gradient's size, makes more of that: there it is 1e-9. On CUDA tensors of
several ranks on one GPU it is gloo that carries them; NCCL needs a GPU for each.
"""

import copy
from contextlib import nullcontext
from functools import cache, partial

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.nn import functional

from hpclab import schedules
from hpclab.models.communication_volume import formula
from hpclab.models.plan import ZERO
from hpclab.models.transformer import Transformer
from hpclab.parallel import context, data, experts, pipeline, sequence, sharded, tensor
from hpclab.parallel.link import Link
from hpclab.parallel.memory_by_kind import Volume, own_part
from hpclab.workloads import gpt

SHAPE = Transformer(layers=2, hidden=32, heads=4, sequence=16, vocabulary=64)
ODD = Transformer(layers=2, hidden=32, heads=4, sequence=8, vocabulary=33)  # its shards need padding
DEEP = Transformer(8, 16, 2, 8, 32, tied=False)
STEPS, BATCH, SIZE, LINK = 3, 8, 20_000, Link(1e9, 1e-3)  # SIZE: bytes of a bucket; models have several
EXPERTS = 8
adam, sgd = partial(torch.optim.AdamW, lr=1e-2), partial(torch.optim.SGD, lr=0.5, foreach=False)


def language(shape, larger=1, top=0, device="cpu"):
    """`larger` weights than it begins with let attention look at some tokens and not at all."""
    model = gpt.GPT(shape, seed=3).to(device, torch.float64)
    model = experts.with_experts(model, EXPERTS, top) if top else model
    with torch.no_grad():
        for weight in model.parameters():
            weight *= larger if weight.dim() == 2 else 1
    tokens = torch.arange(500) * 7 % shape.vocabulary
    return model, lambda step: [one.to(device) for one in gpt.batches(tokens, BATCH, shape.sequence, step)]


PROBLEMS = {  # a model with its batches, the optimizer, and how much may differ
    "odd": (partial(language, ODD), adam, 1e-9),
    "gpt": (partial(language, SHAPE, 5), sgd, 1e-10),
    **{f"top {top}": (partial(language, SHAPE, 5, top), sgd, 1e-10) for top in (1, 2)},
    "deep": (partial(language, DEEP), sgd, 1e-12),
}


def loss_of(logits, targets):
    return functional.cross_entropy(logits.flatten(0, -2), targets.flatten())


def mine(whole, group=None):
    return whole.chunk(dist.get_world_size(group))[dist.get_rank(group)]


# A way makes of a model its step: it takes inputs and targets of the whole batch, leaves gradients where an
# optimizer finds them, and returns what this rank adds to the mean loss.


def on_all(model, part=lambda whole: whole, complete=lambda: None):
    """Every rank computes its `part`, here all of the batch; `complete`, or hooks, average the gradients."""

    def step(inputs, targets):
        value = loss_of(model(part(inputs)), part(targets))
        value.backward()
        complete()
        return value / dist.get_world_size()

    return step


def averaged(model, complete=lambda: None, group=None):
    return on_all(model, partial(mine, group=group), complete)


def summed(model, share=data.share_of_loss, shared=gpt.GPT.parameters, group=None):
    def step(inputs, targets):
        value = share(model, inputs, targets, group)
        value.backward()
        sequence.sum_gradients(shared(model), group)
        return value * dist.get_world_size(group) / dist.get_world_size()

    return step


def buckets(model, **options):
    return data.Buckets(model, SIZE, **options)


class Stages(torch.nn.ModuleList):
    """This rank's part of a model, under the names that its weights have in the whole."""

    def __init__(self, plan, group, model):
        super().__init__(pipeline.cut(model, plan.stages)[dist.get_rank(group) :: plan.ranks])

    def state_dict(self):
        return {name: weight for stage in self for name, weight in stage.state_dict().items()}


def in_pipeline(plan, table, stages):
    """Along the rows; a column has the same stages, and each of its ranks a part of the batch."""
    row, column = table["tensor"].get_group(), table["data"].get_group()
    columns = dist.get_world_size(column)

    def share(logits, targets):
        return loss_of(logits, targets) / columns

    def step(inputs, targets):
        value = pipeline.run(plan, stages, mine(inputs, column), mine(targets, column), share, row)
        sequence.sum_gradients(stages.parameters(), column)
        return value / plan.ranks

    return step


def train(model, step, batch, optimizer, count):
    """The mean loss over all ranks of each step, the first within `count`; how many collectives that took."""
    losses = torch.zeros(STEPS, dtype=torch.float64)
    before = dist.group.WORLD._get_sequence_number_for_group()
    for number in range(STEPS):
        with nullcontext() if number else count:
            losses[number] = torch.as_tensor(step(*batch(number)), dtype=torch.float64).detach()
        optimizer.step()
        model.zero_grad()
    begun = dist.group.WORLD._get_sequence_number_for_group() - before
    dist.all_reduce(losses)
    for unit in getattr(optimizer, "units", []):
        unit.gather()
    return losses, begun


@cache
def in_one_process(problem, device):
    make, optimizer, _ = PROBLEMS[problem]
    model, batch = make(device=device)
    losses, _ = train(model, on_all(model), batch, optimizer(model.parameters()), nullcontext())
    assert losses[-1] < losses[0] - 0.1 or problem not in ("gpt", "top 1", "top 2")
    return losses, model


def evenly(router, inputs, scores):
    """What a router without favourites says."""
    return 9 * functional.one_hot(torch.arange(len(scores), device=scores.device) % EXPERTS) + 0 * scores


def check(device="cpu"):
    """Of every way what differs from one process, or from the formula of what is sent; how many collectives
    each took."""
    ranks, wrong, collectives = dist.get_world_size(), [], {}

    def compare(name, problem, way, split=lambda model: model, says=None, optimizer=None):
        expected, trained = in_one_process(problem, device)
        make, usual, tolerance = PROBLEMS[problem]
        model, batch = make(device=device)
        model = split(model)
        step, optimizer = way(model), optimizer(model) if optimizer else usual(model.parameters())
        volume = Volume() if says else nullcontext()  # counting takes longer than such small steps
        losses, collectives[name] = train(model, step, batch, optimizer, volume)
        ours, theirs = model.state_dict(), split(copy.deepcopy(trained)).state_dict()
        apart = [losses - expected, *(own_part(ours[key]) - own_part(theirs[key]) for key in theirs | ours)]
        off = torch.cat([one.cpu().flatten() for one in apart]).abs().max()
        if not off < tolerance:  # nor is NaN
            wrong.append(f"{name}: {off:.1e}")
        if says:
            compare_bytes(name, volume.sent, formula(says, SHAPE, ranks, BATCH, item=8))

    def compare_bytes(name, sent, says):
        if sent != says:
            wrong.append(f"{name}: sent {sent}, not {says}")

    for name, options in (("buckets", {}), ("later", {"overlap": False}), ("over a link", {"link": LINK})):
        compare(name, "odd", lambda model, o=options: averaged(model, buckets(model, **o).finish))
    for stage in range(1, len(ZERO)):
        zero = partial(sharded.Zero, stage=stage, optimizer=adam)
        compare(f"ZeRO-{stage}", "odd", averaged, optimizer=zero)
    freed = partial(sharded.by_fsdp, reshard_after_forward=True)
    compare("FSDP2", "gpt", averaged, freed, "zero 3")
    compare("data", "gpt", summed, says="data")

    compare("tensor", "gpt", on_all, tensor.split, "tensor")
    all_ranks = init_device_mesh(device, (1, ranks), mesh_dim_names=("data", "tensor"))
    compare("DTensor", "gpt", on_all, partial(tensor.split_by_pytorch, mesh=all_ranks["tensor"]), "tensor")
    by_tokens = partial(summed, share=sequence.share_of_loss)
    compare("sequence", "gpt", partial(by_tokens, shared=sequence.not_cut), sequence.split, "sequence")
    compare("context", "gpt", by_tokens, context.split, "context")
    for top in (1, 2):
        compare(f"top {top}", f"top {top}", partial(summed, shared=experts.shared), experts.spread)

    for name, chunks in (("GPipe", 1), ("1F1B", 1), ("interleaved 1F1B", 2)):
        plan = schedules.pipeline(name, ranks, 4, chunks)
        stages, way = partial(Stages, plan, None), partial(in_pipeline, plan, all_ranks)
        compare(name, "deep", way, stages)

    table = init_device_mesh(device, (ranks // 2, 2), mesh_dim_names=("data", "tensor"))
    row, column = table["tensor"].get_group(), table["data"].get_group()
    compare("data, tensor", "gpt", partial(summed, group=column), partial(tensor.split, group=row))

    def both(model):
        return sharded.by_fsdp(tensor.split_by_pytorch(model, table["tensor"]), mesh=table["data"])

    compare("FSDP2, DTensor", "gpt", partial(averaged, group=column), both)
    plan = schedules.pipeline("1F1B", 2, 4)
    compare("data, pipeline", "deep", partial(in_pipeline, plan, table), partial(Stages, plan, row))

    even, batch = PROBLEMS["top 1"][0](device=device)
    for block in experts.spread(even).blocks:
        block.mlp.router.register_forward_hook(evenly)
    with Volume() as volume:
        summed(even, shared=experts.shared)(*batch(0))
    sent = {"all_to_all": volume.sent["all_to_all"]}
    compare_bytes("experts, evenly", sent, formula("expert", SHAPE, ranks, BATCH // ranks, item=8))
    first, rows = dist.get_rank() == 0, torch.ones(2, 4, dtype=torch.float64, device=device)
    with Volume() as volume:
        experts.all_to_all([2] + [0] * (ranks - 1), [2 * first] * ranks, rows, None)
    compare_bytes("all to rank 0", volume.sent, {"all_to_all": 0 if first else rows.nbytes})
    return wrong, collectives
