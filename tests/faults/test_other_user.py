"""Fault 23: another ordinary user of the machine tries everything that a lesson listens on and writes.

Root plays both: the victim is `daemon` or the user of the tests, the other is `nobody`.
"""

import json
import os
import pwd
import shutil
import subprocess
import urllib.request
from pathlib import Path

import psutil
import pytest

import hpclab
from hpclab.cluster import Pool
from hpclab.cluster.host import processes
from hpclab.cluster.local_slurm import LocalSlurm
from tests.conftest import until

PYTHON = shutil.which("python3", path="/usr/bin:/bin")  # the tests' own may lie where only root may go
STRANGER = (Path(__file__).parent / "stranger.py").read_text()
pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not PYTHON, reason="only root can play two users, with a Python that both may use"
)


def below(top: int) -> list[psutil.Process]:
    return [psutil.Process(pid) for pid in (top, *(process.pid for process in processes.descendants(top)))]


def listening(top: int) -> list[tuple[str, int]]:
    """The addresses and TCP ports on which the process `top` and all below it listen."""
    found = [each for process in below(top) for each in process.net_connections("tcp")]
    return [(each.laddr.ip, each.laddr.port) for each in found if each.status == psutil.CONN_LISTEN]


def attack(top: int, folders: list[Path], secret: Path, configuration: str = "") -> list[str]:
    """What the other user got from the process `top` and all below it, the folders, and a Slurm of ours."""
    sockets = {each.laddr for process in below(top) for each in process.net_connections("unix")} - {""}
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    paths += [Path(f"/proc/{each.pid}", what) for each in below(top) for what in ("environ", "mem", "fd")]
    assert listening(top)
    known = {
        "ports": [port for _, port in listening(top)], "sockets": sorted(sockets),
        "configuration": configuration, "paths": [str(path) for path in paths],
        "secret": secret.read_text().strip(), "secret_file": str(secret),
    }  # fmt: skip
    assert len(known["paths"]) > 5
    done = subprocess.run(
        [str(PYTHON), "-I", "-c", STRANGER], input=json.dumps(known), user="nobody", group="nogroup",
        extra_groups=[], cwd="/", text=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


AS_VICTIM = """
import os, sys
from hpclab.cluster import local_slurm, slurm
cluster = local_slurm.up(nodes=2)
try:
    client = slurm.connect(export=False)
    job = client.submit("#!/bin/sh\\nsleep 500\\n", "--output=/dev/null", "--job-name=mine")
    print(cluster.supervisor.pid, cluster.directory, job, flush=True)
    sys.stdin.readline()
    print([(found.name, found.state) for found in client.queue()], flush=True)
finally:
    local_slurm.down()
"""


@pytest.mark.slurm
def test_an_ordinary_users_slurm_is_that_users_alone(place: Path, state_dir: Path) -> None:
    place.chmod(0o755)  # the package comes here, as a checkout in root's home is closed to others
    shutil.copytree(Path(hpclab.__file__).parent, place / "hpclab")
    victim = pwd.getpwnam("daemon")
    os.chown(state_dir, victim.pw_uid, victim.pw_gid)
    secret = state_dir / "secret"
    secret.write_text("the victim's own words")
    secret.chmod(0o600)
    os.chown(secret, victim.pw_uid, victim.pw_gid)
    state_dir.chmod(0o711)  # as a home may be; what lies in it must do without that
    environment = {
        "HOME": str(state_dir), "HPCLAB_STATE_DIR": str(state_dir), "PYTHONPATH": str(place),
        "PATH": os.environ["PATH"], "HPCLAB_SLURM": "local", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    with subprocess.Popen(
        [str(PYTHON), "-c", AS_VICTIM], user="daemon", group="daemon", extra_groups=[], cwd="/",
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as owner:  # fmt: skip
        assert owner.stdin
        assert owner.stdout
        pid, directory, job = owner.stdout.readline().split()
        folders = [Path(directory), secret]
        configuration = (Path(directory) / "slurm.conf").read_text()
        got = attack(int(pid), folders, secret, configuration)
        owner.stdin.write("\n")
        owner.stdin.flush()
        assert owner.stdout.readline() == "[('mine', 'RUNNING')]\n"  # and no harm was done either
    assert job == "1"  # the one that the stranger tries to cancel and to enter
    assert got == []


@pytest.mark.slurm
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["slurm", "local"])
def test_a_pool_shows_nothing_to_another_user(local_slurm: LocalSlurm, backend: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("/cmdline/")
    with Pool(1, backend=backend) as pool:
        (pool._nodes.backend.directory / "secret").write_text("x")
        secret.write_text(str(pool._nodes.backend.directory))  # which stands in Dask's pages
        pool.map(abs, [-1])
        assert {address for address, _ in listening(os.getpid())} == {"127.0.0.1"}
        assert attack(os.getpid(), [local_slurm.directory.parent], secret) == []


@pytest.mark.slow
def test_jupyterlab_with_a_kernel_and_what_they_write_is_its_users_alone(running: dict, place: Path) -> None:
    token = running["url"].rpartition("token=")[2]
    request = urllib.request.Request(
        f"http://127.0.0.1:{running['port']}/api/kernels", data=b'{"name": "python3"}',
        headers={"Authorization": f"token {token}"},
    )  # fmt: skip
    urllib.request.urlopen(request, timeout=30).close()
    until(lambda: len(listening(running["pid"])) >= 6, "JupyterLab listens, and the kernel on five ports")
    secret = place / "hpclab" / "secret"
    secret.write_text("hpclab/05_scale_out_with_dask.ipynb")
    assert attack(running["pid"], [place / "hpclab", *place.glob(".*")], secret) == []
