"""`hpclab lab` as a learner starts and ends it: a real JupyterLab, real kernels, a real Slurm."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import psutil
import pytest
from websocket import create_connection

from hpclab import course
from tests.conftest import gone, until
from tests.test_search_path import lay_traps


class Lab:
    """A running `hpclab lab`: `process`, the `address` it printed, and the `folder` it laid out."""

    def __init__(self, base, slurm=False, **environment):
        self.folder, self.runtime = base / "work", base / "runtime"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        places = {"HPCLAB_STATE_DIR": base / "state", "JUPYTER_RUNTIME_DIR": self.runtime, "HOME": base}
        words = [] if "HOME" in environment else ["--folder", str(self.folder)]
        words += [] if slurm else ["--no-slurm"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hpclab.cli", "lab", "--json", "--no-browser", *words],
            env=clean | {name: str(place) for name, place in places.items()} | environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line, self.process.communicate(timeout=30)[1]
        said = json.loads(line)
        self.address, self.port = said["url"], said["port"]
        self.token = self.address.rpartition("token=")[2]

    def ask(self, path, method="GET", token=None, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}", json.dumps(body).encode() if body else None,
            {"Authorization": f"token {token or self.token}"}, method=method,
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read() or "null")

    def run_in_kernel(self, code):
        """What `code` prints in a new kernel of this server."""
        from jupyter_client.blocking import BlockingKernelClient

        kernel = self.ask("api/kernels", "POST", body={"name": "python3"})
        file = self.runtime / f"kernel-{kernel['id']}.json"
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels(hb=False)  # the heartbeat of this blocking client knows no encryption
        printed = []
        try:
            client.wait_for_ready(timeout=60)
            client.execute_interactive(
                code, timeout=90, output_hook=lambda said: printed.append(said["content"].get("text", ""))
            )
        finally:
            client.stop_channels()
        return "".join(printed)

    def family(self):
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]

    def close(self):
        """End it; what it said besides."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.communicate(timeout=60)[1]


@pytest.fixture
def lab(place):
    with contextlib.ExitStack() as ending:

        def start(**options):
            one = Lab(place, **options)
            ending.callback(one.close)
            return one

        yield start


@pytest.mark.slow
def test_two_starts_each_open_to_their_own_token_here_and_what_the_learner_did_is_kept(lab):
    one = lab()
    notebook = one.folder / course.lessons()[0].path.name
    notebook.write_text(notebook.read_text() + "\n\n")
    workspace = next((one.folder / ".hpclab" / "workspaces").iterdir())
    workspace.write_text(workspace.read_text() + "\n")
    changed, mine = notebook.read_bytes(), workspace.read_bytes()
    two = lab()
    assert notebook.read_bytes() == changed
    assert workspace.read_bytes() == mine
    assert one.port != two.port
    assert one.ask("api/status")["started"]
    for token in ("wrong", one.token):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            two.ask("api/status", token=token)
    listening = set()
    for process in one.family():
        with contextlib.suppress(psutil.NoSuchProcess):  # one of the helpers that come and go
            found = process.net_connections("tcp")
            listening |= {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    assert not [p for p in psutil.process_iter(["cmdline"]) if one.token in " ".join(p.info["cmdline"] or [])]


def soak(*names):
    return [pytest.param(name, marks=pytest.mark.soak) for name in names]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", *soak("SIGINT", "SIGTERM", "SIGHUP")])
def test_whatever_ends_it_ends_its_kernels_where_there_is_no_slurm(lab, name):
    one = lab()
    assert "7" in one.run_in_kernel("print(3 + 4)")
    family = one.family()
    assert len(family) >= 3  # the command, the server, the kernel
    one.process.send_signal(getattr(signal, name))
    until(lambda: all(map(gone, family)), "all of it has ended")
    assert not [*one.runtime.glob("kernel-*.json")]


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL", *soak("SIGTERM", "SIGHUP")])
def test_kernels_use_the_slurm_that_it_starts_and_whatever_ends_it_ends_all_of_it(lab, place, name):
    one = lab(slurm=True, SLURM_JOB_ID="17", SLURM_NTASKS="3")
    said = one.run_in_kernel(
        "import os\n"
        "!sbatch --parsable --wait --output=/dev/null --wrap=hostname\n"
        "!sinfo --noheader --format=%T\n"
        "print(sorted(name for name in os.environ if name in ('SLURM_JOB_ID', 'SLURM_NTASKS')))"
    )
    number, *states, job = said.split()
    assert (number.isdigit(), "idle" in states, job) == (True, True, "[]"), said
    family, mark = one.family(), str(place / "state")
    assert len(family) >= 3  # the command, the server, the kernel
    daemons = [p for p in psutil.process_iter(["cmdline"]) if mark in " ".join(p.info["cmdline"] or [])]
    assert daemons
    one.process.send_signal(getattr(signal, name))
    until(lambda: all(map(gone, [*daemons, *family])), "all of it has ended")
    assert not [*one.runtime.glob("kernel-*.json"), *(place / "state").glob("slurm-*")]


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_passed_over(lab, place):
    one = lab(HOME="/proc")
    with urllib.request.urlopen(one.address, timeout=30) as page:
        assert page.status == 200
    assert f"the course is in {place / 'state' / 'course'} instead" in one.close()
    assert (place / "state" / "course" / "slurm" / "jobs").is_dir()


@pytest.mark.slow
def test_it_opens_with_settings_that_were_made_for_another_server(lab, place):
    """And its kernel is this Python's, although the user has installed another one of that name, and imports
    the real modules, although files beside the notebooks are named so."""
    server = {"base_url": "/jupyter/", "certfile": "/nonexistent.pem", "password": "argon2:x", "sock": "/x",
              "contents_manager_class": "not.installed.Manager", "root_dir": "/etc"}  # fmt: skip
    others = {"FileContentsManager": {"root_dir": "/etc"}, "KernelSpecManager": {"allowed_kernelspecs": []}}
    for name, text in {
        ".jupyter/jupyter_server_config.json": json.dumps({"ServerApp": server} | others),
        ".jupyter/jupyter_server_config.py": "c.ServerApp.port = 9\nraise RuntimeError('theirs')\n",
        ".jupyter/jupyter_lab_config.py": "c.LabApp.app_dir = '/nonexistent'\nc.LabApp.dev_mode = True\n",
        ".local/share/jupyter/kernels/python3/kernel.json":
            '{"argv": ["/nonexistent"], "display_name": "x", "language": "python"}',
    }.items():  # fmt: skip
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    one = lab(
        JUPYTER_TOKEN="x", JUPYTERHUB_API_TOKEN="x", JUPYTERLAB_DIR="/nonexistent", XDG_DATA_HOME="/proc/x",
        https_proxy="http://127.0.0.1:9", SSL_CERT_FILE="/nonexistent", JUPYTER_PREFER_ENV_PATH="0",
    )  # fmt: skip
    assert any(file["name"].startswith("00_") for file in one.ask("api/contents")["content"])
    lay_traps(one.folder)  # beside the notebooks
    said = one.run_in_kernel(
        "import os, sys, hpclab, random, numpy, helpers\n"
        "print(sys.executable, os.environ['SSL_CERT_FILE'], helpers.double(numpy.arange(2).sum()))"
    )
    assert said.split() == [sys.executable, "/nonexistent", "2"]


@pytest.mark.slow
def test_its_terminals_find_the_courses_programs_and_a_restarted_kernel_leaves_no_word(lab, place):
    (place / ".bash_profile").write_text("PATH=/usr/bin:/bin\n")
    one = lab(SHELL="/bin/bash")
    name = one.ask("api/terminals", "POST", body={})["name"]
    socket = create_connection(f"ws://127.0.0.1:{one.port}/terminals/websocket/{name}?token={one.token}", 30)
    socket.send(json.dumps(["stdin", "echo $(command -v hpclab) $(command -v python) end\n"]))
    text, programs = "", os.path.dirname(sys.executable)
    while f"{programs}/hpclab {programs}/python end" not in text:
        text += str(json.loads(socket.recv())[1:])
    socket.close()
    kernel = one.ask("api/kernels", "POST", body={"name": "python3"})["id"]
    channels = f"ws://127.0.0.1:{one.port}/api/kernels/{kernel}/channels?token={one.token}"
    page = create_connection(channels, 30)  # as a notebook is open
    for _ in range(2):
        one.ask(f"api/kernels/{kernel}/restart", "POST", body={})
    page.close()
    one.ask(f"api/kernels/{kernel}", "DELETE")
    said = one.close()
    assert not re.search("Traceback|ERROR|destroyed", said), said
