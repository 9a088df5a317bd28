"""JupyterLab as `hpclab lab` starts it: a program that reads one line of JSON from standard input (so that
the token shows in no process list), answers with one line, and ends its kernels, its terminals and a Slurm
that was started for it when that input ends, as it does with a parent that is killed. What people keep in
~/.jupyter is for their server elsewhere: another base path, a certificate, a password. So of the server's own
settings only those named here are taken, and of other parts' all but what says who, where and by which
class."""

import io
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import warnings
from typing import Any, TextIO

from traitlets.config import Config

LAST_WORD = "end\n"  # what the parent says before it closes the input, where it ends in order
_WAY_OUT = {"all_proxy", "http_proxy", "https_proxy", "ssl_cert_dir", "ssl_cert_file", "sslkeylogfile"}
_TAKEN = {  # from sections that decide whether the server can be reached
    "ServerApp": {
        "iopub_data_rate_limit", "iopub_msg_rate_limit", "jpserver_extensions", "limit_rate", "log_level",
        "max_body_size", "max_buffer_size", "rate_limit_window", "terminado_settings", "terminals_enabled",
    },
    "LabApp": {"copy_absolute_path", "custom_css", "log_level", "notebook_starts_kernel"},
    "Application": {"log_level"},
    "ExtensionApp": set(), "GatewayClient": set(), "JupyterApp": set(), "LabServerApp": set(),
}  # fmt: skip
_LEFT_SECTIONS = ("Authorizer", "IdentityProvider", "LoginHandler")
_LEFT_NAMES = ("_class", "_dir", "_factory", "_port", "_url")
_LEFT = {"allowed_kernelspecs", "default_kernel_name", "ip", "token", "transport", "transport_encryption"}


def main() -> int:
    told, sys.stdin = sys.stdin, io.StringIO()  # so that nothing else reads what the parent says
    spec = json.loads(told.readline())
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is not the answer
    warnings.simplefilter("ignore")  # the libraries' notes to each other are not for the learner's terminal
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    died: list[bool] = []
    threading.Thread(target=_watch, args=(told, died), daemon=True).start()
    try:
        # Nothing of JupyterLab's goes outside here, so a proxy or certificate that is not there is no
        # obstacle to its start; kernels and terminals get them as they are.
        kept = {name: os.environ.pop(name) for name in list(os.environ) if name.lower() in _WAY_OUT}
        from jupyterlab.labapp import LabApp

        ours = settings(spec)
        ours_first(ours)
        server = LabApp.initialize_server(argv=[], config=ours)
        os.environ.update(kept)
        signal.signal(signal.SIGTERM, lambda *_: server.stop(from_signal=True))
        print(json.dumps({"port": server.port}), file=answer, flush=True)
        server.start()
    finally:
        if spec["take_down_slurm"] and died:
            down = [sys.executable, "-P", "-m", "hpclab.cli", "slurm", "down"]
            subprocess.run(down, timeout=30, check=False)
    return 0


def _watch(told: TextIO, died: list[bool]) -> None:
    """Wait for the end of the parent's pipe `told`, then end; append to `died` if LAST_WORD did not come."""
    if told.read() != LAST_WORD:
        died.append(True)
        for end in (1, 2):  # nobody reads what is printed any more
            os.dup2(os.open(os.devnull, os.O_WRONLY), end)
    os.kill(os.getpid(), signal.SIGTERM)


def settings(spec: dict[str, Any]) -> Config:
    """Our configuration of JupyterLab from the keys of `spec`: folder, port, token, workspaces."""
    return Config(
        Application={"log_level": "ERROR"},
        ServerApp={
            "ip": "127.0.0.1", "port": spec["port"], "port_retries": 0, "allow_remote_access": False,
            "root_dir": spec["folder"], "default_url": "/lab", "open_browser": False, "answer_yes": True,
            "allow_root": True, "cookie_secret": secrets.token_bytes(32),
            "kernel_spec_manager_class": "hpclab.cli.kernel.Kernels",
        },
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
    )  # fmt: skip


def ours_first(ours: Config) -> None:
    """Patch Jupyter: each application takes `ours`, and from configuration files only what is `harmless`."""
    from jupyter_core.application import JupyterApp

    update = JupyterApp.update_config

    def update_config(self: JupyterApp, config: Config) -> None:
        kept = harmless(config)
        kept.merge(ours)
        update(self, kept)

    JupyterApp.update_config = update_config  # type: ignore[method-assign, assignment]


def harmless(theirs: Config) -> Config:
    """The part of a user's configuration that cannot keep the learner from reaching the course."""
    kept = Config()
    for section, values in theirs.items():
        if section.endswith(_LEFT_SECTIONS) or not isinstance(values, dict):
            continue
        for name, value in values.items():
            if name in _TAKEN.get(section, {name}) and name not in _LEFT and not name.endswith(_LEFT_NAMES):
                kept[section][name] = value
    return kept


if __name__ == "__main__":
    raise SystemExit(main())
