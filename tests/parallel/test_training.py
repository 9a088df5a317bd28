"""What needs ranks, in one file, so that one pool serves it all: training on ranks equals training in one
process; what is sent when, and what has memory when."""

import itertools
import re
import sys
import time

import pytest
import torch
import torch.distributed as dist

from hpclab import schedules, trace
from hpclab.cluster import Pool
from hpclab.models.pipeline import measured
from hpclab.models.transformer import Transformer
from hpclab.parallel import data, overlap, pipeline, sharded, small_memory, tensor
from hpclab.parallel.learned import compared, learned
from hpclab.parallel.link import Link
from hpclab.parallel.profiled import PARTS, profiled, where
from hpclab.trace import Event
from hpclab.workloads import gpt
from hpclab.workloads.gpt import GPT
from tests.parallel import equal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool():
    with Pool(nodes=4, backend="local") as pool:
        yield pool


@pytest.mark.parametrize("device", ["cpu"] + ["cuda"] * torch.cuda.is_available())
@pytest.mark.parametrize("ranks", [2, 4])
def test_every_way_equals_training_on_the_whole_batch(pool, ranks, device):
    wrong, sent = zip(*pool.run(equal.check, device, ranks=ranks), strict=True)
    assert wrong == ([],) * ranks
    assert sent[0]["buckets"] == 7 * equal.STEPS


@pytest.mark.slurm
@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.soak)])
def test_every_way_on_slurm(local_slurm, ranks):
    with Pool(ranks, backend="slurm") as pool:
        assert [wrong for wrong, _ in pool.run(equal.check)] == [[]] * ranks


def messages_of_a_step(overlap, late):
    """How many buckets were sent when backward was done, the messages, and begin and end of this rank."""
    model, batch = equal.language(equal.ODD)
    buckets = equal.buckets(model, link=equal.LINK, overlap=overlap)
    inputs, targets = map(equal.mine, batch(0))
    loss = equal.loss_of(model(inputs), targets)
    time.sleep(late * dist.get_rank())
    begun = time.monotonic()
    loss.backward()
    sent = len(buckets.sent)
    buckets.finish()
    return sent, buckets.messages, begun, time.monotonic()


def memory_of(stage):
    """Which units have weights, and gradients, in each block, in the first's backward and after; then bytes
    of shards and of the optimizer's state."""
    model, batch = equal.language(equal.ODD)
    zero, seen = sharded.Zero(model, stage, equal.adam), []

    def look(*_):
        weights = [unit.whole.untyped_storage().nbytes() > 0 for unit in zero.units]
        seen.append((weights, [unit.parameters[-1].grad is not None for unit in zero.units]))

    for block in model.blocks:
        block.mlp.register_forward_hook(look)
    model.blocks[0].norm_2.register_full_backward_hook(look)
    equal.averaged(model)(*batch(0))
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
        assert sum(one.bytes for one in messages) == 8 * equal.ODD.parameters
        assert all(one.end - one.begin > 0.999 * equal.LINK.seconds(one.bytes, 2) for one in messages)
        assert all(later.begin >= one.end for one, later in itertools.pairwise(messages))  # one wire
        assert ended >= messages[-1].end


def test_a_message_begins_when_the_last_rank_is_ready(seen):
    (_, (first, *_), begun, _), (_, _, last_begun, _) = (steps[2] for steps, _ in seen)
    assert begun < last_begun < first.begin


def test_messages_that_backward_did_not_hide_are_marked_as_exposed(pool):
    def exposed():
        model, batch = equal.language(equal.ODD)
        buckets = equal.buckets(model, link=Link(1e9, 0.05), overlap=False)
        inputs, targets = map(equal.mine, batch(0))
        equal.loss_of(model(inputs), targets).backward()
        with trace.listen() as marks:
            buckets.finish()
        return sum(duration for _, _, duration, _, label in marks if label == "exposed")

    assert min(pool.run(exposed, ranks=2)) > 0.1  # seven messages of 0.05 s or more, one after the other


def test_each_stage_of_zero_keeps_what_it_says_and_no_more(seen):
    weights, gradients = zip(*(zip(*looks, strict=True) for looks, *_ in seen[0][1]), strict=True)
    assert weights[0] == weights[1] == ([True] * 3,) * 4
    assert weights[2] == ([True, False, True], [False, True, True], [True, False, True], [False] * 3)
    in_the_first_block = [[stage[2][1], any(stage[3])] for stage in gradients]
    assert in_the_first_block == [[True, True], [False, False], [False, False]]
    for _, shards, state in seen[0][1]:
        assert 0 <= shards - 8 * equal.ODD.parameters / 2 <= 3 * 8  # zeros make the shards of a unit equal
        assert state == 2 * shards  # Adam's two averages


def test_parameters_go_into_buckets_last_first():
    parameters = data.trained(equal.language(equal.ODD)[0])
    buckets = data.in_buckets(parameters, equal.SIZE)
    assert [id(one) for bucket in buckets for one in bucket] == [id(one) for one in reversed(parameters)]
    for bucket in buckets[:-1]:
        assert sum(one.nbytes for one in bucket[:-1]) < equal.SIZE <= sum(one.nbytes for one in bucket)
    with pytest.raises(RuntimeError, match="freeze"):
        data.gradients(parameters)


def test_what_ranks_of_a_pipeline_record_is_the_schedule_and_its_bytes(pool):
    plan = schedules.pipeline("1F1B", 2, 4)

    def step():
        model, batch = equal.language(equal.DEEP)
        pipeline.run(plan, equal.Stages(plan, None, model), *batch(0))

    pool.run(step, ranks=2)
    times, (sender, taker) = measured(plan, pool.trace), plan.messages.T
    assert (times.end[sender] <= times.start[taker]).all()
    sent = [event.bytes for event in pool.trace.events if event.kind == "send"]
    assert sent == [2 * 8 * 16 * 8] * len(sender)  # (micro-batch, length, hidden) of 8 bytes
    with pytest.raises(ValueError, match="with this very schedule"):
        measured(schedules.pipeline("1F1B", 2, 3), pool.trace)


def test_what_ranks_or_stages_cannot_share_is_refused(refused):
    refused(lambda: tensor.parts_to_cut(GPT(equal.SHAPE), 3))
    for shape, stages in ((equal.SHAPE, 2), (equal.DEEP, 9)):  # of which one is tied
        refused(lambda shape=shape, stages=stages: pipeline.cut(GPT(shape), stages))


def test_a_rank_waits_for_every_gradient_or_for_what_computing_did_not_hide(pool):
    layers, size = 4, 2**12
    link = 2**14 / 0.1  # 0.1 s a gradient: with two ranks a ring sends each byte once
    for step, exposed, _ in pool.run(overlap.training_step, False, link, layers, size, ranks=2):
        assert step > exposed >= layers * 0.1  # as long as the link is busy
    for step, exposed, _ in pool.run(overlap.training_step, True, link, layers, size, ranks=2):
        computed = step - exposed
        assert step >= layers * 0.1  # the link is as busy, and the last gradient stays exposed
        assert exposed >= max(0, layers * 0.1 - computed)


def test_every_instant_of_what_was_profiled_has_one_part():
    events = [Event(0, "input", 0, 2), Event(0, "compute", 2, 4), Event(0, "reduce", 4, 5)]
    events += [Event(0, "reduce", 5, 1), Event(0, "compute", 10, 1)]
    assert where(events) == dict(zip(PARTS, (3, 2, 3, 2, 1), strict=True))
    assert sum(where([]).values()) == 0


def test_operators_and_messages_of_two_ranks_are_told_apart(pool):
    def look():
        weights = torch.rand(64, 64, requires_grad=True)

        def step():
            (weights @ weights).sum().backward()
            dist.all_reduce(weights.grad)

        return profiled(step)

    for rank, events in enumerate(pool.run(look, ranks=2)):
        assert {(one.kind, one.rank) for one in events} == {("compute", rank), ("reduce", rank)}
        assert [one.label for one in events if one.kind == "reduce"] == ["gloo:all_reduce"]
        assert "aten::matmul" in {one.label for one in events}
        assert where(events)["exposed communication"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_what_does_not_fit_fails_with_torchs_own_error_and_what_fits_does_not(pool):
    def attempt(size):
        try:
            with small_memory.room_for(64 * 2**20):
                torch.ones(size // 4).sum()
        except RuntimeError as error:
            return "can't allocate memory" in str(error), torch.ones(size // 4).numel()
        return "fits"

    assert pool.run(attempt, 16 * 2**20, ranks=1) == ["fits"]
    assert pool.run(attempt, 256 * 2**20, ranks=1) == [(True, 64 * 2**20)]  # the limit is gone afterwards

    def plain(model, inputs, targets):
        loss = gpt.loss(model(inputs), targets)
        loss.backward()
        return loss.item()

    shape = Transformer(layers=6, hidden=256, heads=8, sequence=128, vocabulary=4096)
    (large,), (small,) = (pool.run(small_memory.step, plain, shape, batch, ranks=1) for batch in (16, 4))
    assert f"allocate {16 * 128 * 4096 * 4} bytes" in large  # the logits, as lesson 09 says
    assert re.fullmatch(r"loss 8\.\d{4}, gradient \d\.\d{4}, 18 GFLOP", small)


def test_ranks_that_learn_something_else_are_told(pool):
    batch = torch.arange(68).view(4, 17) % equal.SHAPE.vocabulary

    def alone():
        return learned(GPT(equal.SHAPE).double(), batch)

    def in_columns():
        return learned(tensor.split(GPT(equal.SHAPE).double()), batch)

    def each_its_own():
        return learned(GPT(equal.SHAPE).double(), batch[: dist.get_rank() + 1])

    whole = pool.run(alone, ranks=1)[0]
    assert re.search(r"\nrank 0 sent .* by all_reduce$", compared(pool.run(in_columns, ranks=2), whole))
    with pytest.raises(ValueError, match="learned something else"):
        compared(pool.run(each_its_own, ranks=2), whole)
