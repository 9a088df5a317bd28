"""The supervisor as a process: what it parents, adopts, refuses, and how it ends."""

import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from hpclab.cluster import local_slurm, slurm
from hpclab.cluster.host import processes
from hpclab.cluster.host.processes import Process
from hpclab.cluster.slurm_commands import SlurmError
from tests.conftest import until


def test_a_process_is_known_by_its_start_and_a_zombie_is_dead():
    child = subprocess.Popen(["sleep", "100"])
    known = Process.of(child.pid)
    assert known
    assert known.alive
    assert not Process(known.pid, known.started - 1).alive
    Process(known.pid, known.started - 1).send(signal.SIGKILL)  # somebody else's by now: left alone
    assert known.alive
    known.send(signal.SIGKILL)
    until(lambda: not known.alive, "it is dead, and not yet reaped")
    child.wait()


def test_what_will_not_end_when_asked_is_killed_and_nobody_elses_child_is_reaped():
    program = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(99)"
    stubborn = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert stubborn.stdout
    stubborn.stdout.readline()
    known = Process.of(stubborn.pid)
    assert known
    other = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    until(lambda: not Process.of(other.pid), "the other child has ended")
    processes.end([known], patience=0.3)
    assert not known.alive
    stubborn.wait()
    stubborn.stdout.close()
    assert other.wait() == 7  # a notebook's own children are its own to wait for


@pytest.mark.slurm
def test_its_secrets_are_private_and_its_ports_on_loopback_where_the_name_allows(local_slurm):
    assert local_slurm.directory.stat().st_mode & 0o077 == 0
    key = local_slurm.directory / "munge" / "key"
    assert key.stat().st_mode & 0o177 == 0
    assert key.parent.stat().st_mode & 0o077 == 0
    conf = (local_slurm.directory / "daemons" / "slurm.conf").read_text()
    if "NoInAddrAny" in conf:
        listening = [one.laddr for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        addresses = {at.port: at.ip for at in listening}
        assert all(addresses[port].startswith("127.") for port in local_slurm.state["ports"])


@pytest.mark.slurm
def test_a_supervisor_parents_all_and_ends_with_all_when_its_files_are_removed(state_dir):
    cluster = local_slurm.up(nodes=1)
    supervisor = cluster.supervisor
    assert supervisor
    assert os.getsid(supervisor.pid) != os.getsid(0)
    below = processes.descendants(supervisor.pid)
    assert {cluster.process(name) for name in ("munged", "slurmctld", "node1")} <= set(below)
    client = slurm.connect(export=False)
    shutil.rmtree(cluster.directory)
    with pytest.raises(SlurmError, match="was removed; hpclab slurm up"):
        client.queue()
    until(lambda: not supervisor.alive, "the supervisor has ended")
    assert not [process for process in below if process.alive]
    with pytest.raises((OSError, SlurmError)):
        cluster.heal()
    assert not cluster.directory.exists()
