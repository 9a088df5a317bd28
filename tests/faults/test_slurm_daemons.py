"""Fault 4: slurmd killed, a node drained, slurmctld killed and started again, munged stopped.

Each time the state is named, what can run on runs on, and no job runs twice to effect.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hpclab.cluster import local_slurm as up_and_down
from hpclab.cluster import slurm
from hpclab.cluster.local_slurm.cluster import LocalSlurm
from hpclab.cluster.slurm import Slurm, SlurmError
from tests.conftest import until

pytestmark = [pytest.mark.slurm]
QUIET = "--output=/dev/null"


@pytest.fixture
def client(local_slurm: LocalSlurm) -> Slurm:
    return slurm.connect(export=False)


def runs(client: Slurm, job: int, starts: Path) -> str:
    """The node that the job has begun on, which leaves a line in `starts`."""
    until(lambda: client.queue([job])[0].state == "RUNNING" and starts.exists(), "the job has begun")
    return client.queue([job])[0].node_list


@pytest.mark.slow
def test_a_node_that_loses_power_takes_its_tasks_along_and_its_job_runs_again(
    local_slurm: LocalSlurm, client: Slurm, tmp_path: Path
) -> None:
    # Every start leaves a line; the effect is a file made once, only after the work is done.
    script = (
        f"#!/bin/sh\necho $$ >> {tmp_path}/starts\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\n"
        f"mkdir {tmp_path}/effect || echo twice >> {tmp_path}/twice\n"
    )
    job = client.submit(script, "--requeue", QUIET)
    node = runs(client, job, tmp_path / "starts")
    local_slurm.fail_node(node)
    assert "on purpose" in local_slurm.daemons[node]
    with pytest.raises(ProcessLookupError):  # the task ended with its node
        os.kill(int((tmp_path / "starts").read_text()), 0)
    until(lambda: any(n.name == node and "down" in n.state for n in client.nodes()), "the node is down")
    assert client.wait(client.submit("#!/bin/sh\ntrue\n", QUIET), 120).node_list != node
    up_and_down.up()  # heals what broke, not what was broken on purpose
    assert "on purpose" in local_slurm.daemons[node]
    local_slurm.restore_node(node)
    until(lambda: all(n.state == "idle" for n in client.nodes() if n.name == node), "the node is back")
    (tmp_path / "go").touch()
    # It is held for two minutes, until the node has heard of the first run's end: slurmctld asks it again every
    # few seconds, and a second run that is over before (22.05) keeps the node's core and memory for ever.
    soon = ["scontrol", "update", f"JobId={job}", "StartTime=now+10"]
    subprocess.run(soon, env=local_slurm.environment, capture_output=True)
    assert client.wait(job, 200).state == "COMPLETED"
    assert len((tmp_path / "starts").read_text().split()) == 2
    assert not (tmp_path / "twice").exists()


def test_a_drained_node_is_named_and_the_others_go_on(local_slurm: LocalSlurm, client: Slurm) -> None:
    scontrol = ["scontrol", "update", "NodeName=node1"]
    environment = local_slurm.environment
    subprocess.run([*scontrol, "State=DRAIN", "Reason=a loose cable"], env=environment, check=True)
    until(
        lambda: any(n.state == "drained" and n.reason == "a loose cable" for n in client.nodes()),
        "the node is drained",
    )
    assert client.wait(client.submit("#!/bin/sh\ntrue\n", QUIET), 120).node_list != "node1"
    on_it = client.submit("#!/bin/sh\ntrue\n", "--nodelist=node1", QUIET)
    until(lambda: client.queue([on_it])[0].reason not in ("", "None"), "it waits with a reason")
    assert "drained" in client.explain(client.queue([on_it])[0].reason)
    subprocess.run([*scontrol, "State=RESUME"], env=environment, check=True)
    assert client.wait(on_it, 120).state == "COMPLETED"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_without_munged_every_command_says_so(
    local_slurm: LocalSlurm, client: Slurm, how: signal.Signals
) -> None:
    client.timeout = 1.0
    munged = local_slurm.process("munged")
    assert munged
    munged.send(how)
    with pytest.raises(SlurmError, match=r"(?i)munge|authentication|did not answer"):
        client.submit("#!/bin/sh\ntrue\n", QUIET)
    if how == signal.SIGSTOP:
        munged.send(signal.SIGCONT)
    else:
        until(lambda: "signal 9" in local_slurm.daemons["munged"], "its end is known")
        up_and_down.up()
    client.timeout = 10.0
    assert client.wait(client.submit("#!/bin/sh\ntrue\n", QUIET), 120).state == "COMPLETED"


@pytest.mark.parametrize("daemon", ["slurmd", pytest.param("slurmctld", marks=pytest.mark.slow)])
def test_a_killed_daemon_is_named_and_healed_while_its_job_runs_on(
    local_slurm: LocalSlurm, client: Slurm, tmp_path: Path, daemon: str, written: Callable[[], None]
) -> None:
    job = client.submit(
        f"#!/bin/sh\necho start >> {tmp_path}/starts\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\n",
        QUIET,
    )
    name = runs(client, job, tmp_path / "starts")
    if daemon == "slurmctld":
        name, client.timeout = daemon, 3.0
        written()
    process, supervisor = local_slurm.process(name), local_slurm.supervisor
    assert process
    process.send(signal.SIGKILL)
    until(lambda: "signal 9" in local_slurm.daemons[name], "its end is known")
    assert "hpclab slurm up" in local_slurm.daemons[name]
    if daemon == "slurmctld":
        until(lambda: _silent(client), "no command is answered")  # but from an answer of a moment ago
    assert up_and_down.up().supervisor == supervisor
    assert local_slurm.daemons[name] == "running"
    (tmp_path / "go").touch()
    until(lambda: _ended(client, job), "the job has ended")
    assert client.queue([job])[0].state == "COMPLETED"
    assert (tmp_path / "starts").read_text() == "start\n"


def _silent(client: Slurm) -> bool:
    try:
        client.nodes()
    except SlurmError:
        return True
    return False


def _ended(client: Slurm, job: int) -> bool:
    try:
        return client.queue([job])[0].ended
    except (SlurmError, IndexError):  # a controller that has only just been started
        return False
