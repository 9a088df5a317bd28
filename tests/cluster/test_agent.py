"""The agent by itself: a program on two pipes."""

import subprocess
import sys

import pytest

from hpclab.cluster.gang import frames
from hpclab.cluster.maps import tasks
from tests.conftest import gone, until

pytestmark = pytest.mark.slow


@pytest.fixture
def agent():
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
