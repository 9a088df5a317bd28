"""Gangs: what a learner's function may count on, and the agent beside each worker."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from hpclab import trace
from hpclab.cluster import Pool
from hpclab.cluster.errors import PoolError, RankError
from hpclab.cluster.gang import frames
from hpclab.cluster.maps import tasks
from tests.conftest import gone, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool():
    with Pool(2, backend="local") as pool:
        yield pool


def test_ranks_are_clean_between_runs(pool):
    def dirty():
        import random

        import torch

        torch.left_behind = True
        os.environ["LEFT_BEHIND"] = "yes"
        return os.getppid(), os.getpid(), random.random(), torch.rand(1).item()

    def look():
        import torch

        return hasattr(torch, "left_behind") or "LEFT_BEHIND" in os.environ

    ranks = [*pool.run(dirty), *pool.run(dirty)]
    assert pool.run(look) == [False, False]
    assert len({agent for agent, *_ in ranks}) == 2  # no fresh interpreter with torch for each run
    draws = [draw for _, *rank in ranks for draw in rank]
    assert len(set(draws)) == len(draws) == 12  # four processes, no two alike


def test_what_an_optimizer_loads_is_there_for_the_next_rank(pool):
    def train():
        import sys

        import torch

        loaded = "torch._dynamo" in sys.modules
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
        return loaded

    agents = pool.run(os.getppid)
    assert pool.run(train, ranks=1) == [False]
    assert pool.run(train) == [True, False]
    # No gang begins while another's agent still loads it, which would take a core from it.
    assert pool.run(lambda: [len(psutil.Process(one).children()) for one in agents], ranks=1) == [[1, 1]]
    assert pool.run(train) == [True, True]


def test_loader_workers_and_signal_handlers_work(pool):
    def load():
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        caught = []
        signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
        os.kill(os.getpid(), signal.SIGUSR1)
        loader = DataLoader(TensorDataset(torch.arange(10.0)), batch_size=5, num_workers=2)
        return sum(float(batch.sum()) for (batch,) in loader), len(caught)

    assert pool.run(load) == [(45.0, 1), (45.0, 1)]


def test_prints_arrive_with_their_rank_and_endless_ones_are_cut(pool, capsys):
    def flood():
        print("hello from", os.environ["RANK"])
        for _ in range(200_000):
            print("x" * 99)

    pool.run(flood)
    out = capsys.readouterr().out
    assert "[rank 0] hello from 0\n" in out
    assert "[rank 1] hello from 1\n" in out
    assert len(out) < 400_000
    assert "left out" in out


def test_a_value_that_cannot_be_sent_and_more_ranks_than_nodes_are_told(pool):
    with pytest.raises(RankError, match="cannot be sent back"):
        pool.run(lambda: (number for number in range(3)))
    with pytest.raises(PoolError, match=r"pool.scale\(3\)"):
        pool.run(os.getpid, ranks=3)
    assert [len(value) for value in pool.run(bytes, 5_000_000)] == [5_000_000] * 2


def test_marks_and_bars(pool):
    def step():
        begin = time.monotonic()
        with trace.record("reduce"):
            time.sleep(0.3)
        return time.monotonic() - begin

    around = pool.run(step)
    bars = pool.trace.bars()
    assert 0.59 < bars["transfer"] < sum(around) + 0.01
    assert sum(bars.values()) == pytest.approx(2 * pool.trace.makespan, rel=1e-6)


@pytest.fixture
def agent():
    """The agent by itself: a program on two pipes."""
    words = [sys.executable, "-m", "hpclab.cluster.gang.agent", "127.0.0.1"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.said = frames.read(process.stdout.fileno())
        yield process
        process.kill()


def hear(agent, word):
    return next(message for message in agent.said if message[0] == word)


@pytest.mark.parametrize("end", [lambda agent: agent.stdin.close(), lambda agent: agent.kill()])
def test_it_ends_with_its_pipe_or_is_killed_and_takes_its_rank_along(agent, end):
    _, pid, port = hear(agent, "ready")
    environment = {
        "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    program = "import time; print('it runs', flush=True); time.sleep(60)"
    frames.write(agent.stdin.fileno(), ("run", environment, 5.0, tasks.pack((exec, (program,)))))
    hear(agent, "print")
    end(agent)
    agent.wait(60)
    until(lambda: gone(pid), "its rank has ended")


def test_messages_in_any_pieces():
    sent = [("a", 1), ("b", b"x" * 1000), ("c", {"d": [2]})]
    stream = b"".join(map(frames.frame, sent))
    for size in (1, 7, 64, len(stream)):
        inbox, got = frames.Frames(), []
        for start in range(0, len(stream), size):
            got += inbox.feed(stream[start : start + size])
        assert got == sent
