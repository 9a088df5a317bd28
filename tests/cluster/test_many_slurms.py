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
AS_USER = """
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


@pytest.mark.skipif(os.getuid() != 0, reason="only root can play two users")
def test_two_ordinary_users_at_once_do_not_notice_each_other(readable: Path) -> None:
    """Also: a home directory with a space in its name, and another's directory in the way (fault 12)."""
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    users = [pwd.getpwnam(name) for name in ("daemon", "nobody")]
    taken = Path(f"/tmp/hpclab-{users[1].pw_uid}")
    taken.mkdir()
    os.chown(taken, users[0].pw_uid, users[0].pw_gid)
    homes, running = [Path(tempfile.mkdtemp(prefix="hpl home ", dir="/tmp")) for _ in users], []
    try:
        for user, home in zip(users, homes, strict=True):
            os.chown(home, user.pw_uid, user.pw_gid)
            environment = {
                "HOME": str(home), "PYTHONPATH": str(readable), "USER": user.pw_name,
                "PATH": os.environ["PATH"], "HPCLAB_SLURM": "local", "PYTHONDONTWRITEBYTECODE": "1",
            }  # fmt: skip
            running.append(
                subprocess.Popen(
                    [python, "-u", "-c", AS_USER], user=user.pw_uid, group=user.pw_gid, extra_groups=[],
                    cwd=home, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, text=True,
                )
            )  # fmt: skip
        for user, process in zip(users, running, strict=True):
            lines = [process.stdout.readline().strip() for _ in range(3)]
            assert lines == [f"COMPLETED {{'{user.pw_name}'}}", str([user.pw_name] * 3), "[]"]
        assert [process.communicate(timeout=60)[0].strip() for process in running] == ["True", "True"]
    finally:
        for process in running:
            if process.poll() is None:
                process.communicate(timeout=60)
        taken.rmdir()
        for home in homes:
            shutil.rmtree(home)
    for place in ("/tmp", "/var/tmp"):
        assert not [path for user in users for path in Path(place).glob(f"hpclab-{user.pw_uid}*")]


def test_twenty_ups_and_downs(state_dir: Path) -> None:
    before = snapshot([state_dir])
    for _ in range(20):
        local_slurm.up(nodes=2)
        assert all(node.state == "idle" for node in slurm.connect(export=False).nodes())
        local_slurm.down()
    after = snapshot([state_dir])
    assert after[0] == before[0]
    assert not after[2]


def test_forty_starts_at_once_on_one_machine(monkeypatch) -> None:
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
        lines = [process.stdout.readline().split() for process in running]
        assert all(line[:2] == ["1", "COMPLETED"] for line in lines), lines
        ports = [port for line in lines for port in line[2:]]
        assert len(set(ports)) == len(ports) == 80
        for process in running:
            process.communicate("\n", timeout=120)
    finally:
        for process, place in zip(running, places, strict=True):
            process.kill()
            process.wait()
            monkeypatch.setenv("HPCLAB_STATE_DIR", str(place))
            local_slurm.down()
            shutil.rmtree(place, ignore_errors=True)
    assert not snapshot(places)[0]
