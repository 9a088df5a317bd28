"""Faults of a gang, caused for real: every rank ends, and the guilty one is named."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import warnings

import psutil
import pytest

from hpclab.cluster import Pool
from hpclab.cluster.errors import NodeLost, RankError, SlowRank
from tests.conftest import everywhere, gone, pool_at, until

pytestmark = pytest.mark.slow
RANKS, LIMIT = 4, 2.0  # of a collective; what took torch's own half hour would be ended by pytest
ALL = list(range(RANKS))


def pytest_generate_tests(metafunc):
    """What is done to a rank is the same wherever its node is; what ends the node itself is not."""
    everywhere(metafunc, {"test_killed", "test_the_worker_killed_under_its_rank"})


@pytest.fixture(scope="module")
def pool(request):
    with pool_at(request, RANKS) as pool:
        pool.run(os.getpid)
        yield pool


def family(pool):
    """The agents beside the workers, and the processes that they forked; one that has just ended is none."""
    agents = [
        child
        for worker in pool.workers()
        for child in psutil.Process(worker.pid).children()
        if "hpclab.cluster.gang.agent" in child.cmdline()
    ]
    return agents, [child for agent in agents for child in agent.children(recursive=True)]


def only_warm_children(pool, used=()):
    """Each agent has its next warm child and, once what was ended has gone, nothing else."""
    with contextlib.suppress(psutil.NoSuchProcess):  # one ended while we looked: look again
        agents, children = family(pool)
        if len(agents) == len(children) == pool.nodes and not {child.pid for child in children} & set(used):
            return agents + children
    return []


def reduce_rounds(rounds, guilty, deed):
    """All-reduce again and again; in the middle one rank does `deed`."""
    import torch
    import torch.distributed as dist

    for step in range(rounds):
        if step == rounds // 2 and dist.get_rank() == guilty:
            deed()
        dist.all_reduce(torch.ones(1000))
    return dist.get_rank()


def check(pool, deed, guilty, match):
    with pytest.raises(RankError, match=match) as raised:
        pool.run(reduce_rounds, 10, guilty, deed, timeout=LIMIT)
    assert raised.value.rank == guilty
    until(lambda: only_warm_children(pool), "nothing is left but the next ranks")
    assert pool.run(reduce_rounds, 4, -1, None) == ALL


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("guilty", [0, 2])
def test_killed(pool, guilty):
    check(pool, kill, guilty, "SIGKILL")


@pytest.mark.parametrize("guilty", [0, 1])
def test_stopped(pool, guilty):
    check(pool, lambda: os.kill(os.getpid(), signal.SIGSTOP), guilty, "stopped")


def test_left(pool):
    check(pool, lambda: os._exit(7), 1, "exit status 7")


def test_raised(pool):
    def deed():
        raise KeyError("the gradient of layer 7")

    with pytest.raises(RankError, match="layer 7") as raised:
        pool.run(reduce_rounds, 10, 1, deed, timeout=LIMIT)
    assert raised.value.rank == 1
    assert "in deed" in str(raised.value)  # the traceback is that of the rank


def test_a_skipped_collective_names_the_rank_and_all_sequence_numbers(pool):
    def skip(guilty):
        import torch
        import torch.distributed as dist

        dist.all_reduce(torch.ones(1))
        if dist.get_rank() != guilty:
            dist.all_reduce(torch.ones(1))

    with pytest.raises(RankError, match="returned without joining collective 2") as raised:
        pool.run(skip, 1, timeout=LIMIT)
    assert raised.value.rank == 1
    assert "rank 0: 2, rank 1: 1, rank 2: 2, rank 3: 2" in str(raised.value)


def test_a_rank_that_never_comes_is_named(pool):
    def loop(guilty):
        import torch
        import torch.distributed as dist

        dist.all_reduce(torch.ones(1))
        while dist.get_rank() == guilty:
            time.sleep(0.01)
        dist.all_reduce(torch.ones(1))

    with (
        pytest.warns(SlowRank, match="Rank 2 is slow"),
        pytest.raises(RankError, match="has not begun") as raised,
    ):
        pool.run(loop, 2, timeout=LIMIT)
    assert raised.value.rank == 2


def test_a_slow_rank_is_named_and_not_ended(pool):
    with pytest.warns(SlowRank, match="Rank 1 is slow"):
        assert pool.run(reduce_rounds, 4, 1, lambda: time.sleep(3), timeout=8.0) == ALL


def test_sends_between_two_ranks_do_not_look_like_a_missing_third(pool):
    def pairwise():
        import torch
        import torch.distributed as dist

        tensor = torch.ones(10)
        for _ in range(20):
            if dist.get_rank() == 0:
                dist.send(tensor, 1)
            elif dist.get_rank() == 1:
                dist.recv(tensor, 0)
        time.sleep(1.5)  # more than a quarter of the limit, after which a slow rank is named
        dist.barrier()

    with warnings.catch_warnings():
        warnings.simplefilter("error", SlowRank)
        pool.run(pairwise, timeout=4.0)


def test_the_worker_killed_under_its_rank(pool):
    def end_worker():
        os.kill(psutil.Process().parent().parent().pid, signal.SIGKILL)
        time.sleep(30)

    with pytest.raises(RankError, match="Rank 1") as raised:
        pool.run(reduce_rounds, 10, 1, end_worker, timeout=LIMIT)
    assert raised.value.rank == 1
    with pytest.warns(NodeLost):
        assert pool.run(reduce_rounds, 4, -1, None) == ALL


def test_the_agent_killed_under_its_rank(pool):
    def end_agent():
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(30)

    with pytest.raises(RankError, match="Rank 0"):
        pool.run(reduce_rounds, 10, 0, end_agent, timeout=LIMIT)
    assert pool.run(reduce_rounds, 4, -1, None) == ALL


def test_processes_that_a_rank_leaves_behind_are_ended(pool):
    def litter():
        import subprocess

        process = subprocess.Popen(["sleep", "300"], start_new_session=True)
        return process.pid

    pids = pool.run(litter)
    until(lambda: all(map(gone, pids)), "what the ranks left has ended")


def test_interrupted(pool):
    import _thread
    import threading

    threading.Timer(1.5, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        pool.run(time.sleep, 60)
    until(lambda: only_warm_children(pool), "nothing is left but the next ranks")
    assert pool.run(reduce_rounds, 4, -1, None) == ALL


def test_closing_leaves_no_agent_and_no_rank():
    with Pool(2, backend="local") as pool:
        ran = pool.run(os.getpid)
        watched = until(lambda: only_warm_children(pool, ran), "the next ranks are warm")
        watched += [psutil.Process(worker.pid) for worker in pool.workers()]
        directory = pool._nodes.backend.directory
    assert len(watched) == 6
    until(lambda: all(map(gone, watched)), "they have ended")
    assert not directory.exists()
