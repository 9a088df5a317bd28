"""Each process of a pool suspended (SIGSTOP) in turn, while it scales, maps and runs a gang.

Every call ends within its stated limit with the cause named, or is not kept, and
goes on where the process does.
"""

import contextlib
import os
import re
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest

from hpclab.cluster import Pool, repairs
from hpclab.cluster.errors import JoinError, NodeLost, RankError, SlowRank
from hpclab.cluster.slurm import SlurmError
from tests.conftest import until

JOIN, COLLECTIVE, SUSPENDED, SPARE = 25.0, 3.0, 4.0, 60.0  # limits, and what a busy machine may add to them


def work(number):
    begin = time.thread_time()
    while time.thread_time() - begin < 0.2:
        pass
    return number * number


def gang():
    import torch
    import torch.distributed as dist

    total = torch.ones(1)
    for _ in range(30):
        dist.all_reduce(total.fill_(1.0))
        time.sleep(0.1)
    return int(total)


CALLS = {
    "scale": lambda pool: pool.scale(3),
    "map": lambda pool: pool.map(work, range(12)),
    "run": lambda pool: pool.run(gang, timeout=COLLECTIVE),
}


def agent_of(pool):
    (agent,) = [
        child
        for child in psutil.Process(pool.workers()[1].pid).children()
        if "hpclab.cluster.gang.agent" in child.cmdline()
    ]
    return agent


def daemon(name):
    return lambda pool: [pool.slurm_of_the_test.process(name).pid]


def idle_slurmds(pool):
    """Of all nodes that the pool has not, as Slurm may choose any of them for its next."""
    taken = {job.node_list for job in pool.jobs()}
    nodes = [name for name in pool.slurm_of_the_test.shape.names if name not in taken]
    return [pool.slurm_of_the_test.process(name).pid for name in nodes]


PROCESSES = {
    "worker": lambda pool: [pool.workers()[1].pid],
    "agent": lambda pool: [agent_of(pool).pid],
    "rank": lambda pool: [until(agent_of(pool).children, "the agent has a child")[0].pid],
    "watchdog": lambda pool: [pool._nodes.guard._process.pid],
    "slurmctld": daemon("slurmctld"),
    "slurmd": idle_slurmds,
    "munged": daemon("munged"),
}
DAEMONS = ("slurmctld", "slurmd", "munged")
# What comes of a call whose process is never woken; of all others the right result.
ENDS = {
    ("worker", "run"): (RankError, r"Rank 1 was stopped \(its worker is suspended"),
    ("agent", "run"): (RankError, r"Rank 1 was stopped \(its agent is suspended"),
    ("rank", "run"): (RankError, r"Rank 1 was stopped \(its process is suspended"),
    ("slurmctld", "scale"): (SlurmError, "slurmctld is stopped"),
    ("munged", "scale"): (SlurmError, "munged is stopped"),
    ("slurmd", "scale"): (JoinError, r"node\d is stopped"),
}
QUICK = {("local", "worker", "map"), ("local", "agent", "run"), ("slurm", "slurmctld", "scale")}


def cases():
    for backend in ("local", "slurm"):
        slurm = [pytest.mark.slurm] if backend == "slurm" else []
        for process in PROCESSES:
            for call in CALLS if process not in DAEMONS or slurm else ():
                soak = pytest.mark.slow if (backend, process, call) in QUICK else pytest.mark.soak
                yield pytest.param(backend, process, call, marks=[*slurm, soak])


@pytest.fixture
def pool(request, monkeypatch):
    """Two nodes, with their agents where these play a part."""
    monkeypatch.setattr(repairs, "SUSPENDED", SUSPENDED)
    backend = request.node.callspec.params["backend"]
    slurm = request.getfixturevalue("local_slurm") if backend == "slurm" else None
    stopped = []
    with Pool(2, backend=backend) as pool:
        pool._nodes.request = replace(pool._nodes.request, join_timeout=JOIN)
        pool.slurm_of_the_test, pool.stopped_by_the_test = slurm, stopped
        if {"run", "agent", "rank"} & set(request.node.callspec.params.values()):
            pool.run(os.getpid)
        try:
            yield pool
        finally:
            for pid in stopped:
                if psutil.pid_exists(pid):
                    os.kill(pid, signal.SIGCONT)


def during(pool, call, process):
    """`call`, with `process` stopped: before a scale, which is soon over, else in the midst; a Future."""

    def stop():
        for pid in PROCESSES[process](pool):
            pool.stopped_by_the_test.append(pid)
            os.kill(pid, signal.SIGSTOP)

    if call == "scale":
        stop()
    hands = ThreadPoolExecutor(1)
    outcome = hands.submit(CALLS[call], pool)
    hands.shutdown(wait=False)
    if call != "scale":
        time.sleep(1.0)
        stop()
    return outcome


def right(pool, call, value):
    if call == "scale":
        return pool.nodes == 3
    return value == [n * n for n in range(12)] if call == "map" else value == [2, 2]


def ended(outcome):
    """What the call came to, or its error; it has a limit, and so an end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (NodeLost, SlowRank))
        error = outcome.exception(JOIN + SUSPENDED + COLLECTIVE + SPARE)
    return error or outcome.result()


@pytest.mark.parametrize("woken", [False, pytest.param(True, marks=pytest.mark.soak)])
@pytest.mark.parametrize(("backend", "process", "call"), list(cases()))
def test_stopped_for_good_or_woken(backend, process, call, pool, woken):
    outcome = during(pool, call, process)
    if woken:
        time.sleep(2.0)
        for pid in pool.stopped_by_the_test:
            with contextlib.suppress(ProcessLookupError):  # an agent of before may be gone already
                os.kill(pid, signal.SIGCONT)
    value = ended(outcome)
    if woken and isinstance(value, SlurmError):  # said at once, without waiting for a daemon to be woken
        assert "is stopped" in str(value)
    elif (process, call) in ENDS and not woken:
        kind, words = ENDS[process, call]
        assert isinstance(value, kind), value
        assert re.search(words, str(value)), value
    else:
        assert not isinstance(value, BaseException), value
        assert right(pool, call, value)


@pytest.mark.parametrize(
    "call",
    [pytest.param(call, marks=pytest.mark.slow if call == "map" else pytest.mark.soak) for call in CALLS],
)
def test_the_notebook_with_its_scheduler_stopped_and_woken(call, start):
    """Nobody can be told meanwhile; afterwards the call goes on, and no limit has run in its sleep."""
    process = start(f"""
        import sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        import test_suspended as test
        import cloudpickle
        cloudpickle.register_pickle_by_value(test)
        from hpclab.cluster import Pool
        with Pool(2, backend="local") as pool:
            pool.run(int)
            print("begins", flush=True)
            value = test.CALLS[{call!r}](pool)
            print(test.right(pool, {call!r}, value), flush=True)
    """)
    assert process.stdout.readline() == "begins\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGSTOP)
    time.sleep(COLLECTIVE + 1)
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=JOIN + SPARE)
    assert said == "True\n"
