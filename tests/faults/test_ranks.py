"""Faults of a gang, caused for real: every rank ends within the limit, and the guilty one is named."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import warnings
from pathlib import Path

import psutil
import pytest

from hpclab.cluster import Pool
from hpclab.cluster.errors import NodeLost, RankError, SlowRank

pytestmark = pytest.mark.slow
RANKS, LIMIT = 4, 3.0
ALL = list(range(RANKS))
EVERYWHERE = [
    {"backend": "local"},
    pytest.param({"backend": "slurm"}, marks=pytest.mark.slurm),
    pytest.param({"backend": "slurm", "allocation": "single"}, marks=pytest.mark.slurm),
]


@pytest.fixture(scope="module", params=EVERYWHERE, ids=["local", "slurm", "single"])
def pool(request):
    with pytest.MonkeyPatch.context() as patch:
        if request.param["backend"] == "slurm":
            request.getfixturevalue("_shared_cluster")
            patch.setenv("HPCLAB_STATE_DIR", str(request.getfixturevalue("local_slurm_home")))
        pool = Pool(RANKS, **request.param)
    with pool:
        pool.run(os.getpid)
        yield pool


def ranks_alive(pool):
    """Processes that agents forked and that are running a function (a waiting child has no torch group)."""
    agents = [
        child
        for worker in pool.workers()
        for child in psutil.Process(worker.pid).children()
        if "hpclab.cluster.gang.agent" in child.cmdline()
    ]
    return agents, [child for agent in agents for child in agent.children(recursive=True)]


def only_warm_children(pool):
    """Each agent has its next warm child and, once what was ended has gone, nothing else."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.NoSuchProcess):  # one ended while we looked: look again
            agents, children = ranks_alive(pool)
            if len(agents) == len(children) == RANKS:
                return True
        time.sleep(0.1)
    return False


def slowness(pool):
    """Ten times what a run without a fault takes, in seconds: little on a quiet machine."""
    begin = time.monotonic()
    assert pool.run(reduce_rounds, 4, -1, None) == ALL
    return 10 * (time.monotonic() - begin)


def reduce_rounds(rounds, guilty, deed):
    """All-reduce again and again; in the middle one rank does `deed`."""
    import torch
    import torch.distributed as dist

    for step in range(rounds):
        if step == rounds // 2 and dist.get_rank() == guilty:
            deed()
        dist.all_reduce(torch.ones(1000))
    return dist.get_rank()


def alive(pid):
    """Whether the process is there and not only a dead one that nobody has reaped yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def check(pool, deed, guilty, match, limit):
    limit += slowness(pool)
    begin = time.monotonic()
    with pytest.raises(RankError, match=match) as raised:
        pool.run(reduce_rounds, 10, guilty, deed, timeout=LIMIT)
    assert raised.value.rank == guilty
    assert time.monotonic() - begin < limit
    assert only_warm_children(pool)
    assert pool.run(reduce_rounds, 4, -1, None) == ALL


@pytest.mark.parametrize("guilty", [0, 2])
def test_killed(pool, guilty):
    check(pool, lambda: os.kill(os.getpid(), signal.SIGKILL), guilty, "SIGKILL", LIMIT + 4)


def test_left(pool):
    check(pool, lambda: os._exit(7), 1, "exit status 7", LIMIT + 4)


@pytest.mark.parametrize("guilty", [0, 1])
def test_stopped(pool, guilty):
    check(pool, lambda: os.kill(os.getpid(), signal.SIGSTOP), guilty, "stopped", LIMIT + 6)


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

    limit = LIMIT + 5 + slowness(pool)
    begin = time.monotonic()
    with pytest.raises(RankError, match="returned without joining collective 2") as raised:
        pool.run(skip, 1, timeout=LIMIT)
    assert raised.value.rank == 1
    assert "rank 0: 2, rank 1: 1, rank 2: 2, rank 3: 2" in str(raised.value)
    assert time.monotonic() - begin < limit


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
        assert pool.run(reduce_rounds, 4, 1, lambda: time.sleep(5), timeout=12.0) == ALL


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
        time.sleep(2.5)
        dist.barrier()

    with warnings.catch_warnings():
        warnings.simplefilter("error", SlowRank)
        pool.run(pairwise, timeout=4.0)


def test_the_worker_killed_under_its_rank(pool):
    def end_worker():
        os.kill(psutil.Process().parent().parent().pid, signal.SIGKILL)
        time.sleep(30)

    limit = LIMIT + 5 + slowness(pool)
    begin = time.monotonic()
    with pytest.raises(RankError, match="Rank 1") as raised:
        pool.run(reduce_rounds, 10, 1, end_worker, timeout=LIMIT)
    assert raised.value.rank == 1
    assert time.monotonic() - begin < limit
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
    deadline = time.monotonic() + 30
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids))


def test_interrupted(pool):
    import _thread
    import threading

    limit = 8 + slowness(pool)
    timer = threading.Timer(1.5, _thread.interrupt_main)
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pool.run(time.sleep, 60)
    assert time.monotonic() - begin < limit
    assert only_warm_children(pool)
    assert pool.run(reduce_rounds, 4, -1, None) == ALL


def test_closing_leaves_no_agent_and_no_rank():
    with Pool(2, backend="local") as pool:
        ran, deadline = pool.run(os.getpid), time.monotonic() + 30
        agents, children, warm = [], [], []
        while len(warm) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)  # until the next warm children are there; those that ran may still be ending
            with contextlib.suppress(psutil.NoSuchProcess):
                agents, children = ranks_alive(pool)
            warm = [child for child in children if child.pid not in ran]
        watched = [psutil.Process(worker.pid) for worker in pool.workers()] + agents + warm
        directory = pool._nodes.backend.directory
    _, alive = psutil.wait_procs(watched, timeout=30)
    assert len(watched) == 6
    assert alive == []
    assert not Path(directory).exists()
