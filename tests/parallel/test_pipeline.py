"""Training in a pipeline on real ranks: loss and weights are those of one process, by whichever schedule."""

import pytest
import torch
import torch.distributed as dist

from hpclab import schedules
from hpclab.cluster import Pool
from hpclab.models.pipeline import measured
from hpclab.models.transformer import Transformer
from hpclab.parallel import pipeline as pp
from hpclab.workloads import gpt

pytestmark = pytest.mark.slow
BATCH = gpt.batches(torch.arange(1000) * 7919 % 32, 8, 8, 0)


def model(tied):
    return gpt.GPT(Transformer(8, 16, 2, 8, 32, tied=tied)).double()


def descend(*modules):
    for weight in {weight for module in modules for weight in module.parameters()}:
        weight.data -= 0.5 * weight.grad
        weight.grad = None


def compare(tied, by_torch):
    """On a rank: two steps by each schedule and in one process. In float64 only the order of sums differs."""
    whole, expected = model(tied), []
    for _ in range(2):
        expected.append(gpt.loss(whole(BATCH[0]), BATCH[1]))
        expected[-1].backward()
        descend(whole)
    for name, chunks in (("GPipe", 1), ("1F1B", 1), ("interleaved 1F1B", 2)):
        pipeline = schedules.pipeline(name, dist.get_world_size(), 4, chunks)
        stages = pp.cut(model(tied), pipeline.stages)[dist.get_rank() :: pipeline.ranks]
        library = pp.library(pipeline, stages) if by_torch else None
        for loss in expected:
            if library:
                library.step(BATCH[0], target=BATCH[1])
            else:
                assert pp.run(pipeline, stages, *BATCH) == pytest.approx(loss.item(), abs=1e-12)
            pp.sum_tied(stages)
            descend(*stages)
        mine = {key: weight for stage in stages for key, weight in stage.state_dict().items()}
        torch.testing.assert_close(mine, {key: whole.state_dict()[key] for key in mine}, rtol=0, atol=1e-12)


@pytest.fixture(scope="module")
def pool():
    with Pool(nodes=4, backend="local") as pool:
        yield pool


def test_two_and_four_ranks_train_as_one_process_by_our_own_schedules_and_by_torchs(pool):
    for ranks, tied, by_torch in ((2, False, False), (2, True, True), (4, True, False)):
        pool.run(compare, tied, by_torch, ranks=ranks)


@pytest.mark.slurm
def test_ranks_in_slurm_jobs_do_too(local_slurm):
    with Pool(nodes=2, backend="slurm") as pool:
        pool.run(compare, True, False)


def test_what_ranks_record_is_the_schedule_and_its_bytes(pool):
    pipeline = schedules.pipeline("1F1B", 2, 4)
    pool.run(lambda: pp.run(pipeline, pp.cut(model(True), 2)[dist.get_rank() :: 2], *BATCH), ranks=2)
    times, (sender, taker) = measured(pipeline, pool.trace), pipeline.messages.T
    assert (times.end[sender] <= times.start[taker]).all()
    sent = [event.bytes for event in pool.trace.events if event.kind == "send"]
    assert sent == [2 * 8 * 16 * 8] * len(sender)  # (micro-batch, length, hidden) of 8 bytes
    with pytest.raises(ValueError, match="with this very schedule"):
        measured(schedules.pipeline("1F1B", 2, 3), pool.trace)
