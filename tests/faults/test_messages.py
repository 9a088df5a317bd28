"""Faults inside an executed schedule and in a ring of the learner's own: the guilty rank is named."""

import os
import signal
import time
from contextlib import nullcontext

import pytest

from hpclab.cluster import Pool
from hpclab.cluster.errors import RankError, SlowRank

pytestmark = pytest.mark.slow
RANKS, LIMIT = 4, 2.0


@pytest.fixture(scope="module")
def pool():
    with Pool(RANKS, backend="local") as pool:
        pool.run(os.getpid)
        yield pool


def executed(algorithm, guilty, deed):
    """Three all-reduces of a schedule; in the second the guilty rank does `deed` before its second step."""
    import torch
    import torch.distributed as dist

    from hpclab import schedules
    from hpclab.parallel.execution import Execution
    from hpclab.parallel.transports import TorchTransport

    class Faulty(TorchTransport):
        steps = 0

        def exchange(self, sends, receives):
            self.steps += 1
            if self.steps == len(run.steps) + 2 and self.rank == guilty:
                deed()
            super().exchange(sends, receives)

    schedule = schedules.collective("all_reduce", algorithm, dist.get_world_size(), 1000)
    run = Execution(schedule, Faulty())
    for _ in range(3):
        buffer = torch.ones(1000)
        run(buffer)
    return buffer.sum().item()


def test_in_the_midst_of_a_schedule(pool):
    for guilty, deed, words in (
        (2, lambda: os.kill(os.getpid(), signal.SIGKILL), "Rank 2 is gone.*SIGKILL"),
        (3, lambda: time.sleep(60), "Rank 3 has not"),
    ):
        slow = pytest.warns(SlowRank, match="Rank 3 is slow") if guilty == 3 else nullcontext()
        with slow, pytest.raises(RankError, match=words) as raised:
            pool.run(executed, "ring", guilty, deed, timeout=LIMIT)
        assert raised.value.rank == guilty
    assert pool.run(executed, "ring", -1, None) == [1000.0 * RANKS] * RANKS


def ring(guilty):
    """A learner's own, which one rank leaves early."""
    import torch
    import torch.distributed as dist

    rank, ranks = dist.get_rank(), dist.get_world_size()
    for _ in range(ranks - (2 if rank == guilty else 1)):
        receive = dist.irecv(torch.empty(100), (rank - 1) % ranks)
        send = dist.isend(torch.ones(100), (rank + 1) % ranks)
        receive.wait()
        send.wait()


def test_a_rank_that_returns_too_early(pool):
    with pytest.raises(RankError, match="Rank 1 returned without having") as raised:
        pool.run(ring, 1, timeout=LIMIT)
    assert raised.value.rank == 1


def test_sends_that_all_wait_for_each_other_are_told_before_the_limit(pool, capsys):
    def exchange(size, first, between):
        import torch
        import torch.distributed as dist

        other = dist.get_rank() ^ 1
        sending = first(torch.ones(size), other)
        time.sleep(between)
        dist.recv(torch.ones(size), other)
        if sending is not None:
            sending.wait()

    from torch.distributed import isend, send

    for ranks in (None, 2):
        with pytest.raises(RankError, match="in a circle"):
            pool.run(exchange, 4_000_000, send, 0, ranks=ranks, timeout=LIMIT)
    # Who computes after a small message is in no deadlock.
    pool.run(exchange, 1, isend, 2, ranks=2, timeout=LIMIT)
    said = [line for line in capsys.readouterr().out.splitlines() if "deadlock" in line]
    assert len(said) == 2  # one of each run
    assert "Rank 0 waits for rank 1 to receive; rank 1 waits for rank 0 to receive." in said[-1]
