"""Fault 4 under a pool: Slurm's daemons end while it works.

What can run on runs on with the right result, no job runs twice, and what cannot go on says why.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

import pytest

from hpclab.cluster import Pool, slurm, watchdog
from hpclab.cluster import local_slurm as up_and_down
from hpclab.cluster.errors import Cancelled, JoinError, NodeLost
from hpclab.cluster.slurm import SlurmError

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Slurm of three nodes for this file, whose daemons may be ended."""
    with pytest.MonkeyPatch.context() as patch:
        place = Path(f"/tmp/hpl-daemons-{os.getpid()}")
        patch.setenv("HPCLAB_STATE_DIR", str(place))
        patch.delenv("SLURM_CONF", raising=False)
        try:
            yield up_and_down.up(nodes=3)
        finally:
            up_and_down.down()
        assert not place.exists() or not list(place.iterdir())
        place.rmdir() if place.exists() else None


@pytest.fixture(autouse=True)
def _whole(request):
    """Whatever a test broke is mended and its jobs are gone before the next."""
    yield
    if "cluster" in request.fixturenames:
        cluster = request.getfixturevalue("cluster")
        for name in cluster.daemons:
            if process := cluster.process(name):
                process.send(signal.SIGCONT)
        cluster.heal()
        client = slurm.connect(export=False)
        until(lambda: quietly(client.queue) == [], 15)
        until(lambda: [node.state for node in quietly(client.nodes)] == ["idle"] * 3, 30)


def work(item):
    """A tenth of a second of work and a line that tells that it was done."""
    number, journal = item
    begin = time.thread_time()
    while time.thread_time() - begin < 0.1:
        pass
    with open(journal, "a") as file:
        file.write(f"{number}\n")
    return number * number


def end(cluster, name, how=signal.SIGKILL):
    process = cluster.process(name)
    process.send(how)
    if how == signal.SIGKILL:
        until(lambda: "ended with signal" in cluster.daemons[name])


def let_it_write(cluster):
    """slurmctld writes its state down every few seconds, ten at most; what is newer dies with it."""
    now, state = time.time(), cluster.directory / "state" / "job_state"
    while time.time() < now + 12 and not (state.exists() and state.stat().st_mtime > now):
        time.sleep(0.1)


def until(ready, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def quietly(ask):
    try:
        return ask()
    except SlurmError:
        return None


class While(threading.Thread):
    """Does the deeds while the test maps, a pause after each; `done` are those it came to."""

    def __init__(self, *deeds, pause=1.0):
        super().__init__(daemon=True)
        self.deeds, self.pause, self.done = deeds, pause, []
        self.start()

    def run(self):
        for deed in self.deeds:
            time.sleep(self.pause)
            deed()
            self.done.append(deed)


@pytest.mark.parametrize("daemon", ["slurmctld", "munged"])
def test_a_map_runs_on_while_a_daemon_is_killed_and_started_again(cluster, tmp_path, daemon):
    journal = tmp_path / "journal"
    items = [(number, str(journal)) for number in range(60)]
    with Pool(2, backend="slurm") as pool:
        before = pool.workers()
        if daemon == "slurmctld":
            let_it_write(cluster)
        deeds = While(lambda: end(cluster, daemon), cluster.heal)
        with warnings.catch_warnings():
            warnings.simplefilter("error", NodeLost)
            assert pool.map(work, items) == [number * number for number, _ in items]
        assert len(deeds.done) == 2, "the map was over too soon to see anything"
        assert Counter(journal.read_text().split()) == Counter(str(number) for number, _ in items)
        assert pool.workers() == before
        until(lambda: {job.state for job in quietly(pool.jobs) or []} == {"RUNNING"})
        assert {str(job.id) for job in pool.jobs()} == {worker.job_id for worker in before}
        pool.scale(3)
        assert pool.map(work, items[:9]) == [number * number for number in range(9)]
        ids = {int(worker.job_id) for worker in pool.workers()}
    client = slurm.connect(export=False)
    until(lambda: ids <= {job.id for job in client.history()})
    assert all(
        count == 1 for number, count in Counter(j.id for j in client.history()).items() if number in ids
    )


def test_a_node_lost_without_slurmctld_is_replaced_once_it_is_back(cluster, tmp_path):
    items = [(number, str(tmp_path / "journal")) for number in range(40)]
    with Pool(2, backend="slurm") as pool:
        let_it_write(cluster)
        kept = pool.workers()[1]
        deeds = While(
            lambda: end(cluster, "slurmctld"),
            lambda: os.kill(pool.workers()[0].pid, signal.SIGKILL),
            pause=0.5,
        )
        begin = time.monotonic()
        with pytest.warns(NodeLost) as seen:
            assert pool.map(work, items) == [number * number for number, _ in items]
        assert time.monotonic() - begin < 30
        assert len(deeds.done) == 2
        told = [str(warning.message) for warning in seen]
        assert any("1 of 2 nodes go on" in one and "slurmctld ended with signal 9" in one for one in told), (
            told
        )
        assert pool.nodes == 1
        # What needs Slurm says at once what is missing and what to do; the node that is there works on.
        begin = time.monotonic()
        for ask in (lambda: pool.scale(3), pool.jobs):
            with pytest.raises(SlurmError, match="slurmctld ended with signal 9; hpclab slurm up"):
                ask()
        assert time.monotonic() - begin < 10
        assert pool.map(abs, [-1, -2]) == [1, 2]
        cluster.heal()
        pool.scale(2)
        assert pool.workers()[0].pid == kept.pid
        until(lambda: len(pool.jobs()) == 2)  # slurmctld has only just heard of the job that ended without it


def test_scaling_without_munged_says_so_and_closing_leaves_no_job(cluster):
    with Pool(1, backend="slurm") as pool:
        name, directory = pool._nodes.name, pool._nodes.backend.directory
        end(cluster, "munged")
        begin = time.monotonic()
        with pytest.raises(SlurmError, match="munged ended with signal 9; hpclab slurm up"):
            pool.scale(3)
        assert time.monotonic() - begin < 10
        assert pool.map(abs, [-1]) == [1]
        begin = time.monotonic()
    assert time.monotonic() - begin < 20
    assert not directory.exists()
    cluster.heal()
    client = slurm.connect(export=False)
    until(lambda: quietly(lambda: [job for job in client.queue() if job.name == name]) == [], 15)


def test_a_pending_job_of_a_pool_closed_without_slurmctld_is_cancelled_by_the_watchdog(cluster):
    """Running workers end with their scheduler; a job that waits would start later and wait for nobody."""
    client = slurm.connect(export=False)
    held = [client.submit("#!/bin/sh\nexec sleep 300\n", "--mem=10", "--output=/dev/null") for _ in range(2)]
    try:
        pool = Pool(0, backend="slurm", join_timeout=300)

        def scale():
            with pytest.raises((Cancelled, SlurmError)):
                pool.scale(2)

        scaling = threading.Thread(target=scale)
        scaling.start()
        mine = lambda: [job for job in client.queue() if job.name == pool._nodes.name]  # noqa: E731
        until(lambda: sorted(job.state for job in mine()) == ["PENDING", "RUNNING"])  # one node was free
        waiting = [job.id for job in mine() if job.state == "PENDING"]
        let_it_write(cluster)
        end(cluster, "slurmctld")
        pool.cancel()
        scaling.join(30)
        pool.close()
        cluster.heal()
        until(lambda: quietly(mine) == [], 20)
        assert {job.state for job in client.history(waiting)} == {"CANCELLED"}  # and not begun in vain
    finally:
        client.cancel(*held)


def test_a_cell_run_twice_says_who_holds_the_nodes(cluster):
    first = Pool(3, backend="slurm")
    try:
        with pytest.raises(
            JoinError, match=r"3 nodes are held by other pools of yours: 3 by pool .*close\(\) the pools"
        ):
            Pool(1, backend="slurm", join_timeout=4)
        assert first.map(abs, [-1]) == [1]
    finally:
        first.close()


def test_the_watchdog_does_not_wait_for_a_slurm_that_was_ended(tmp_path):
    begin = time.monotonic()
    watchdog.cancel_jobs("hpclab-gone", dict(os.environ) | {"SLURM_CONF": str(tmp_path / "slurm.conf")})
    assert time.monotonic() - begin < 5
