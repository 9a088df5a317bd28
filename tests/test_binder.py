"""What Binder does, as no image is built here: a fresh ordinary user, a fresh environment, postBuild, start.

Needs root, to make the user, and an index to install from.
"""

import contextlib
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from hpclab import course
from hpclab.cluster.host.ports import Ports
from hpclab.machine.footprint import members, summed_pss

ROOT = Path(__file__).resolve().parents[1]
BINDER = ROOT / "binder"
SHIPPED = (
    "hpclab",
    "notebooks",
    "slurm",
    "binder",
    "pyproject.toml",
    "constraints.txt",
    "README.md",
    "LICENSE*",
)


def test_the_folder_says_what_binder_reads():
    assert (BINDER / "apt.txt").read_text().split() == ["slurm-wlm", "munge"]
    assert (BINDER / "runtime.txt").read_text().strip() == "python-3.11"
    pinned = [line for line in (ROOT / "constraints.txt").read_text().split() if line.startswith("torch==")]
    lines = (BINDER / "requirements.txt").read_text().splitlines()
    assert f"{pinned[0]}+cpu" in lines
    assert {"-c ../constraints.txt", "-e ."} <= set(lines)
    for script in ("postBuild", "start"):
        assert os.access(BINDER / script, os.X_OK)
    assert (BINDER / "start").read_text().rstrip().endswith('exec "$@"')


class Session:
    """A user like Binder's, with the checkout in the home and an environment of its own."""

    def __init__(self):
        self.name = f"hpclab{secrets.token_hex(3)}"
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", self.name], check=True)
        self.user = pwd.getpwnam(self.name)
        self.home = Path(self.user.pw_dir)
        self.top = self.home / "checkout"
        self.venv = self.home / "venv"
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "LANG", "LC_"))}
        kept |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        self.environment = kept | {
            "HOME": str(self.home),
            "USER": self.name,
            "PATH": f"{self.venv / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "MEM_LIMIT": str(2 * 10**9),  # as a hub tells its users: lessons then take two ranks, not four
            "PIP_RETRIES": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def options(self):
        ids = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return {"cwd": self.top, "env": self.environment, **ids}

    def run(self, *words, timeout=120):
        done = subprocess.run(
            list(map(str, words)),
            **self.options(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def python(self):
        """A Python of the same version that an ordinary user may run: root's own is closed to others."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        for program in (sys._base_executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
            try:
                subprocess.run([program, "-c", "import ensurepip"], **self.options(), check=True, timeout=20)
            except (OSError, subprocess.CalledProcessError):
                continue
            return program
        pytest.skip(f"no Python {version} that an ordinary user may run")

    def end(self):
        for pid in self.pids():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        subprocess.run(["userdel", "--remove", self.name], check=False, capture_output=True)
        for place in ("/tmp", "/var/tmp", "/dev/shm"):
            shutil.rmtree(Path(place) / f"hpclab-{self.user.pw_uid}", ignore_errors=True)

    def pids(self):
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):  # it ended while we looked
                if entry.name.isdigit() and entry.stat().st_uid == self.user.pw_uid:
                    found.append(int(entry.name))
        return found


@pytest.fixture(scope="module")
def session():
    """The user after what repo2docker does: requirements.txt installed, then postBuild."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a fresh user")
    one = Session()
    try:
        one.top.mkdir()
        for pattern in SHIPPED:
            for source in ROOT.glob(pattern):
                target = one.top / source.name
                if source.is_dir():
                    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(source, target)
        for settings in (".config/pip/pip.conf", ".pip/pip.conf"):  # the indexes that work here
            if (Path.home() / settings).is_file():
                (one.home / settings).parent.mkdir(parents=True)
                shutil.copy(Path.home() / settings, one.home / settings)
        subprocess.run(["chown", "-R", f"{one.name}:", one.home], check=True)
        one.run(one.python(), "-m", "venv", one.venv)
        # Binder's own images bring a recent pip, Python's venv an old one.
        one.run("python", "-m", "pip", "install", "-q", "-c", "constraints.txt", "--upgrade", "pip")
        one.run("python", "-m", "pip", "install", "-q", "-r", "binder/requirements.txt", timeout=900)
        one.run("binder/postBuild")
        yield one
    finally:
        one.end()


@pytest.fixture(scope="module")
def served(session):
    """JupyterLab as Binder runs it: through binder/start."""
    ports = Ports.reserve(1)  # ours until released, and none that the kernel hands to others
    (port,) = ports.numbers
    token = secrets.token_hex(16)
    begin = time.monotonic()
    server = subprocess.Popen(
        ["binder/start", "jupyter", "lab", "--ip=127.0.0.1", f"--port={port}", "--no-browser"],
        **(session.options() | {"env": session.environment | {"JUPYTER_TOKEN": token}}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def ask(path):
        address = f"http://127.0.0.1:{port}/{path}"
        request = urllib.request.Request(address, headers={"Authorization": f"token {token}"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.read().decode()

    while True:
        try:
            ask("api/status")
            break
        except OSError:
            assert server.poll() is None
            assert time.monotonic() - begin < 180
            time.sleep(0.2)
    try:
        yield server, ask
    finally:
        server.terminate()
        server.wait(60)
        ports.release()
        session.run("hpclab", "slurm", "down")


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.timeout(1500)
def test_a_session_opens_on_lesson_00_and_slurm_comes_up_beside_it(session, served):
    _, ask = served
    workspace = json.loads(ask("lab/api/workspaces/hpclab"))["data"]
    assert workspace["layout-restorer:data"]["main"]["current"] == "notebook:course/00_start_here.ipynb"
    assert json.loads(ask("api/contents/course/00_start_here.ipynb?content=0"))["writable"]
    assert "<title>JupyterLab</title>" in ask("lab/workspaces/hpclab")
    with pytest.raises(urllib.error.HTTPError, match="404"):  # the dashboard's address is served; no pool yet
        ask("hpclab/dashboard/status")
    deadline = time.monotonic() + 30
    while '"running": true' not in (said := session.run("hpclab", "slurm", "status", "--json")):
        assert time.monotonic() < deadline, said
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.timeout(1500)
def test_every_notebook_runs_within_two_gigabytes(session, served):
    server, _ = served
    report = json.loads(session.run("hpclab", "rehearse", "--json", timeout=900))
    assert [lesson["number"] for lesson in report["lessons"]] == [one.number for one in course.lessons()]
    assert report["passed"], report
    always = summed_pss(members("", [server.pid]))  # JupyterLab itself counts too
    assert 0 < always < 2**29
    for lesson in report["lessons"]:
        assert lesson["peak_memory"] + always < 2 * 10**9, lesson
