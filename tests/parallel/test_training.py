"""Data parallel training on real ranks equals training on the whole batch, and what is sent when."""

import itertools
import time

import pytest
import torch
import torch.distributed as dist

from hpclab.cluster import Pool
from hpclab.parallel import data
from hpclab.parallel.link import Link
from hpclab.workloads import digits
from tests.parallel import equal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool():
    with Pool(nodes=4, backend="local") as pool:
        yield pool


@pytest.mark.parametrize("device", ["cpu"] + ["cuda"] * torch.cuda.is_available())
@pytest.mark.parametrize("ranks", [2, 4])
def test_every_way_equals_training_on_the_whole_batch(pool, ranks, device):
    assert pool.run(equal.check, device, images(), ranks=ranks) == [24] * ranks


def images():
    """Loaded here, once, and not by every rank."""
    return [one[: equal.STEPS * equal.BATCH] for one in digits.images()]


def messages_of_a_step(overlap, late):
    """How many buckets were sent when backward was done, the messages, and begin and end of this rank."""
    model, loss_of, batch = equal.language()
    buckets = data.Buckets(model, equal.SIZE, link=Link(1e8, 1e-2), overlap=overlap)
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
    for before, after in itertools.pairwise(messages):
        assert after.begin >= before.end  # one wire
    for one in messages:
        assert one.end - one.begin > 0.999 * (
            1e-2 + one.bytes / 1e8
        )  # of two ranks each sends every byte once
    assert ended >= messages[-1].end


def test_a_message_begins_when_the_last_rank_is_ready(pool):
    (_, early, begun, _), (_, late, last_begun, _) = pool.run(messages_of_a_step, True, 0.5, ranks=2)
    assert begun < last_begun < early[0].begin
    assert early[0].begin == pytest.approx(late[0].begin, abs=0.1)


def test_parameters_go_into_buckets_last_first():
    model, *_ = equal.language()
    model.position.requires_grad_(False)
    buckets = data.in_buckets(model, equal.SIZE)
    trained = [one for one in model.parameters() if one is not model.position.weight]
    assert [id(one) for bucket in buckets for one in bucket] == [id(one) for one in reversed(trained)]
    for bucket in buckets[:-1]:
        assert sum(one.nbytes for one in bucket[:-1]) < equal.SIZE <= sum(one.nbytes for one in bucket)


def test_a_parameter_without_gradient_is_named_a_mistake_before_ranks_wait_for_it():
    with pytest.raises(RuntimeError, match="freeze"):
        data.gradients([torch.nn.Parameter(torch.ones(1))])
