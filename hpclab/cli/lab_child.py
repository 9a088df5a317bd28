"""JupyterLab in a child process, `lab_server`: started, waited for, ended."""

import contextlib
import http.client
import json
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self, cast

from hpclab.cli import workspace
from hpclab.cli.lab_server import LAST_WORD
from hpclab.course import lessons

_STARTS = 3  # two starts in the same moment may be given one port; the one that lost it tries again
_READY = 90.0  # seconds for JupyterLab to answer; a cold file system needs most of them
_PATIENCE = 10.0  # seconds of waiting after which that is said
_GRACE = 20.0  # seconds for kernels to end by themselves
# Variables that another Jupyter sets for its children; those that name folders are the user's.
_ANOTHERS = re.compile(r"JPY_|JUPYTERHUB_|JUPYTERLAB_|JUPYTER_(?!(.*_)?(DIRS?|PATH)$)")


class Server:
    """A JupyterLab in a child process; `address` is complete with the token once `port` is known."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, token: str):
        self.process, self.folder, self.token = process, folder, token
        self.port, self.up = 0, False
        self.said: deque[str] = deque(maxlen=5)  # its last lines
        pipes = cast(tuple[IO[str], IO[str], IO[str]], (process.stdin, process.stdout, process.stderr))
        self._told, self._answers, self._errors = pipes
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    @classmethod
    def start(
        cls, folder: Path, port: int, *, take_down_slurm: bool, stopped: Callable[[], bool],
        say: Callable[[str], object],
    ) -> Self | None:  # fmt: skip
        """Start it in `folder` (`port` 0: any free one) and wait until it answers, if need be again
        without the learner's own Jupyter configuration, which it tells `say`. None if `stopped()`;
        RuntimeError if it failed."""
        spec = {"folder": str(folder), "port": port, "take_down_slurm": take_down_slurm}
        workspace.write(folder / ".hpclab" / "workspaces", workspace.first_view(lessons()[0].path.name))
        theirs, left_out = True, ""
        for _ in range(_STARTS):
            if port:
                _refuse_a_port_in_use(port)
            server = cls._in_a_child(folder, spec, theirs)
            wrong = server.wait_until_open(stopped, say)
            if not wrong and not stopped():
                if left_out:
                    because = f"because JupyterLab did not open with it: {left_out}"
                    say(f"Your own Jupyter configuration was left out, {because}")
                server.up = True
                return server
            server.end()
            if stopped():
                return None
            wrong += "".join(f"\n    {line}" for line in server.said)
            if theirs and "in use" not in wrong and "not available" not in wrong:
                theirs, left_out = False, wrong
            elif not theirs:
                break
        raise RuntimeError(f"JupyterLab could not be started: {wrong}\n`hpclab doctor` checks this machine.")

    @classmethod
    def _in_a_child(cls, folder: Path, spec: dict[str, Any], theirs: bool) -> Self:
        """Start `lab_server` with `spec`; with the user's own configuration (`theirs`) or without."""
        state, token = folder / ".hpclab", secrets.token_urlsafe(32)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hpclab.cli.lab_server"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="replace", cwd=folder, env=_environment(state, theirs),
            umask=0o077,  # what lessons write is for their user alone
            start_new_session=True,  # a Ctrl-C is for this process, which then ends the child in order
        )  # fmt: skip
        server = cls(process, folder, token)
        with contextlib.suppress(OSError):  # it may have ended already, and then says why
            told = spec | {"token": token, "workspaces": str(state / "workspaces")}
            print(json.dumps(told), file=server._told, flush=True)
        return server

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/lab/workspaces/{workspace.NAME}?token={self.token}"

    def _listen(self) -> None:
        """Keep the last lines of its standard error in `said`, and print all of them once it is `up`."""
        for line in self._errors:
            self.said.extend([line.rstrip()] if line.strip(" ^~\n") else [])
            if self.up:
                print(line, end="", file=sys.stderr, flush=True)

    def wait_until_open(self, stopped: Callable[[], bool], say: Callable[[str], object]) -> str:
        """Wait until its page opens with its token or `stopped()`; return "" then, or the first error."""
        begin, patient = time.monotonic(), True
        while not stopped():
            waited = time.monotonic() - begin
            if self.process.poll() is not None:
                return f"it ended with status {self.process.returncode}."
            if waited > _READY:
                return f"it did not answer within {_READY:g} s."
            if patient and waited > _PATIENCE:
                patient = False
                say("JupyterLab is starting; its first start on a machine may take a minute.")
            if self.port:
                if (wrong := self._page_error()) is not None:
                    return wrong
                time.sleep(0.1)
            elif select.select([self._answers], [], [], 0.2)[0]:
                answer = self._answers.readline()
                self.port = json.loads(answer)["port"] if answer else 0
        return ""

    def _page_error(self) -> str | None:
        """Request its page; return "" if it is right, None if its port is not open yet, else the error."""
        page, token = self.address.split("?token=")
        request = urllib.request.Request(page, headers={"Authorization": f"token {token}"})  # noqa: S310
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(request, timeout=5) as answer:
                ours = b"jupyter-config-data" in answer.read(2**20)
                return "" if ours else f"what answers at {page} is not JupyterLab open to this start's token."
        except urllib.error.HTTPError as error:
            return f"it answers {error.code} ({error.reason}) at {page}."
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError | ConnectionRefusedError):  # its port is not open yet
                return None
            return f"it does not answer in HTTP at {page} ({reason})."

    def end(self) -> None:
        """End it and its kernels; by force after a while."""
        with contextlib.suppress(OSError):  # it may have ended by itself
            self._told.write(LAST_WORD)
            self._told.close()
        try:
            self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._listening.join(2)


def _refuse_a_port_in_use(port: int) -> None:
    try:
        socket.create_server(("127.0.0.1", port)).close()  # reusing an address, as JupyterLab itself does
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise RuntimeError(
            f"JupyterLab cannot use port {port} ({why}): choose another, or leave --port out."
        ) from None


def _environment(state: Path, theirs: bool) -> dict[str, str]:
    """Return the environment of JupyterLab and its kernels: without what another Jupyter set for its own
    children (a terminal inside JupyterHub), and, unless `theirs`, without the user's configuration. Folders
    that cannot be written are replaced by some in `state`."""
    from jupyter_core import paths

    environment = {name: value for name, value in os.environ.items() if not _ANOTHERS.match(name)}
    places = [str(Path(__file__).parent / "jupyter_config"), environment.get("JUPYTER_CONFIG_PATH", "")]
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, places if theirs else places[:1]))
    # This Python's folder comes first, so that `hpclab` and `jupyter` in a terminal are these.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    if not os.path.isabs(os.path.expanduser("~")):  # nobody knows a home
        environment["HOME"] = os.environ["HOME"] = str(state)
    folders = {  # what Jupyter, IPython or Matplotlib would write to, and ours in its place
        "JUPYTER_CONFIG_DIR": (paths.jupyter_config_dir(), "jupyter"),
        "JUPYTER_DATA_DIR": (paths.jupyter_data_dir(), "jupyter/data"),
        "JUPYTER_RUNTIME_DIR": (paths.jupyter_runtime_dir(), "jupyter/runtime"),
        "IPYTHONDIR": (os.environ.get("IPYTHONDIR") or os.path.expanduser("~/.ipython"), "ipython"),
        "MPLCONFIGDIR": (os.environ.get("MPLCONFIGDIR") or os.path.expanduser("~/.config"), "matplotlib"),
    }
    for name, (used, instead) in folders.items():
        if not _takes_files(Path(used)) or (name == "JUPYTER_CONFIG_DIR" and not theirs):
            environment[name] = str(state / instead)
    return environment


def _takes_files(folder: Path) -> bool:
    """Whether `folder` can be written, tried: a full disk grants the permission and then fails."""
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(bytes(65536))
    except (OSError, StopIteration):
        return False
    return True
