"""Our own Slurm, many times: two users at once, twenty ups and downs, forty on one machine."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hpclab.cluster import local_slurm, slurm
from tests.cluster.conftest import snapshot

pytestmark = [pytest.mark.slurm, pytest.mark.soak]


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


def test_twenty_ups_and_downs(state_dir: Path) -> None:
    before = snapshot([state_dir])
    for _ in range(20):
        local_slurm.up(nodes=2)
        assert all(node.state == "idle" for node in slurm.connect(export=False).nodes())
        local_slurm.down()
    after = snapshot([state_dir])
    assert after[0] == before[0]
    assert not after[2]


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
    assert not snapshot(places)[0]
