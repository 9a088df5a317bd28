"""Training on ranks equals training in one process on the whole batch: checks that every rank runs."""

from functools import partial

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from hpclab.models.transformer import Transformer
from hpclab.parallel import accumulation, data, sharded
from hpclab.parallel.link import Link, Wire
from hpclab.workloads import digits, gpt

SHAPE = Transformer(layers=2, hidden=32, heads=4, sequence=8, vocabulary=33)  # 33: shards need padding
STEPS, BATCH, SIZE, LINK = 3, 8, 20_000, Link(1e9, 1e-3)  # SIZE: bytes of a bucket; models have several
adam = partial(torch.optim.AdamW, lr=1e-2)


def language(device="cpu"):
    """The small GPT, its loss, and `batch(step, rank, ranks)`.

    In double precision another order of additions changes the 16th digit, so 1e-9 tells it from a mistake;
    Adam, which divides by the gradient's size, makes more of single precision's 7th.
    """
    tokens = torch.randint(SHAPE.vocabulary, (500,), generator=torch.Generator().manual_seed(1))

    def batch(step, rank=0, ranks=1):
        return [one.to(device) for one in gpt.batches(tokens, BATCH, SHAPE.sequence, step, rank, ranks)]

    return gpt.GPT(SHAPE).double().to(device), gpt.loss, batch


def handwriting(images, device="cpu"):
    def batch(step, rank=0, ranks=1):
        own = [one[BATCH * step : BATCH * (step + 1)].chunk(ranks)[rank].to(device) for one in images]
        return own[0].double(), own[1]

    return digits.ConvNet(8).double().to(device), cross_entropy, batch


def plain(model, after=lambda: None):
    """How a way begins each step: forward, backward, and what follows; it returns the loss."""

    def compute(loss_of, inputs, targets):
        value = accumulation.backward(lambda *part: loss_of(model(part[0]), part[1]), [(inputs, targets)], 1)
        after()
        return value

    return compute


def in_parts(way, sender, model):
    def compute(loss_of, inputs, targets):
        parts = list(zip(inputs.chunk(2), targets.chunk(2), strict=True))
        return way(sender, lambda these, those: loss_of(model(these), those), parts)

    return compute


def ddp(model, link=None):
    parallel = DistributedDataParallel(model, bucket_cap_mb=SIZE / 2**20)
    if link:
        parallel.register_comm_hook(Wire(link), data.over_wire)
    return parallel


def buckets(model, **options):
    return data.Buckets(model, SIZE, **options)


AVERAGES = {  # each leaves averaged gradients where an optimizer finds them
    "each": lambda model: plain(model, lambda: data.average_each(model)),
    "all": lambda model: plain(model, lambda: data.average_all(model)),
    "buckets": lambda model: plain(model, buckets(model).finish),
    "buckets after backward": lambda model: plain(model, buckets(model, overlap=False).finish),
    "buckets over a link": lambda model: plain(model, buckets(model, link=LINK).finish),
    "parts sent each time": lambda model: in_parts(accumulation.sent_each_time, buckets(model), model),
    "parts sent once": lambda model: in_parts(accumulation.sent_once, buckets(model), model),
    "DDP": lambda model: plain(ddp(model)),
    "DDP over a link": lambda model: plain(ddp(model, LINK)),
    "parts sent once by DDP": lambda model: in_parts(accumulation.sent_once_by_ddp, *[ddp(model)] * 2),
}
SHARDED = {"FSDP": lambda model: plain(sharded.by_fsdp(model)), "ZeRO-1": 1, "ZeRO-2": 2, "ZeRO-3": 3}


def train(problem, way, rank, ranks):
    """The mean loss of each step and all weights; then how many collectives that took."""
    model, loss_of, batch = problem
    before = dist.group.WORLD._get_sequence_number_for_group()
    if isinstance(way, int):
        compute, optimizer = plain(model), sharded.Zero(model, way, adam)
    else:
        compute, optimizer = way(model), adam(model.parameters())
    losses = torch.zeros(STEPS, dtype=torch.float64)
    for step in range(STEPS):
        losses[step] = compute(loss_of, *batch(step, rank, ranks))
        optimizer.step()
        model.zero_grad()
    begun = dist.group.WORLD._get_sequence_number_for_group() - before
    dist.all_reduce(losses)
    for unit in getattr(optimizer, "units", []):
        unit.gather()
    whole = [getattr(one, "full_tensor", lambda one=one: one)() for one in model.parameters()]
    return [losses / dist.get_world_size(), *whole], begun


def check(device, images):
    """All ways, both models: how many collectives each took; AssertionError names the first that differs."""
    for problem, ways in ((partial(handwriting, images), AVERAGES), (language, AVERAGES | SHARDED)):
        expected, _ = train(problem(device), plain, 0, 1)
        collectives = {}
        for name, way in ways.items():
            ours, collectives[name] = train(problem(device), way, dist.get_rank(), dist.get_world_size())
            said = partial("{}: {}".format, name)
            torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9, msg=said)
    return collectives
