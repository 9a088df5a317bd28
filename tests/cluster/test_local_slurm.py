"""Our own Slurm as its users meet it: up, found again, another shape, down with nothing left."""

import os
import pwd
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from hpclab.cluster import local_slurm, slurm, slurm_commands
from hpclab.cluster.local_slurm import LocalSlurm
from hpclab.cluster.slurm_commands import SlurmError, SlurmMissing
from hpclab.machine.probe import slurm as slurm_here
from tests.cluster.conftest import LEFT, snapshot
from tests.conftest import until

pytestmark = pytest.mark.slurm


def test_eight_starts_at_once_are_one_that_is_found_and_leaves_nothing(state_dir):
    before = snapshot([state_dir])
    with ThreadPoolExecutor(8) as threads:
        found = [start.result() for start in [threads.submit(local_slurm.up, nodes=2) for _ in range(8)]]
    assert len({cluster.supervisor for cluster in found}) == 1
    cluster = found[0]
    ports = {str(port) for port in cluster.state["ports"]}
    during = snapshot([state_dir])
    assert ports <= during[1]
    assert len(during[0]) >= 2  # munged and the supervisor name the directory
    assert local_slurm.find() == cluster
    client = slurm.connect(export=False)
    assert [(node.name, node.state) for node in client.nodes()] == [("node1", "idle"), ("node2", "idle")]
    client.submit(f"#!/bin/sh\n(setsid {LEFT} &)\ntrap '' TERM\n{LEFT}\n{LEFT}\n", "--output=/dev/null")
    until(lambda: any(LEFT in process for process in snapshot([state_dir])[0]), "the job has begun")
    assert local_slurm.down()
    after = snapshot([state_dir])
    assert after[0] == before[0]
    assert not ports & after[1]
    assert not after[2]
    assert not local_slurm.down()
    assert local_slurm.find() is None


def test_up_twice_is_up_once_and_another_shape_needs_restart(state_dir):
    said: list[str] = []
    cluster = local_slurm.up(nodes=1, say=said.append)
    try:
        first = cluster.supervisor
        assert local_slurm.up(say=said.append).supervisor == first
        assert said == []
        local_slurm.up(nodes=2, say=said.append)
        assert len(said) == 1
        assert "--restart" in said[0]
        assert cluster.supervisor == first
        client = slurm.connect(export=False)
        job = client.submit("#!/bin/sh\nsleep 60\n", "--output=/dev/null")
        with pytest.raises(SlurmError, match="jobs in its queue"):
            local_slurm.up(nodes=2, restart=True)
        client.cancel(job)
        client.wait(job, 30)
        cores = (os.cpu_count() or 1) + 6  # more than there are
        shape = local_slurm.up(nodes=2, cores_per_node=cores, restart=True).shape
        assert (shape.nodes, shape.cores_per_node) == (2, cores)
        assert cluster.supervisor != first
        job = client.submit("#!/bin/sh\ntrue\n", f"--ntasks={cores}", "--output=/dev/null")
        assert client.wait(job, 120).state == "COMPLETED"
    finally:
        local_slurm.down()


def test_a_wrong_word_and_a_slurm_that_is_down_are_told(local_slurm, tmp_path):
    with pytest.raises(ValueError, match="lines must be a whole number from 1"):
        local_slurm.logs(0)
    gone = LocalSlurm(tmp_path)
    with pytest.raises(SlurmError, match="is down; hpclab slurm up starts"):
        gone.shape  # noqa: B018
    with pytest.raises(SlurmError, match=r"does not answer .*hpclab slurm status"):
        gone.heal()


def test_down_clears_what_a_killed_supervisor_left(state_dir):
    cluster = local_slurm.up(nodes=1)
    client = slurm.connect(export=False)
    client.submit(f"#!/bin/sh\n(setsid {LEFT} &)\n{LEFT}\n", "--output=/dev/null")
    until(lambda: len([p for p in snapshot([state_dir])[0] if LEFT in p]) >= 2, "the job has begun")
    assert cluster.supervisor
    cluster.supervisor.send(signal.SIGKILL)
    until(lambda: cluster.supervisor is None, "the supervisor has ended")
    assert local_slurm.find() is None
    assert local_slurm.down()
    processes, _, files = snapshot([state_dir])
    assert not processes
    assert not files


def test_a_start_that_fails_says_why_and_leaves_nothing(state_dir, monkeypatch):
    broken = state_dir / "bin"
    broken.mkdir()
    (broken / "slurmd").write_text(
        '#!/bin/sh\n[ "$1" = -C ] && echo RealMemory=1000 && exit\necho fatal: no luck; exit 3\n'
    )
    (broken / "slurmd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken}:{os.environ['PATH']}")
    with pytest.raises(SlurmError, match=r"node1 ended with exit status 3: .*no luck"):
        local_slurm.up(nodes=1)
    assert [path.name for path in state_dir.iterdir()] == ["bin"]


@pytest.mark.parametrize(
    ("place", "name", "value", "words"),
    [
        ("os", "getuid", 3_999_999, "a user with a name, and uid 3999999 has none"),
        ("os", "getegid", 3_999_999, "its user's own group, which is gid .*, and this runs in gid 3999999"),
        ("socket", "gethostname", "x" * 64, "63 characters at most, and this one's has 64: x"),
    ],
)
def test_where_slurm_would_not_start_doctor_and_up_say_so_in_one_sentence(
    state_dir, monkeypatch, place, name, value, words
):
    if name == "getegid" and os.getuid() == 0:
        monkeypatch.setattr("os.getuid", lambda: pwd.getpwnam("daemon").pw_uid)
    monkeypatch.setattr(f"{place}.{name}", lambda: value)
    here = slurm_here()
    assert re.search(words, here.obstacle)
    assert not here.daemons
    with pytest.raises(SlurmError) as refused:
        local_slurm.up(nodes=1)
    assert str(refused.value) == here.obstacle
    assert not list(state_dir.iterdir())


def test_without_the_programs_the_packages_are_named(state_dir, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(slurm_commands, "_ALSO_IN", ())
    with pytest.raises(SlurmMissing, match=r"apt install slurm-wlm munge.*still runs, on this machine"):
        slurm.connect(export=False)
