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
    assert pool.run(equal.check, device, images, ranks=ranks) == [24] * ranks


@pytest.mark.slurm
def test_every_way_on_slurm(local_slurm, images):
    with Pool(nodes=4, backend="slurm") as pool:
        for ranks in (2, 4):
            assert pool.run(equal.check, "cpu", images, ranks=ranks) == [24] * ranks


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


@pytest.mark.parametrize("overlap", [True, False])
def test_buckets_are_sent_during_backward_or_after_it(pool, overlap):
    (sent, messages, _, ended), _ = pool.run(messages_of_a_step, overlap, 0, ranks=2)
    assert sent == (len(messages) if overlap else 0)
    assert [one.label for one in messages] == [f"bucket {number}" for number in range(7)]
    assert sum(one.bytes for one in messages) == 8 * equal.SHAPE.parameters
    assert all(one.end - one.begin > 0.999 * equal.LINK.seconds(one.bytes, 2) for one in messages)
    assert all(after.begin >= before.end for before, after in itertools.pairwise(messages))  # one wire
    assert ended >= messages[-1].end


def test_a_message_begins_when_the_last_rank_is_ready(pool):
    (_, early, begun, _), (_, late, last_begun, _) = pool.run(messages_of_a_step, True, 0.5, ranks=2)
    assert begun < last_begun < early[0].begin
    assert early[0].begin == pytest.approx(late[0].begin, abs=0.1)


def test_parameters_go_into_buckets_last_first():
    parameters = data.trained(equal.language()[0])
    buckets = data.in_buckets(parameters, equal.SIZE)
    assert [id(one) for bucket in buckets for one in bucket] == [id(one) for one in reversed(parameters)]
    for bucket in buckets[:-1]:
        assert sum(one.nbytes for one in bucket[:-1]) < equal.SIZE <= sum(one.nbytes for one in bucket)


def test_a_parameter_without_gradient_is_refused_before_ranks_wait_for_it():
    with pytest.raises(RuntimeError, match="freeze"):
        data.gradients([torch.nn.Parameter(torch.ones(1))])


def collectives_of_a_step(names):
    """How many all-reduces each way begins."""
    counted = []
    for name in names:
        model, loss_of, batch = equal.language()
        compute = equal.AVERAGES[name](model)
        compute(loss_of, *batch(0))  # after its first step DDP makes its buckets anew
        before = dist.group.WORLD._get_sequence_number_for_group()
        compute(loss_of, *batch(1))
        counted.append(dist.group.WORLD._get_sequence_number_for_group() - before)
    return counted


def test_accumulated_gradients_are_sent_once(pool):
    names = ("buckets", "parts sent each time", "parts sent once", "DDP", "parts sent once by DDP")
    (once, each_time, accumulated, ddp, ddp_accumulated), _ = pool.run(collectives_of_a_step, names, ranks=2)
    assert (each_time, accumulated, ddp_accumulated) == (2 * once, once, ddp)


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
    inputs, targets = batch(0)
    loss_of(model(inputs), targets).backward()
    look()
    zero.step()
    state = [one.nbytes for each in zero.optimizer.state.values() for one in each.values() if one.dim()]
    return seen, sum(unit.shard.nbytes for unit in zero.units), sum(state)


def test_each_stage_keeps_what_it_says_and_no_more(pool):
    found = {stage: pool.run(memory_of, stage, ranks=2)[0] for stage in (1, 2, 3)}
    weights = {stage: [one for one, _ in seen] for stage, (seen, *_) in found.items()}
    assert weights[1] == weights[2] == [[True] * 3] * 4
    assert weights[3] == [[True, False, True], [False, True, True], [True, False, True], [False] * 3]
    reduced = {stage: [any(one) for _, one in seen][-1] for stage, (seen, *_) in found.items()}
    assert reduced == {1: True, 2: False, 3: False}
    for _, shards, state in found.values():
        assert 0 <= shards - 8 * equal.SHAPE.parameters / 2 <= 3 * 8  # zeros make the shards of a unit equal
        assert state == 2 * shards  # Adam's two averages
