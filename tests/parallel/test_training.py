"""Training on real ranks equals training in one process; what is sent when, and what has memory when."""

import itertools
import time

import pytest
import torch
import torch.distributed as dist

from hpclab.cluster import Pool
from hpclab.parallel import data, sharded
from hpclab.workloads import digits
from tests.parallel import equal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool():
    with Pool(nodes=4, backend="local") as pool:
        yield pool


@pytest.fixture(scope="module")
def images():
    """Loaded once, and not by every rank."""
    return [one[: equal.STEPS * equal.BATCH] for one in digits.images()]


@pytest.mark.parametrize("device", ["cpu"] + ["cuda"] * torch.cuda.is_available())
@pytest.mark.parametrize("ranks", [2, 4])
def test_every_way_equals_training_on_the_whole_batch(pool, images, ranks, device):
    """And what was accumulated is sent once."""
    sent = pool.run(equal.check, device, images, ranks=ranks)[0]
    assert sent["all"] == equal.STEPS
    assert sent["buckets"] == sent["parts sent once"] == sent["parts sent each time"] / 2 == 7 * equal.STEPS
    assert sent["DDP"] == sent["parts sent once by DDP"]


@pytest.mark.slurm
def test_every_way_on_slurm(local_slurm, images):
    with Pool(nodes=4, backend="slurm") as pool:
        for ranks in (2, 4):
            assert len(pool.run(equal.check, "cpu", images, ranks=ranks)[0]) == 14


def messages_of_a_step(overlap, late):
    """How many buckets were sent when backward was done, the messages, and begin and end of this rank."""
    model, loss_of, batch = equal.language()
    buckets = equal.buckets(model, link=equal.LINK, overlap=overlap)
    inputs, targets = batch(0, dist.get_rank(), dist.get_world_size())
    loss = loss_of(model(inputs), targets)
    time.sleep(late * dist.get_rank())
    begun = time.monotonic()
    loss.backward()
    sent = len(buckets.sent)
    buckets.finish()
    return sent, buckets.messages, begun, time.monotonic()


def memory_of(stage):
    """Which units have weights, and gradients, in each block, in the first's backward and after; then bytes
    of shards and of the optimizer's state."""
    model, loss_of, batch = equal.language()
    zero, seen = sharded.Zero(model, stage, equal.adam), []

    def look(*_):
        weights = [unit.whole.untyped_storage().nbytes() > 0 for unit in zero.units]
        seen.append((weights, [unit.parameters[-1].grad is not None for unit in zero.units]))

    for block in model.blocks:
        block.mlp.register_forward_hook(look)
    model.blocks[0].norm_2.register_full_backward_hook(look)
    equal.plain(model)(loss_of, *batch(0))
    look()
    zero.step()
    state = [one.nbytes for each in zero.optimizer.state.values() for one in each.values() if one.dim()]
    return seen, sum(unit.shard.nbytes for unit in zero.units), sum(state)


@pytest.fixture(scope="module")
def seen(pool):
    """All of it by one gang."""

    def observe():
        steps = [messages_of_a_step(*how) for how in ((True, 0), (False, 0), (True, 0.3))]
        return steps, [memory_of(stage) for stage in (1, 2, 3)]

    return pool.run(observe, ranks=2)


def test_buckets_are_sent_during_backward_or_after_it(seen):
    steps, _ = seen[0]
    assert [sent for sent, *_ in steps] == [7, 0, 7]
    for _, messages, _, ended in steps:
        assert [one.label for one in messages] == [f"bucket {number}" for number in range(7)]
        assert sum(one.bytes for one in messages) == 8 * equal.SHAPE.parameters
        assert all(one.end - one.begin > 0.999 * equal.LINK.seconds(one.bytes, 2) for one in messages)
        assert all(later.begin >= one.end for one, later in itertools.pairwise(messages))  # one wire
        assert ended >= messages[-1].end


def test_a_message_begins_when_the_last_rank_is_ready(seen):
    (_, (first, *_), begun, _), (_, _, last_begun, _) = (steps[2] for steps, _ in seen)
    assert begun < last_begun < first.begin


def test_each_stage_of_zero_keeps_what_it_says_and_no_more(seen):
    weights, gradients = zip(*(zip(*looks, strict=True) for looks, *_ in seen[0][1]), strict=True)
    assert weights[0] == weights[1] == ([True] * 3,) * 4
    assert weights[2] == ([True, False, True], [False, True, True], [True, False, True], [False] * 3)
    in_the_first_block = [[stage[2][1], any(stage[3])] for stage in gradients]
    assert in_the_first_block == [[True, True], [False, False], [False, False]]
    for _, shards, state in seen[0][1]:
        assert 0 <= shards - 8 * equal.SHAPE.parameters / 2 <= 3 * 8  # zeros make the shards of a unit equal
        assert state == 2 * shards  # Adam's two averages


def test_parameters_go_into_buckets_last_first():
    parameters = data.trained(equal.language()[0])
    buckets = data.in_buckets(parameters, equal.SIZE)
    assert [id(one) for bucket in buckets for one in bucket] == [id(one) for one in reversed(parameters)]
    for bucket in buckets[:-1]:
        assert sum(one.nbytes for one in bucket[:-1]) < equal.SIZE <= sum(one.nbytes for one in bucket)
    with pytest.raises(RuntimeError, match="freeze"):
        data.gradients(parameters)
