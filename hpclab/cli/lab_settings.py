"""JupyterLab's configuration in `hpclab lab`: ours where the learner would be locked out, theirs elsewhere.

What people keep in ~/.jupyter is for their server elsewhere: another base path, a certificate, a password, a
contents manager or a login of packages that are not in this environment. So of the server's own settings only
those named here are taken from them, and of other parts' all but what says who, where and by which class.
"""

import secrets
from typing import Any

from traitlets.config import Config

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


def harmless(theirs: Config) -> Config:
    """Of a user's configuration, what cannot keep the learner from reaching the course."""
    kept = Config()
    for section, values in theirs.items():
        if section.endswith(_LEFT_SECTIONS) or not isinstance(values, dict):
            continue
        for name, value in values.items():
            if name in _TAKEN.get(section, {name}) and name not in _LEFT and not name.endswith(_LEFT_NAMES):
                kept[section][name] = value
    return kept


def settings(spec: dict[str, Any]) -> Config:
    """Ours, for `spec`: folder, port, token, workspaces."""
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
    """From now on every Jupyter application takes `ours`, and what is harmless from configuration files."""
    from jupyter_core.application import JupyterApp

    update = JupyterApp.update_config

    def update_config(self: JupyterApp, config: Config) -> None:
        kept = harmless(config)
        kept.merge(ours)
        update(self, kept)

    JupyterApp.update_config = update_config  # type: ignore[method-assign, assignment]
