"""Fault 4: slurmd killed, a node drained, slurmctld killed and started again, munged stopped.

Each time the state is named, what can run on runs on, and no job runs twice to effect.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpclab.cluster import local_slurm as up_and_down
from hpclab.cluster import slurm
from hpclab.cluster.local_slurm.cluster import LocalSlurm
from hpclab.cluster.slurm import Slurm, SlurmError

pytestmark = [pytest.mark.slurm]
QUIET = "--output=/dev/null"


@pytest.fixture
def cluster(state_dir: Path) -> Iterator[LocalSlurm]:
    yield up_and_down.up(nodes=2)
    up_and_down.down()


@pytest.fixture
def client(cluster: LocalSlurm) -> Slurm:
    return slurm.connect(export=False)


@pytest.mark.slow
def test_a_node_that_loses_power_takes_its_tasks_along_and_its_job_runs_again(
    cluster: LocalSlurm, client: Slurm, tmp_path: Path
) -> None:
    # Every start leaves a line; the effect is a file made once, only after the work is done.
    script = (
        f"#!/bin/sh\necho $SLURMD_NODENAME >> {tmp_path}/starts\nsleep 6\n"
        f"mkdir {tmp_path}/effect || echo twice >> {tmp_path}/twice\n"
    )
    job = client.submit(script, "--requeue", QUIET)
    _until(lambda: client.queue([job])[0].state == "RUNNING" and (tmp_path / "starts").exists())
    node = client.queue([job])[0].node_list
    cluster.fail_node(node)
    assert "on purpose" in cluster.daemons[node]
    time.sleep(8)
    assert not (tmp_path / "effect").exists()  # the task ended with its node
    _until(lambda: any(n.name == node and "down" in n.state for n in client.nodes()), 60)
    other = "node2" if node == "node1" else "node1"
    assert client.wait(client.submit("#!/bin/sh\ntrue\n", QUIET), 60).node_list == other
    up_and_down.up()  # heals what broke, not what was broken on purpose
    assert "on purpose" in cluster.daemons[node]
    cluster.restore_node(node)
    _until(lambda: all(n.state == "idle" for n in client.nodes() if n.name == node), 60)
    assert client.wait(job, 200).state == "COMPLETED"
    assert len((tmp_path / "starts").read_text().split()) == 2
    assert not (tmp_path / "twice").exists()


def test_a_drained_node_is_named_and_the_other_goes_on(cluster: LocalSlurm, client: Slurm) -> None:
    scontrol = ["scontrol", "update", "NodeName=node1"]
    environment = cluster.environment
    subprocess.run(
        [*scontrol, "State=DRAIN", "Reason=a loose cable"], env=environment, check=True, timeout=30
    )
    _until(lambda: any(n.state == "drained" and n.reason == "a loose cable" for n in client.nodes()))
    assert client.wait(client.submit("#!/bin/sh\ntrue\n", QUIET), 60).node_list == "node2"
    both = client.submit("#!/bin/sh\ntrue\n", "--nodes=2", QUIET)
    _until(lambda: client.queue([both])[0].reason not in ("", "None"))
    assert "drained" in client.explain(client.queue([both])[0].reason)
    subprocess.run([*scontrol, "State=RESUME"], env=environment, check=True, timeout=30)
    assert client.wait(both, 90).state == "COMPLETED"


def test_jobs_outlive_a_killed_controller(cluster: LocalSlurm, client: Slurm, tmp_path: Path) -> None:
    client.timeout = 3.0
    job = client.submit(f"#!/bin/sh\necho start >> {tmp_path}/starts\nsleep 20\n", QUIET)
    _until(lambda: (tmp_path / "starts").exists())
    time.sleep(12)  # slurmctld writes its state down every ten seconds at most; what is newer dies with it
    controller = cluster.process("slurmctld")
    assert controller
    controller.send(signal.SIGKILL)
    _until(lambda: "signal 9" in cluster.daemons["slurmctld"])
    assert "hpclab slurm up" in cluster.daemons["slurmctld"]
    with pytest.raises(SlurmError):
        client.queue([job])
    assert up_and_down.up().supervisor == cluster.supervisor
    assert cluster.daemons["slurmctld"] == "running"
    _until(lambda: bool(_quietly(lambda: client.queue([job]))))
    assert client.wait(job, 90).state == "COMPLETED"
    assert (tmp_path / "starts").read_text() == "start\n"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_without_munged_every_command_says_so_in_time(
    cluster: LocalSlurm, client: Slurm, how: signal.Signals
) -> None:
    client.timeout = 3.0
    munged = cluster.process("munged")
    assert munged
    munged.send(how)
    begin = time.monotonic()
    with pytest.raises(SlurmError, match=r"(?i)munge|authentication|did not answer"):
        client.submit("#!/bin/sh\ntrue\n", QUIET)
    assert time.monotonic() - begin < 45
    if how == signal.SIGSTOP:
        munged.send(signal.SIGCONT)
    else:
        _until(lambda: "signal 9" in cluster.daemons["munged"])
        up_and_down.up()
    assert client.wait(client.submit("#!/bin/sh\ntrue\n", QUIET), 90).state == "COMPLETED"


def test_a_killed_slurmd_is_named_and_healed_while_its_job_runs_on(
    cluster: LocalSlurm, client: Slurm, tmp_path: Path
) -> None:
    job = client.submit(f"#!/bin/sh\necho start >> {tmp_path}/starts\nsleep 4\n", QUIET)
    _until(lambda: (tmp_path / "starts").exists())
    node = client.queue([job])[0].node_list
    slurmd = cluster.process(node)
    assert slurmd
    slurmd.send(signal.SIGKILL)
    _until(lambda: "signal 9" in cluster.daemons[node])
    up_and_down.up()
    assert cluster.daemons[node] == "running"
    assert client.wait(job, 90).state == "COMPLETED"
    assert (tmp_path / "starts").read_text() == "start\n"


def _quietly(ask: Callable[[], list]) -> list:
    try:
        return ask()
    except SlurmError:
        return []


def _until(ready: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
