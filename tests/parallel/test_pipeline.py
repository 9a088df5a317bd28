"""Training in a pipeline on real ranks: loss and weights are those of one process, by whichever schedule."""

import pytest
import torch

from hpclab import schedules
from hpclab.cluster import Pool
from hpclab.models.pipeline import measured
from hpclab.models.transformer import Transformer
from hpclab.schedules.pipelines import KINDS
from hpclab.workloads import gpt
from tests.conftest import pool_at

pytestmark = pytest.mark.slow

CASES = [("GPipe", 1), ("1F1B", 1), ("interleaved 1F1B", 2), ("ZB-H1", 1)]
TOLERANCE = 1e-12  # float64: only the order of sums differs


def model(tied):
    return gpt.GPT(Transformer(8, 16, 2, 8, 32, tied=tied)).double()


def batch(step):
    return gpt.batches(torch.arange(1000) * 7919 % 32, 8, 8, step)


def in_one_process(tied=True, steps=2):
    """Losses and weights after two steps."""
    whole = model(tied)
    adam, losses = torch.optim.AdamW(whole.parameters(), 0.01), []
    for step in range(steps):
        tokens, targets = batch(step)
        loss = gpt.loss(whole(tokens), targets)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, whole.state_dict()


def in_a_pipeline(cases, tied=True, steps=2):
    """By schedule, (chunks, by torch's own) this rank's losses and weights."""
    import torch.distributed as dist

    from hpclab.parallel import pipeline as pp

    found = {}
    for name, chunks, library in cases:
        pipeline = schedules.pipeline(name, dist.get_world_size(), 4, chunks)
        stages = pp.cut(model(tied), pipeline.stages)[dist.get_rank() :: pipeline.ranks]
        parameters = [one for stage in stages for one in stage.parameters()]
        adam, losses = torch.optim.AdamW(parameters, 0.01), []
        theirs = pp.library(pipeline, stages) if library else None
        for step in range(steps):
            adam.zero_grad()
            if theirs:
                each = []
                theirs.step(batch(step)[0], target=batch(step)[1], losses=each)
                losses.append(torch.stack(each).mean().item() if each else None)
            else:
                losses.append(pp.run(pipeline, stages, *batch(step)))
            pp.sum_tied(stages)
            adam.step()
        found[name, library] = losses, {k: v for stage in stages for k, v in stage.state_dict().items()}
    return found


def check(ranks, cases, tied=True):
    losses, weights = in_one_process(tied)
    for name, _, library in cases:
        parts = [rank[name, library] for rank in ranks]
        for said, _ in parts:
            if not library or said[0] is not None:
                assert said == pytest.approx(losses, abs=TOLERANCE), (name, library)
        assert set().union(*(mine for _, mine in parts)) == set(weights)
        for _, mine in parts:
            for key, value in mine.items():
                torch.testing.assert_close(value, weights[key], rtol=0, atol=TOLERANCE, msg=f"{name} {key}")


@pytest.fixture(scope="module")
def pool():
    with Pool(nodes=4, backend="local") as pool:
        yield pool


@pytest.mark.parametrize(("ranks", "tied"), [(2, False), (4, True)])
def test_it_is_training_in_one_process_by_our_own_and_by_torchs(pool, ranks, tied):
    cases = [(*case, False) for case in CASES] + [(*case, True) for case in CASES[:3]]
    check(pool.run(in_a_pipeline, cases, tied, ranks=ranks), cases, tied)
