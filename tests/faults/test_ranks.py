"""Faults of a gang, caused for real: every rank ends, and the guilty one is named."""

import contextlib
import os
import signal
import time

import psutil
import pytest

from hpclab.cluster.errors import NodeLost, RankError, SlowRank
from tests.conftest import everywhere, gone, pool_at, until

pytestmark = pytest.mark.slow
RANKS, LIMIT = 4, 3.0  # of a collective; what took torch's own half hour would be ended by pytest
ALL = list(range(RANKS))


def pytest_generate_tests(metafunc):
    """What is done to a rank is the same wherever its node is; what ends the node itself is not."""
    everywhere(metafunc, {"test_killed", "test_what_a_rank_stands_on_killed_under_it"})


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


def only_warm_children(pool):
    """Each agent has its next warm child and, once what was ended has gone, nothing else."""
    with contextlib.suppress(psutil.NoSuchProcess):  # one ended while we looked: look again
        agents, children = family(pool)
        return len(agents) == len(children) == pool.nodes
    return False


def reduce_rounds(rounds, guilty, deed):
    """All-reduce again and again; in the middle one rank does `deed`."""
    import torch
    import torch.distributed as dist

    for step in range(rounds):
        if step == rounds // 2 and dist.get_rank() == guilty:
            deed()
        dist.all_reduce(torch.ones(1000))
    return dist.get_rank()


def check(pool, deed, guilty, words):
    with pytest.raises(RankError, match=words) as raised:
        pool.run(reduce_rounds, 10, guilty, deed, timeout=LIMIT)
    assert raised.value.rank == guilty
    until(lambda: only_warm_children(pool), "nothing is left but the next ranks")
    assert pool.run(reduce_rounds, 4, -1, None) == ALL
    return raised.value


@pytest.mark.parametrize("guilty", [0, 2])
def test_killed(pool, guilty):
    check(pool, lambda: os.kill(os.getpid(), signal.SIGKILL), guilty, "SIGKILL")


def test_stopped_left_or_raised(pool):
    def deed():
        raise KeyError("the gradient of layer 7")

    for guilty in (0, 1):
        check(pool, lambda: os.kill(os.getpid(), signal.SIGSTOP), guilty, "stopped")
    check(pool, lambda: os._exit(7), 1, "exit status 7")
    error = check(pool, deed, 1, "layer 7")
    assert "in deed" in str(error)  # the traceback is that of the rank
    assert isinstance(error.__cause__, KeyError)


def test_a_skipped_collective_names_the_rank_and_all_sequence_numbers(pool):
    def skip(guilty):
        import torch
        import torch.distributed as dist

        for _ in range(20):  # messages between two ranks are no collective
            if dist.get_rank() == 0:
                dist.send(torch.ones(10), 1)
            elif dist.get_rank() == 1:
                dist.recv(torch.ones(10), 0)
        dist.all_reduce(torch.ones(1))
        if dist.get_rank() != guilty:
            dist.all_reduce(torch.ones(1))

    with pytest.raises(RankError, match="returned without joining collective 2") as raised:
        pool.run(skip, 1, timeout=LIMIT)
    assert raised.value.rank == 1
    assert "rank 0: 2, rank 1: 1, rank 2: 2, rank 3: 2" in str(raised.value)


def test_a_slow_rank_is_named_and_one_that_never_comes_ended(pool):
    with pytest.warns(SlowRank, match="Rank 1 is slow"):
        assert pool.run(reduce_rounds, 4, 1, lambda: time.sleep(3), timeout=8.0) == ALL
    with pytest.warns(SlowRank, match="Rank 2 is slow"):
        check(pool, lambda: time.sleep(60), 2, "has not begun")


@pytest.mark.parametrize("up", [1, 2], ids=["agent", "worker"])
def test_what_a_rank_stands_on_killed_under_it(pool, up):
    def end_it():
        os.kill(psutil.Process().parents()[up - 1].pid, signal.SIGKILL)
        time.sleep(30)

    with pytest.raises(RankError, match="Rank 1") as raised:
        pool.run(reduce_rounds, 10, 1, end_it, timeout=LIMIT)
    assert raised.value.rank == 1
    with pytest.warns(NodeLost) if up == 2 else contextlib.nullcontext():
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
