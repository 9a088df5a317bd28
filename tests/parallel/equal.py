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
STEPS, BATCH, SIZE = 3, 8, 20_000  # bytes of a bucket, of which the models then have several
LINK = Link(1e9, 1e-3)
adam = partial(torch.optim.AdamW, lr=1e-2)


def language(device="cpu"):
    """The small GPT in double precision, its loss, and `batch(step, rank, ranks)`.

    Double, because another order of additions changes the 16th digit, so 1e-9 tells it from a mistake; Adam,
    which divides by the gradient's size, makes more of single precision's 7th.
    """
    tokens = torch.randint(SHAPE.vocabulary, (500,), generator=torch.Generator().manual_seed(1))

    def batch(step, rank=0, ranks=1):
        return [one.to(device) for one in gpt.batches(tokens, BATCH, SHAPE.sequence, step, rank, ranks)]

    return gpt.GPT(SHAPE).double().to(device), gpt.loss, batch


def handwriting(images, numbers, device="cpu"):
    """The same for the convolutional network."""

    def batch(step, rank=0, ranks=1):
        own = [one[BATCH * step : BATCH * (step + 1)].chunk(ranks)[rank] for one in (images, numbers)]
        return own[0].double().to(device), own[1].to(device)

    return digits.ConvNet(8).double().to(device), cross_entropy, batch


def plain(model, loss_of, after=lambda: None):
    """Forward and backward, and what follows."""

    def compute(inputs, targets):
        loss = loss_of(model(inputs), targets)
        loss.backward()
        after()
        return loss.item()

    return compute


def ddp(model, link=None):
    parallel = DistributedDataParallel(model, bucket_cap_mb=SIZE / 2**20)
    if link:
        parallel.register_comm_hook(Wire(link), data.over_wire)
    return parallel


def in_parts(way, sender, model, loss_of):
    """Gradient accumulation over two parts."""

    def compute(inputs, targets):
        parts = list(zip(inputs.chunk(2), targets.chunk(2), strict=True))
        return way(sender, lambda these, those: loss_of(model(these), those), parts)

    return compute


def by_ddp_in_parts(model, loss_of):
    parallel = ddp(model)
    return in_parts(accumulation.sent_once_by_ddp, parallel, parallel, loss_of)


def by_fsdp(model, loss_of):
    sharded.by_fsdp(model)
    return plain(model, loss_of)


def bucketed(**options):
    return lambda model, loss_of: plain(model, loss_of, data.Buckets(model, SIZE, **options).finish)


def bucketed_in_parts(way):
    return lambda model, loss_of: in_parts(way, data.Buckets(model, SIZE), model, loss_of)


# Each puts averaged gradients where the optimizer finds them.
AVERAGES = {
    "each": lambda model, loss_of: plain(model, loss_of, partial(data.average_each, model)),
    "all": lambda model, loss_of: plain(model, loss_of, partial(data.average_all, model)),
    "buckets": bucketed(),
    "buckets after backward": bucketed(overlap=False),
    "buckets over a link": bucketed(link=LINK),
    "DDP": lambda model, loss_of: plain(ddp(model), loss_of),
    "DDP over a link": lambda model, loss_of: plain(ddp(model, LINK), loss_of),
    "parts sent each time": bucketed_in_parts(accumulation.sent_each_time),
    "parts sent once": bucketed_in_parts(accumulation.sent_once),
    "parts sent once by DDP": by_ddp_in_parts,
    "FSDP": by_fsdp,
}
ZEROS = (sharded.Zero1, sharded.Zero2, sharded.Zero3)


def train(batch, compute, *updates):
    """The mean over all ranks of each step's loss."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    losses = torch.zeros(STEPS, dtype=torch.float64)
    for step in range(STEPS):
        losses[step] = compute(*batch(step, rank, ranks))
        for update in updates:
            update()
    dist.all_reduce(losses)
    return losses / ranks


def assert_equal(name, losses, model, expected):
    """Losses and weights as those of training in one process."""
    own = [losses, *(getattr(one, "full_tensor", lambda one=one: one)() for one in model.parameters())]
    for ours, theirs in zip(own, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9, msg=lambda said: f"{name}: {said}")


def check(device, images):
    """All ways, both models; how many were equal."""
    checked = 0
    for problem in (language, partial(handwriting, *images)):
        model, loss_of, batch = problem(device)
        optimizer, losses = adam(model.parameters()), []
        for step in range(STEPS):
            losses.append(plain(model, loss_of)(*batch(step)))
            optimizer.step()
            optimizer.zero_grad()
        expected = [torch.tensor(losses, dtype=torch.float64), *model.parameters()]
        for name, way in AVERAGES.items():
            model, loss_of, batch = problem(device)
            if name == "FSDP" and problem is not language:
                continue
            compute = way(model, loss_of)
            optimizer = adam(model.parameters())
            losses = train(batch, compute, optimizer.step, optimizer.zero_grad)
            assert_equal(name, losses, model, expected)
            checked += 1
        for stage in ZEROS if problem is language else ():
            model, loss_of, batch = problem(device)
            zero = stage(model, adam)
            losses = train(batch, plain(model, loss_of), zero.step)
            for unit in getattr(zero, "units", []):
                unit.gather()
            assert_equal(stage.__name__, losses, model, expected)
            checked += 1
    return checked
