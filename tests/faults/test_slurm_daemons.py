"""Faults 4 and 5: a node without power or drained, a daemon killed, a job that gives way to another.

Each time the state is named, what can run on runs on, and no job runs twice to effect.
"""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hpclab.cluster import local_slurm as up_and_down
from hpclab.cluster.local_slurm import LocalSlurm
from hpclab.cluster.slurm import Slurm, SlurmError
from tests.conftest import fail_node, gone, until

pytestmark = [pytest.mark.slurm]
QUIET = "--output=/dev/null"


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
    fail_node(local_slurm, node)
    task = int((tmp_path / "starts").read_text())
    until(lambda: gone(task), "the task has ended with its node")
    until(lambda: any(n.name == node and "down" in n.state for n in client.nodes()), "the node is down")
    assert client.wait(client.submit("#!/bin/sh\ntrue\n", QUIET), 120).node_list != node
    up_and_down.up()  # heals it
    until(lambda: all(n.state == "idle" for n in client.nodes() if n.name == node), "the node is back")
    (tmp_path / "go").touch()
    # Slurm holds it for two minutes. Within seconds the node hears that the first run is over; a second run
    # that is itself over before that (22.05) keeps the node's core and memory for ever.
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


@pytest.mark.parametrize("daemon", ["slurmd", "munged", pytest.param("slurmctld", marks=pytest.mark.slow)])
def test_a_killed_daemon_is_named_and_healed_while_its_job_runs_on(
    local_slurm: LocalSlurm, client: Slurm, tmp_path: Path, daemon: str, written: Callable[[], None]
) -> None:
    job = client.submit(
        f"#!/bin/sh\necho start >> {tmp_path}/starts\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\n",
        QUIET,
    )
    node = runs(client, job, tmp_path / "starts")
    name, client.timeout = (node if daemon == "slurmd" else daemon), 3.0
    if daemon == "slurmctld":
        written()
    process, supervisor = local_slurm.process(name), local_slurm.supervisor
    assert process
    process.send(signal.SIGKILL)
    until(lambda: "signal 9" in local_slurm.daemons[name], "its end is known")
    assert "hpclab slurm up" in local_slurm.daemons[name]
    if daemon != "slurmd":
        with pytest.raises(SlurmError, match=f"{daemon} ended with signal 9; hpclab slurm up"):
            client.submit("#!/bin/sh\ntrue\n", QUIET)
    assert up_and_down.up().supervisor == supervisor
    assert local_slurm.daemons[name] == "running"
    (tmp_path / "go").touch()
    until(lambda: _ended(client, job), "the job has ended")
    assert client.queue([job])[0].state == "COMPLETED"
    assert (tmp_path / "starts").read_text() == "start\n"


def _ended(client: Slurm, job: int) -> bool:
    try:
        return client.queue([job])[0].ended
    except (SlurmError, IndexError):  # a controller that has only just been started
        return False


SCRIPT = """#!/bin/bash
#SBATCH --requeue --open-mode=append
cd {place} || exit 9
count=$(cat saved 2> /dev/null || echo 0)
trap 'echo $count > saved.part && mv saved.part saved && echo "TERM: saved $count"; exit 143' TERM
echo "run ${{SLURM_RESTART_COUNT:-0}} starts from $count"
goal=$((${{SLURM_RESTART_COUNT:-0}} ? count + 5 : 1000))
while [ $count -lt $goal ]; do sleep 0.2 & wait $!; count=$((count + 1)); touch $count; done
echo "done at $count"
"""


@pytest.mark.slow
def test_a_preempted_job_saves_on_the_signal_and_goes_on_from_there(client, tmp_path):
    log = tmp_path / "log"
    low = client.submit(
        SCRIPT.format(place=tmp_path), "--partition=preempt", "--nodelist=node2", f"--output={log}"
    )
    until((tmp_path / "3").exists, "it has counted to three")
    high = client.submit("#!/bin/sh\nsleep 1\n", "--nodelist=node2", "--output=/dev/null")
    assert client.wait(high, 120).state == "COMPLETED"
    until(lambda: client.queue([low])[0].state == "PENDING", "it is queued again")
    saved = int((tmp_path / "saved").read_text())
    assert saved >= 3
    # Slurm lets a requeued job wait for two minutes; its owner may call it earlier.
    now = ["scontrol", "update", f"JobId={low}", "StartTime=now"]
    until(
        lambda: not subprocess.run(now, env=dict(client.environment), capture_output=True).returncode,
        "it may start",
    )
    assert client.wait(low, 120).state == "COMPLETED"
    assert [line for line in log.read_text().splitlines() if "slurmstepd" not in line] == [
        "run 0 starts from 0", f"TERM: saved {saved}", f"run 1 starts from {saved}", f"done at {saved + 5}",
    ]  # fmt: skip
