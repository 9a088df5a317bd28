"""Chaos on the real Slurm while a map of known result runs: right, each effect once, nothing left over."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
import warnings
from pathlib import Path

import psutil
import pytest

from hpclab.cluster import Pool
from hpclab.cluster.errors import NodeLost
from tests.conftest import jobs_left, until

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


class Chaos(threading.Thread):
    """For `seconds`: kills workers at random, drains a node, cuts another's power and later undoes both."""

    def __init__(self, pool, cluster, seconds):
        super().__init__(daemon=True)
        self.pool, self.cluster, self.seconds = pool, cluster, seconds
        self.did: list[str] = []
        self.error: BaseException | None = None

    def scontrol(self, *words):
        subprocess.run(["scontrol", "update", *words], env=self.cluster.environment, check=True)

    def run(self):
        try:
            self.rage()
        except BaseException as error:
            self.error = error

    def rage(self):
        begin, luck = time.monotonic(), random.Random(7)
        plan = [(0.25, self.drain), (0.4, self.power_cut), (0.6, self.undrain), (0.8, self.power_back)]
        while (now := (time.monotonic() - begin) / self.seconds) < 1:
            while plan and now > plan[0][0]:
                plan.pop(0)[1]()
            workers = self.pool.workers()
            if workers and self.pool.nodes > 1:
                os.kill(luck.choice(workers).pid, signal.SIGKILL)
                self.did.append("kill")
            time.sleep(luck.uniform(1.0, 2.0))
        for _, deed in plan:
            deed()

    def drain(self):
        self.scontrol("nodename=node1", "state=drain", "reason=chaos")
        self.did.append("drain")

    def undrain(self):
        self.scontrol("nodename=node1", "state=resume")

    def power_cut(self):
        self.cluster.fail_node("node2")
        self.did.append("power cut")

    def power_back(self):
        self.cluster.restore_node("node2")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seconds", [6.0, pytest.param(60.0, marks=pytest.mark.soak)])
def test_the_result_is_right_and_each_effect_taken_once(local_slurm, tmp_path, seconds):
    tmp_path.chmod(0o700)
    items = [(number, str(tmp_path)) for number in range(int(seconds * 6))]
    with Pool(4, backend="slurm") as pool, warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        chaos = Chaos(pool, local_slurm, seconds)
        chaos.start()
        values, rounds = [], 0
        while chaos.is_alive() or not rounds:
            values = pool.map(work, items)
            assert values == [number * number for number, _ in items]
            rounds += 1
        chaos.join()
        if chaos.error:
            raise chaos.error
        assert {"kill", "drain", "power cut"} <= set(chaos.did)
        assert any(issubclass(warning.category, NodeLost) for warning in seen)
        bars = pool.trace.bars()
        assert sum(bars.values()) == pytest.approx(pool.trace.ranks * pool.trace.makespan, rel=0.05)
        name, directory = pool._nodes.name, pool._nodes.backend.directory
    files = sorted(tmp_path.iterdir())
    assert [file for file in files if file.suffix == ".part" and not _orphan(file)] == []
    assert len([file for file in files if file.suffix == ".txt"]) == len(items)
    assert jobs_left(local_slurm.environment, name) == []
    assert not directory.exists()
    until(lambda: _who_mentions(name) == [], "no process of it is left")


def _orphan(draft: Path) -> bool:
    """A draft whose writer was killed between writing and linking; never a result."""
    return not Path(f"/proc/{draft.suffixes[-2][1:]}").exists()


def _who_mentions(name: str) -> list[list[str]]:
    return [
        p.info["cmdline"]
        for p in psutil.process_iter(["cmdline", "status"])
        if p.info["status"] != psutil.STATUS_ZOMBIE and name in " ".join(p.info["cmdline"] or [])
    ]
