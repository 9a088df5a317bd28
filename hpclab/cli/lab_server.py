"""JupyterLab as `hpclab lab` starts it: a program of its own, which ends when its parent does.

It reads one line of JSON from standard input (so that the token shows in no process list), starts JupyterLab
in this process, answers with one line, and then waits for the end of that input. A parent that is killed
outright closes it too, and then this process ends the kernels, the terminals, and a Slurm that was started
for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from typing import Any

LAST_WORD = "end\n"  # what the parent says before it closes the input, where it ends in order


def settings(spec: dict[str, Any]) -> Any:
    """JupyterLab's configuration for `spec`: folder, port, token, workspaces. It wins over the user's own."""
    from traitlets.config import Config

    server = {
        "ip": "127.0.0.1",
        "port": spec["port"],
        "port_retries": 0,
        "root_dir": spec["folder"],
        "open_browser": False,
        "allow_root": True,
        "allow_remote_access": False,
        "answer_yes": True,
    }
    return Config(
        Application={"log_level": "ERROR"},
        ServerApp=server,
        IdentityProvider={"token": spec["token"]},
        PasswordIdentityProvider={"hashed_password": "", "token": spec["token"]},
        LabApp={
            "news_url": None,  # no announcements, and no question about them
            "check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
            "extension_manager": "readonly",
            "workspaces_dir": spec["workspaces"],
        },
        ServerProxy={"host_allowlist": ["localhost", "127.0.0.1"]},
        KernelManager={"transport_encryption": "auto"},  # or anyone on this node can listen to a kernel
        LanguageServerManager={"autodetect": False},  # it would run every program it might know
    )


def main() -> int:
    spec = json.loads(sys.stdin.readline())
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is not the answer
    warnings.simplefilter("ignore")  # the libraries' notes to each other are not for the learner's terminal
    from jupyterlab.labapp import LabApp

    server = LabApp.initialize_server(argv=[], config=settings(spec))
    signal.signal(signal.SIGTERM, lambda *_: server.stop(from_signal=True))
    parent = _Parent()
    parent.start()
    print(json.dumps({"port": server.port}), file=answer, flush=True)
    server.start()
    if spec["take_down_slurm"] and parent.died:
        subprocess.run([sys.executable, "-P", "-m", "hpclab.cli", "slurm", "down"], timeout=30, check=False)
    return 0


class _Parent(threading.Thread):
    """Waits for the end of standard input. `died`: it came without the parent's last word."""

    died = False

    def __init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        self.died = sys.stdin.read() != LAST_WORD
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    raise SystemExit(main())
