"""JupyterLab in a child process: started, waited for, ended.

The child is `lab_server`, which ends by itself when this process is gone, however that happened.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpclab.cli import workspace
from hpclab.cli.lab_server import LAST_WORD
from hpclab.course import lessons

_STARTS = 3  # two starts in the same moment may be given one port; the one that lost it tries again
_READY = 90.0  # seconds for JupyterLab to answer; a cold file system needs most of them
_GRACE = 20.0  # seconds for kernels to end by themselves


@dataclass
class Server:
    """A JupyterLab in a child process; `address` is complete with the token."""

    process: subprocess.Popen[str]
    folder: Path
    address: str
    token: str
    port: int

    @classmethod
    def start(
        cls, folder: Path, port: int, *, take_down_slurm: bool, stopped: Callable[[], bool]
    ) -> Server | None:
        """Start it and wait until it answers. None if a stop was asked for; RuntimeError if it failed."""
        state = folder / ".hpclab"
        workspace.write(state / "workspaces", workspace.first_view(lessons()[0].path.name))
        for _ in range(_STARTS):
            token = secrets.token_urlsafe(32)
            process = subprocess.Popen(
                [sys.executable, "-m", "hpclab.cli.lab_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=folder,
                env=_environment(state),
                umask=0o077,  # what lessons write is for their user alone
                start_new_session=True,  # a Ctrl-C is for this process, which then ends the child in order
            )
            assert process.stdin is not None
            assert process.stdout is not None
            spec = {
                "folder": str(folder),
                "port": port,
                "token": token,
                "workspaces": str(state / "workspaces"),
                "take_down_slurm": take_down_slurm,
            }
            process.stdin.write(json.dumps(spec) + "\n")
            process.stdin.flush()
            while not select.select([process.stdout], [], [], 0.2)[0] and not stopped():
                pass
            answer = "" if stopped() else process.stdout.readline()
            listening = json.loads(answer)["port"] if answer else 0
            address = f"http://127.0.0.1:{listening}/lab/workspaces/{workspace.NAME}?token={token}"
            server = cls(process, folder, address, token, listening)
            if answer and server.answers(stopped):
                return server
            server.end()
            if stopped():
                return None
            if port:
                break
        raise RuntimeError(
            f"JupyterLab could not be started on port {port}: in use? Choose another, or leave it out."
            if port
            else "JupyterLab could not be started; it says why above. `hpclab doctor` checks this machine."
        )

    def answers(self, stopped: Callable[[], bool]) -> bool:
        """True once it answers to its token; False if it ended, took too long, or a stop was asked for."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/status", headers={"Authorization": f"token {self.token}"}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + _READY
        while time.monotonic() < deadline and self.process.poll() is None and not stopped():
            try:
                with direct.open(request, timeout=5):
                    return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        return False

    def end(self) -> None:
        """End it and its kernels; by force after a while."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it may have ended by itself
            self.process.stdin.write(LAST_WORD)
            self.process.stdin.close()
        try:
            self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _environment(state: Path) -> dict[str, str]:
    """What JupyterLab and its kernels see. Where the home cannot be written, Jupyter's and IPython's own
    folders go beside the course."""
    environment = dict(os.environ)
    # This Python's folder comes first, so that `hpclab` and `jupyter` in a terminal are these.
    with importlib.resources.as_file(importlib.resources.files("hpclab.cli") / "jupyter_config") as ours:
        theirs = environment.get("JUPYTER_CONFIG_PATH")
        environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [str(ours), theirs]))
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    if not _takes_files(Path.home()):
        for name, place in {
            "JUPYTER_CONFIG_DIR": "jupyter",
            "JUPYTER_DATA_DIR": "jupyter/data",
            "JUPYTER_RUNTIME_DIR": "jupyter/runtime",
            "IPYTHONDIR": "ipython",
            "MPLCONFIGDIR": "matplotlib",
        }.items():
            environment.setdefault(name, str(state / place))
    return environment


def _takes_files(folder: Path) -> bool:
    """Whether `folder` can be written, tried: a full disk grants the permission and then fails."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(65536))
    except OSError:
        return False
    return True
