"""What Binder does, as no image is built here: postBuild and start, in a home of their own.

`make soak` begins further back, with a fresh ordinary user and a fresh environment: that needs root, to make
the user, and an index to install from.
"""

import contextlib
import functools
import json
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from hpclab import course
from hpclab.cluster.host.ports import ReservedPorts
from hpclab.machine.footprint import processes_of_run, summed_pss
from tests.conftest import until

ROOT = Path(__file__).resolve().parents[1]
BINDER = ROOT / "binder"
SHIPPED = "hpclab notebooks slurm binder pyproject.toml constraints.txt README.md LICENSE LICENSE-prose"


def test_the_folder_says_what_binder_reads():
    assert (BINDER / "apt.txt").read_text().split() == ["slurm-wlm", "munge"]
    assert (BINDER / "runtime.txt").read_text().strip() == "python-3.11"
    pinned = [line for line in (ROOT / "constraints.txt").read_text().split() if line.startswith("torch==")]
    lines = (BINDER / "requirements.txt").read_text().splitlines()
    assert f"{pinned[0]}+cpu" in lines
    assert {"-c ../constraints.txt", "-e ."} <= set(lines)
    assert (BINDER / "start").read_text().rstrip().endswith('exec "$@"')


class Session:
    """The checkout in a home of its own, with what Binder tells a session: of a fresh user with a fresh
    environment, or of whoever runs the tests, with the environment that runs them."""

    def __init__(self, fresh):
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "LANG", "LC_"))}
        kept |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        self.ids, self.name = {}, f"hpclab{secrets.token_hex(3)}" if fresh else ""
        self.home = Path(tempfile.mkdtemp(prefix="hb-", dir="/tmp"))
        programs = Path(sys.executable).parent
        if fresh:
            self.home.rmdir()
            options = ["--create-home", "--home-dir", self.home, "--shell", "/bin/sh"]
            subprocess.run(["useradd", *options, self.name], check=True)
            user = pwd.getpwnam(self.name)
            self.ids = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            kept, programs = kept | {"USER": self.name}, self.home / "venv" / "bin"
        self.top = self.home / "checkout"
        self.environment = kept | {
            "HOME": str(self.home), "PYTHONPATH": str(self.top),
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
            "MEM_LIMIT": str(2 * 10**9),  # as a hub tells its users: lessons then take two ranks, not four
            "PIP_RETRIES": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }  # fmt: skip

    def options(self):
        return {"cwd": self.top, "env": self.environment, **self.ids}

    def run(self, *words, timeout=300):
        done = subprocess.run(
            list(map(str, words)), **self.options(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=timeout,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def lay_out(self):
        self.top.mkdir()
        for source in map(ROOT.joinpath, SHIPPED.split()):
            copy = functools.partial(shutil.copytree, ignore=shutil.ignore_patterns("__pycache__"))
            (copy if source.is_dir() else shutil.copy)(source, self.top / source.name)
        if self.name:
            for settings in (".config/pip/pip.conf", ".pip/pip.conf"):  # the indexes that work here
                if (Path.home() / settings).is_file():
                    (self.home / settings).parent.mkdir(parents=True)
                    shutil.copy(Path.home() / settings, self.home / settings)
            subprocess.run(["chown", "-R", f"{self.name}:", self.home], check=True)

    def install(self):
        """What repo2docker does: requirements.txt into a fresh environment."""
        self.run(self.python(), "-m", "venv", self.home / "venv")
        # Binder's own images bring a recent pip, Python's venv an old one.
        self.run("python", "-m", "pip", "install", "-q", "-c", "constraints.txt", "--upgrade", "pip")
        self.run("python", "-m", "pip", "install", "-q", "-r", "binder/requirements.txt", timeout=900)

    def python(self):
        """A Python of the same version that an ordinary user may run: root's own is closed to others."""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        for program in (sys._base_executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                subprocess.run([program, "-c", "import ensurepip"], **self.options(), check=True, timeout=20)
                return program
        pytest.skip(f"no Python {version} that an ordinary user may run")

    def end(self):
        if self.name:
            uid = self.ids["user"]
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):  # it ended while we looked
                    if process.uids().real == uid:
                        process.kill()
            subprocess.run(["userdel", self.name], check=False, capture_output=True)
            for place in ("/tmp", "/var/tmp", "/dev/shm"):
                shutil.rmtree(Path(place) / f"hpclab-{uid}", ignore_errors=True)
        shutil.rmtree(self.home, ignore_errors=True)


FRESH = pytest.param(True, marks=pytest.mark.soak)


@pytest.fixture(scope="module", params=[False, FRESH], ids=["ours", "fresh"])
def session(request):
    """The session after what its image was built with: its packages, then postBuild."""
    if request.param and os.geteuid() != 0:
        pytest.skip("only root can make a fresh user")
    one = Session(request.param)
    try:
        one.lay_out()
        if request.param:
            one.install()
        one.run("binder/postBuild")
        yield one
    finally:
        one.end()


@pytest.fixture(scope="module")
def served(session):
    """JupyterLab as Binder runs it: through binder/start."""
    ports = ReservedPorts.reserve(1)  # ours until released, and none that the kernel hands to others
    (port,) = ports.numbers
    token = secrets.token_hex(16)
    root = ["--allow-root"] * (not session.name and os.geteuid() == 0)
    server = subprocess.Popen(
        ["binder/start", "jupyter", "lab", "--ip=127.0.0.1", f"--port={port}", "--no-browser", *root],
        **(session.options() | {"env": session.environment | {"JUPYTER_TOKEN": token}}),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def ask(path):
        address = f"http://127.0.0.1:{port}/{path}"
        request = urllib.request.Request(address, headers={"Authorization": f"token {token}"})
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.read().decode()

    def answers():
        assert server.poll() is None
        with contextlib.suppress(OSError):
            return ask("api/status")

    until(answers, "JupyterLab answers")
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
def test_a_session_opens_on_lesson_00_with_slurm_and_its_notebooks_run_within_two_gigabytes(session, served):
    """All of them where the session is a fresh user's; the first elsewhere."""
    server, ask = served
    workspace = json.loads(ask("lab/api/workspaces/hpclab"))["data"]
    assert workspace["layout-restorer:data"]["main"]["current"] == "notebook:course/00_start_here.ipynb"
    assert json.loads(ask("api/contents/course/00_start_here.ipynb?content=0"))["writable"]
    assert "<title>JupyterLab</title>" in ask("lab/workspaces/hpclab")
    with pytest.raises(urllib.error.HTTPError, match="404"):  # the dashboard's address is served; no pool yet
        ask("hpclab/dashboard/status")
    status = ["hpclab", "slurm", "status", "--json"]
    until(lambda: '"running": true' in session.run(*status), "Slurm is up")
    chosen = [] if session.name else ["--only=00"]
    report = json.loads(session.run("hpclab", "rehearse", "--json", *chosen, timeout=900))
    wanted = [one.number for one in course.lessons()] if session.name else ["00"]
    assert [lesson["number"] for lesson in report["lessons"]] == wanted
    assert report["passed"], report
    always = summed_pss(processes_of_run("", [server.pid]))  # JupyterLab itself counts too
    assert 0 < always < 2**29
    for lesson in report["lessons"]:
        assert lesson["peak_memory"] + always < 2 * 10**9, lesson
