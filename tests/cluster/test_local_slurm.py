"""Our own Slurm as its users meet it: up, found again, another shape, down with nothing left."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from hpclab.cluster import local_slurm, slurm
from hpclab.cluster.local_slurm.cluster import LocalSlurm
from hpclab.cluster.slurm_commands import SlurmError, SlurmMissing
from hpclab.machine.probe import slurm as slurm_here

pytestmark = pytest.mark.slurm
LEFT = f"sleep {4_000_000 + os.getpid()}"  # what a job leaves behind, told from that of any other run


def _snapshot(places: list[Path]) -> tuple[set[str], set[str], set[str]]:
    """From the outside: Slurm's processes, listening sockets, and files below the places they may be in."""
    processes = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if any(str(place) in text for place in places) or LEFT in text:
                processes.add(f"{entry.name} {text}")
    listening = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            listening.add(str(int(words[1].split(":")[1], 16)))
    files = {str(path) for place in places if place.exists() for path in place.rglob("*")}
    return processes, listening, files


def test_up_find_down_and_nothing_left(state_dir: Path) -> None:
    before = _snapshot([state_dir])
    begin = time.monotonic()
    cluster = local_slurm.up(nodes=2)
    assert time.monotonic() - begin < 30
    ports = {str(port) for port in cluster.state["ports"]}
    during = _snapshot([state_dir])
    assert ports <= during[1]
    assert len(during[0]) >= 2  # munged and the supervisor name the directory
    assert local_slurm.find() == cluster
    client = slurm.connect(export=False)
    assert [(node.name, node.state) for node in client.nodes()] == [("node1", "idle"), ("node2", "idle")]
    client.submit(f"#!/bin/sh\n(setsid {LEFT} &)\ntrap '' TERM\n{LEFT}\n{LEFT}\n", "--output=/dev/null")
    _until(lambda: any(LEFT in process for process in _snapshot([state_dir])[0]))
    assert local_slurm.down()
    after = _snapshot([state_dir])
    assert after[0] == before[0]
    assert not ports & after[1]
    assert not after[2]
    assert not state_dir.exists() or not list(state_dir.iterdir())
    assert not local_slurm.down()
    assert local_slurm.find() is None


def test_up_twice_is_up_once_and_another_shape_needs_restart(state_dir: Path) -> None:
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
        assert local_slurm.up(nodes=2, restart=True).shape.nodes == 2
        assert cluster.supervisor != first
    finally:
        local_slurm.down()


def test_eight_starts_at_the_same_moment_are_one(state_dir: Path) -> None:
    found: list[LocalSlurm] = []
    threads = [threading.Thread(target=lambda: found.append(local_slurm.up(nodes=1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(found) == 8
        assert len({cluster.supervisor for cluster in found}) == 1
    finally:
        local_slurm.down()


def test_another_process_finds_it_and_a_recycled_pid_is_not_mistaken(local_slurm: LocalSlurm) -> None:
    program = "from hpclab.cluster import local_slurm; print(local_slurm.find().directory)"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True, cwd="/"
    )
    assert said.stdout.strip() == str(local_slurm.directory)
    state = local_slurm.state
    copy = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        text = (local_slurm.directory / "state.json").read_text()
        (copy / "state.json").write_text(text.replace(str(state["supervisor"][1]), "1"))
        assert LocalSlurm(copy).supervisor is None
    finally:
        shutil.rmtree(copy)


def test_a_wrong_word_and_a_slurm_that_is_down_are_told(local_slurm: LocalSlurm, tmp_path: Path) -> None:
    for lines in (0, -1, 2.5, float("nan"), float("inf"), 1e30, "text", None):
        with pytest.raises(ValueError, match="lines must be a whole number from 1"):
            local_slurm.logs(lines)  # type: ignore[arg-type]
    for name in ("node9", "", None, 1, [], "node1\n"):
        for harm in (local_slurm.fail_node, local_slurm.restore_node, local_slurm.process):
            with pytest.raises(ValueError, match=r"node1, node2, node3, node4"):
                harm(name)  # type: ignore[arg-type]
    gone = LocalSlurm(tmp_path)
    for use in (lambda: gone.fail_node("node1"), lambda: gone.shape, lambda: gone.process("munged")):
        with pytest.raises(SlurmError, match="is down; hpclab slurm up starts"):
            use()
    with pytest.raises(SlurmError, match=r"does not answer .*hpclab slurm status"):
        gone.heal()


def test_down_clears_what_a_killed_supervisor_left(state_dir: Path) -> None:
    cluster = local_slurm.up(nodes=1)
    client = slurm.connect(export=False)
    client.submit(f"#!/bin/sh\n(setsid {LEFT} &)\n{LEFT}\n", "--output=/dev/null")
    _until(lambda: len([p for p in _snapshot([state_dir])[0] if LEFT in p]) >= 2)
    assert cluster.supervisor
    cluster.supervisor.send(signal.SIGKILL)
    _until(lambda: cluster.supervisor is None)
    assert local_slurm.find() is None
    assert local_slurm.down()
    processes, _, files = _snapshot([state_dir])
    assert not processes
    assert not files


def test_a_start_that_fails_says_why_and_leaves_nothing(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        (
            "os",
            "getegid",
            3_999_999,
            "in its user's own group, which is gid .*, and this runs in gid 3999999",
        ),
        ("socket", "gethostname", "x" * 64, "63 characters at most, and this one's has 64: x"),
    ],
)
def test_where_slurm_would_not_start_doctor_and_up_say_so_in_one_sentence(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str, value: object, words: str
) -> None:
    if name == "getegid" and os.getuid() == 0:
        monkeypatch.setattr("os.getuid", lambda: pwd.getpwnam("daemon").pw_uid)
    monkeypatch.setattr(f"{place}.{name}", lambda: value)
    here = slurm_here(environment={"PATH": os.environ["PATH"], "HPCLAB_SLURM": "local"})
    assert re.search(words, here.obstacle)
    assert not here.daemons
    with pytest.raises(SlurmError) as refused:
        local_slurm.up(nodes=1)
    assert str(refused.value) == here.obstacle
    assert not list(state_dir.iterdir())


def test_without_the_programs_the_packages_are_named(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpclab.cluster import slurm_commands

    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(slurm_commands, "_ALSO_IN", ())
    with pytest.raises(
        SlurmMissing, match=r"apt install slurm-wlm munge.*still runs, on this machine's processes"
    ):
        slurm.connect(export=False)


def test_more_cores_than_there_are(state_dir: Path) -> None:
    local_slurm.up(nodes=1, cores_per_node=(os.cpu_count() or 1) + 6)
    try:
        client = slurm.connect(export=False)
        job = client.submit(
            "#!/bin/sh\ntrue\n", f"--ntasks={(os.cpu_count() or 1) + 6}", "--output=/dev/null"
        )
        assert client.wait(job, 60).state == "COMPLETED"
    finally:
        local_slurm.down()


@pytest.fixture
def two_users() -> list[str]:
    if os.getuid() != 0 or not shutil.which("useradd"):
        pytest.skip("only root can make ordinary users")
    names = ["hpclabtest1", "hpclabtest2"]
    for name in names:
        try:
            pwd.getpwnam(name)
        except KeyError:
            subprocess.run(["useradd", "--create-home", "--home-dir", f"/tmp/{name} home", name], check=True)
    yield names
    for name in names:
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)


_AS_USER = """
import os, sys
from hpclab.cluster import local_slurm, slurm
cluster = local_slurm.up(nodes=2)
try:
    client = slurm.connect(export=False)
    script = "#!/bin/sh\\nid -un; srun -N2 -n2 id -un\\n"
    job = client.submit(script, "-N2", "--output=" + os.environ["HOME"] + "/out")
    print(client.wait(job, 60).state, {job.user for job in client.queue([job])})
    print(open(os.environ["HOME"] + "/out").read().split())
    print([entry.name for entry in client.queue(mine=False)])
    sys.stdin.read()
finally:
    print(local_slurm.down(), flush=True)
"""


def test_two_ordinary_users_at_once_do_not_notice_each_other(two_users: list[str], readable: Path) -> None:
    """Also: a home directory with a space in its name, and another's directory in the way (fault 12)."""
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    uids = [pwd.getpwnam(name).pw_uid for name in two_users]
    taken = Path(f"/tmp/hpclab-{uids[1]}")
    taken.mkdir()
    os.chown(taken, uids[0], uids[0])
    running = []
    try:
        for name in two_users:
            home = pwd.getpwnam(name).pw_dir
            environment = {
                "HOME": home, "PYTHONPATH": str(readable), "USER": name, "PATH": os.environ["PATH"],
                "HPCLAB_SLURM": "local", "PYTHONDONTWRITEBYTECODE": "1",
            }  # fmt: skip
            running.append(
                subprocess.Popen(
                    [python, "-u", "-c", _AS_USER], user=name, group=name, extra_groups=[], cwd=home,
                    env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, text=True,
                )
            )  # fmt: skip
        said = []
        for process in running:
            assert process.stdout
            said.append([process.stdout.readline().strip() for _ in range(3)])
        for name, lines in zip(two_users, said, strict=True):
            assert lines == [f"COMPLETED {{'{name}'}}", str([name] * 3), "[]"]
        ends = [process.communicate(timeout=60)[0].strip() for process in running]
        assert ends == ["True", "True"]
    finally:
        for process in running:
            if process.poll() is None:
                process.communicate(timeout=60)
        taken.rmdir()
    assert not [path for uid in uids for path in Path("/tmp").glob(f"hpclab-{uid}*")]
    assert not [path for uid in uids for path in Path("/var/tmp").glob(f"hpclab-{uid}*")]


@pytest.mark.soak
def test_twenty_ups_and_downs(state_dir: Path) -> None:
    before = _snapshot([state_dir])
    for _ in range(20):
        local_slurm.up(nodes=2)
        assert all(node.state == "idle" for node in slurm.connect(export=False).nodes())
        local_slurm.down()
    after = _snapshot([state_dir])
    assert after[0] == before[0]
    assert not after[2]


@pytest.mark.soak
def test_forty_starts_at_once_on_one_machine(tmp_path: Path) -> None:
    """Forty learners on one node: forty clusters with ports of their own, each with its own job done."""
    program = (
        "from hpclab.cluster import local_slurm, slurm\n"
        "cluster = local_slurm.up(nodes=1)\n"
        "client = slurm.connect(export=False)\n"
        "job = client.submit('#!/bin/sh\\ntrue\\n', '--output=/dev/null')\n"
        "print(job, client.wait(job, 200).state, *cluster.state['ports'], flush=True)\n"
        "input()\n"
        "local_slurm.down()\n"
    )
    places = [Path(tempfile.mkdtemp(prefix="hpl-", dir="/tmp")) for _ in range(40)]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ | {"HPCLAB_STATE_DIR": str(place)}, cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for place in places
    ]  # fmt: skip
    try:
        lines = [process.stdout.readline().split() for process in running if process.stdout]
        assert all(line[:2] == ["1", "COMPLETED"] for line in lines), lines
        ports = [port for line in lines for port in line[2:]]
        assert len(set(ports)) == len(ports) == 80
        for process in running:
            process.communicate("\n", timeout=120)
    finally:
        for process, place in zip(running, places, strict=True):
            process.kill()
            process.wait()
            os.environ["HPCLAB_STATE_DIR"], before = str(place), os.environ.get("HPCLAB_STATE_DIR", "")
            local_slurm.down()
            os.environ["HPCLAB_STATE_DIR"] = before
            shutil.rmtree(place, ignore_errors=True)
    assert not _snapshot(places)[0]


def _until(ready, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
