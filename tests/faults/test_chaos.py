"""Chaos on the real Slurm while a map of known result runs: right, each effect once, nothing left over."""

import contextlib
import os
import random
import signal
import subprocess
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from hpclab.cluster import Pool
from hpclab.cluster.errors import NodeLost
from tests.conftest import fail_node, jobs_left, until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def work(item):
    """0.1 s of work, then an effect that is there once or not at all: a file renamed into place."""
    number, folder = item
    begin = time.thread_time()
    while time.thread_time() - begin < 0.1:
        pass
    done = Path(folder) / f"{number}.txt"
    draft = done.with_suffix(f".{os.getpid()}.part")
    draft.write_text(f"{number * number}\n")
    with contextlib.suppress(FileExistsError):
        os.link(draft, done)  # refuses where it was done before: the effect is taken once
    draft.unlink()
    return number * number


def rage(pool, cluster, seconds, done):
    """For so long workers are killed at random, and for a time a node is drained and one without power.

    Nobody is killed before two tasks a node more are done (`done`), however slow the machine: an item that
    four kills met would not be tried again.
    """

    def scontrol(*words):
        subprocess.run(["scontrol", "update", "nodename=node1", *words], env=cluster.environment, check=True)

    plan = [
        (0.25, "drain", lambda: scontrol("state=drain", "reason=chaos")),
        (0.4, "power cut", lambda: fail_node(cluster, "node2")),
        (0.6, "drained no more", lambda: scontrol("state=resume")),
        (0.8, "power back", cluster.heal),
    ]
    begin, luck, did, before = time.monotonic(), random.Random(7), [], 0
    while plan or "kill" not in did or time.monotonic() < begin + seconds:
        while plan and time.monotonic() > begin + plan[0][0] * seconds:
            _, name, deed = plan.pop(0)
            deed()
            did.append(name)
        workers = pool.workers()
        if workers and pool.nodes > 1 and len(done) >= before + 2 * pool.nodes:
            before = len(done)
            os.kill(luck.choice(workers).pid, signal.SIGKILL)
            did.append("kill")
        time.sleep(luck.uniform(1.0, 2.0))
    return did


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seconds", [6.0, pytest.param(60.0, marks=pytest.mark.soak)])
def test_the_result_is_right_and_each_effect_taken_once(local_slurm, tmp_path, seconds):
    tmp_path.chmod(0o700)
    items = [(number, str(tmp_path)) for number in range(int(seconds * 6))]
    hands = ThreadPoolExecutor(1)
    with Pool(4, backend="slurm") as pool, hands, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        done, rounds = [], 0  # as often as the map was told of more tasks that are done
        chaos = hands.submit(rage, pool, local_slurm, seconds, done)
        while not chaos.done() or not rounds:
            values = pool.map(work, items, progress=lambda *counts: done.append(counts))
            assert values == [number * number for number, _ in items]
            rounds += 1
        assert {"kill", "drain", "power cut"} <= set(chaos.result())
        assert any(issubclass(warning.category, NodeLost) for warning in seen)
        bars = pool.trace.bars()
        assert sum(bars.values()) == pytest.approx(pool.trace.ranks * pool.trace.makespan, rel=0.05)
        name, directory = pool._nodes.name, pool._nodes.backend.directory
    files = sorted(tmp_path.iterdir())
    drafts = [file for file in files if file.suffix == ".part"]  # never a result; of writers that were killed
    assert not [draft for draft in drafts if Path(f"/proc/{draft.suffixes[-2][1:]}").exists()]
    assert len([file for file in files if file.suffix == ".txt"]) == len(items)
    assert jobs_left(local_slurm.environment, name) == []
    assert not directory.exists()
    lines = lambda: [" ".join(each.info["cmdline"] or []) for each in psutil.process_iter(["cmdline"])]  # noqa: E731
    until(lambda: not any(name in line for line in lines()), "no process of it is left")
