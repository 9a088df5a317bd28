"""Fault 4 under a pool: Slurm's daemons end while it works.

What can run on runs on with the right result, no job runs twice, and what cannot go on says why.
"""

import os
import re
import signal
import threading
import warnings
from collections import Counter
from pathlib import Path

import pytest

from hpclab.cluster import Pool, slurm, watchdog
from hpclab.cluster.errors import Cancelled, JoinError, NodeLost
from hpclab.cluster.slurm import SlurmError
from tests.conftest import until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def work(item):
    """A line in the journal that tells that it was done; the first two wait until the deeds are done."""
    number, journal, waits = item
    if waits:
        Path(journal).with_suffix(".begun").touch()
        until(Path(journal).with_suffix(".go").exists, "all is done that this map shall live through")
    with open(journal, "a") as file:
        file.write(f"{number}\n")
    return number * number


def end(cluster, name):
    cluster.process(name).send(signal.SIGKILL)
    until(lambda: "ended with signal" in cluster.daemons[name], f"the end of {name} is known")


def quietly(ask):
    try:
        return ask()
    except SlurmError:
        return None


def meanwhile(journal, *deeds):
    """Do the deeds once the map has begun, which then ends."""

    def run():
        try:
            until(journal.with_suffix(".begun").exists, "the map has begun")
            for deed in deeds:
                deed()
        finally:
            journal.with_suffix(".go").touch()

    threading.Thread(target=run, daemon=True).start()


SQUARES = [number * number for number in range(40)]


def items(journal):
    return [(number, str(journal), number < 2) for number in range(40)]


@pytest.mark.parametrize("daemon", ["slurmctld", "munged"])
def test_a_map_runs_on_while_a_daemon_is_killed_and_started_again(local_slurm, tmp_path, daemon, written):
    journal = tmp_path / "journal"
    with Pool(2, backend="slurm") as pool:
        before = pool.workers()
        if daemon == "slurmctld":
            written()
        meanwhile(journal, lambda: end(local_slurm, daemon), local_slurm.heal)
        with warnings.catch_warnings():
            warnings.simplefilter("error", NodeLost)
            assert pool.map(work, items(journal)) == SQUARES
        assert Counter(journal.read_text().split()) == Counter(map(str, range(40)))
        assert pool.workers() == before
        until(lambda: {job.state for job in quietly(pool.jobs) or []} == {"RUNNING"}, "Slurm answers")
        assert {str(job.id) for job in pool.jobs()} == {worker.job_id for worker in before}
        pool.scale(3)
        assert pool.map(abs, range(-9, 0)) == list(range(9, 0, -1))
        ids = {int(worker.job_id) for worker in pool.workers()}
    client = slurm.connect(export=False)
    until(lambda: ids <= {job.id for job in client.history()}, "all its jobs are in the history")
    assert sorted(job.id for job in client.history() if job.id in ids) == sorted(ids)


def test_a_node_lost_without_slurmctld_is_replaced_once_it_is_back(local_slurm, tmp_path, written):
    with Pool(2, backend="slurm") as pool:
        written()
        kept, journal = pool.workers()[1], tmp_path / "journal"
        meanwhile(
            journal,
            lambda: end(local_slurm, "slurmctld"),
            lambda: os.kill(pool.workers()[0].pid, signal.SIGKILL),
            lambda: until(lambda: pool.nodes == 1, "its loss is noticed"),
        )
        with pytest.warns(NodeLost) as seen:
            assert pool.map(work, items(journal)) == SQUARES
        told = "\n".join(str(warning.message) for warning in seen)
        assert re.search("1 of 2 nodes go on.*slurmctld ended with signal 9", told), told
        assert pool.nodes == 1
        # What needs Slurm says at once what is missing and what to do; the node that is there works on.
        for ask in (lambda: pool.scale(3), pool.jobs):
            with pytest.raises(SlurmError, match="slurmctld ended with signal 9; hpclab slurm up"):
                ask()
        assert pool.map(abs, [-1, -2]) == [1, 2]
        local_slurm.heal()
        pool.scale(2)
        assert pool.workers()[0].pid == kept.pid
        until(lambda: len(pool.jobs()) == 2, "slurmctld has heard of the job that ended without it")


def test_a_pending_job_of_a_pool_closed_without_slurmctld_is_cancelled_by_the_watchdog(local_slurm, written):
    """Running workers end with their scheduler; a job that waits would start later and wait for nobody."""
    client = slurm.connect(export=False)
    script = "#!/bin/sh\nexec sleep 300\n"
    held = [client.submit(script, "--mem=10", "--output=/dev/null") for _ in range(3)]
    until(lambda: {job.state for job in client.queue(held)} == {"RUNNING"}, "three nodes are taken")
    pool = Pool(0, backend="slurm", join_timeout=300)

    def scale():
        with pytest.raises((Cancelled, SlurmError)):
            pool.scale(2)

    scaling = threading.Thread(target=scale)
    scaling.start()
    mine = lambda: [job for job in client.queue() if job.name == pool._nodes.name]  # noqa: E731
    until(lambda: sorted(job.state for job in mine()) == ["PENDING", "RUNNING"], "one node was free")
    waiting = [job.id for job in mine() if job.state == "PENDING"]
    written()
    end(local_slurm, "slurmctld")
    pool.cancel()
    scaling.join(60)
    pool.close()
    assert not pool._nodes.backend.directory.exists()
    local_slurm.heal()
    until(lambda: quietly(mine) == [], "none of its jobs is left")
    # One that Slurm begins before the watchdog is heard ends at once: its pool's folder is gone.
    assert {job.state for job in client.history(waiting)} <= {"CANCELLED", "FAILED"}


def test_a_cell_run_twice_says_who_holds_the_nodes(local_slurm):
    words = r"4 nodes are held by other pools of yours: 4 by pool .*close\(\) the pools"
    with Pool(4, backend="slurm") as first:
        with pytest.raises(JoinError, match=words):
            Pool(1, backend="slurm", join_timeout=1)
        assert first.map(abs, [-1]) == [1]


def test_the_watchdog_does_not_wait_for_a_slurm_that_was_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(watchdog, "_call", lambda *_: pytest.fail("it asked a Slurm that is not there"))
    watchdog.cancel_jobs([["scancel"]], ["squeue"], {}, exists=str(tmp_path / "slurm.conf"))
