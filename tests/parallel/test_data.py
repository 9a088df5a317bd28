"""Data parallel training on real ranks equals training on the whole batch, and what is sent when."""

import itertools
import time

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from hpclab.cluster import Pool
from hpclab.parallel import data
from hpclab.parallel.link import Link, Wire
from tests.parallel import training

pytestmark = pytest.mark.slow
SIZE = 20_000  # bytes of a bucket, of which the models then have several


@pytest.fixture(scope="module")
def pool():
    with Pool(nodes=4, backend="local") as pool:
        yield pool


def ways():
    """For each way to average: (model as it is called, what follows backward)."""

    def bucketed(model, **options):
        return model, data.Buckets(model, SIZE, **options).finish

    def ddp(model, link=None):
        parallel = DistributedDataParallel(model, bucket_cap_mb=SIZE / 2**20)
        if link:
            parallel.register_comm_hook(Wire(link), data.over_wire)
        return parallel, lambda: None

    link = Link(1e9, 1e-3)
    return {
        "each": lambda model: (model, lambda: data.average_each(model)),
        "all": lambda model: (model, lambda: data.average_all(model)),
        "buckets": bucketed,
        "buckets at the end": lambda model: bucketed(model, overlap=False),
        "buckets over a link": lambda model: bucketed(model, link=link),
        "ddp": ddp,
        "ddp over a link": lambda model: ddp(model, link),
    }


def check_equal_to_one_process(device="cpu"):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    for problem in (training.language, training.handwriting):
        expected = training.alone(problem, device)
        for way in ways().values():
            model, loss_of, batch = problem(device)
            called, average = way(model)
            optimizer, losses = torch.optim.AdamW(model.parameters(), lr=1e-2), []
            for step in range(training.STEPS):
                inputs, targets = batch(step, rank, ranks)
                optimizer.zero_grad()
                loss = loss_of(called(inputs), targets)
                loss.backward()
                average()
                optimizer.step()
                losses.append(loss.item())
            training.assert_equal(losses, dict(model.named_parameters()), expected)
    return "equal"


@pytest.mark.parametrize("device", training.DEVICES)
@pytest.mark.parametrize("ranks", [2, 4])
def test_every_way_equals_training_on_the_whole_batch(pool, ranks, device):
    assert pool.run(check_equal_to_one_process, device, ranks=ranks) == ["equal"] * ranks


def messages_of_a_step(overlap, late):
    """How many buckets were sent when backward was done, the messages, and begin and end of this rank."""
    model, loss_of, batch = training.language()
    buckets = data.Buckets(model, SIZE, link=Link(1e8, 1e-2), overlap=overlap)
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
    assert sum(one.bytes for one in messages) == 8 * training.SHAPE.parameters
    for before, after in itertools.pairwise(messages):
        assert after.begin >= before.end  # one wire
    for one in messages:
        assert one.end - one.begin >= 1e-2 + one.bytes / 1e8  # of two ranks each sends every byte once
    assert ended >= messages[-1].end


def test_a_message_begins_when_the_last_rank_is_ready(pool):
    (_, early, begun, _), (_, late, last_begun, _) = pool.run(messages_of_a_step, True, 0.5, ranks=2)
    assert begun < last_begun < early[0].begin
    assert early[0].begin == pytest.approx(late[0].begin, abs=0.1)


def test_parameters_go_into_buckets_last_first():
    model, *_ = training.language()
    model.position.requires_grad_(False)
    buckets = data.in_buckets(model, SIZE)
    trained = [one for one in model.parameters() if one is not model.position.weight]
    assert [id(one) for bucket in buckets for one in bucket] == [id(one) for one in reversed(trained)]
    for bucket in buckets[:-1]:
        assert sum(one.nbytes for one in bucket[:-1]) < SIZE <= sum(one.nbytes for one in bucket)


def test_a_parameter_without_gradient_is_named_a_mistake_before_ranks_wait_for_it():
    with pytest.raises(RuntimeError, match="freeze"):
        data.gradients([torch.nn.Parameter(torch.ones(1))])
