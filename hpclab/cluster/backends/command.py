"""What every node starts: one Dask worker process with one thread, over TLS, seen by nobody else."""

from __future__ import annotations

import copy
import json
import os
import sys
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpclab.cluster.host import private

if TYPE_CHECKING:
    from distributed.security import Security

LOOPBACK = "127.0.0.1"
PRELOAD = "hpclab.cluster.preload"


@dataclass(frozen=True, slots=True)
class Place:
    """Where local workers and scheduler meet: loopback, with TLS files and scratch in `directory`."""

    directory: Path

    def worker_command(self, scheduler: str, name: str, memory: int) -> list[str]:
        """The arguments that start the worker `name`; `memory` in bytes."""
        return [
            sys.executable, "-P", "-m", "distributed.cli.dask_worker", scheduler, "--name", name,
            "--nthreads", "1", "--no-nanny", "--memory-limit", str(memory), "--host", LOOPBACK,
            "--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0",
            "--protocol", "tls://", *tls_arguments(self.directory),
            "--local-directory", str(self.directory), "--death-timeout", "60",
            "--preload", PRELOAD,
        ]  # fmt: skip

    def scheduler_options(self, security: Security) -> dict[str, Any]:
        """Options of the Dask scheduler inside the notebook's process."""
        return {
            "protocol": "tls://", "security": security, "port": 0, "dashboard": True,
            "dashboard_address": f"{LOOPBACK}:0", "allowed_failures": 3, "host": LOOPBACK,
        }  # fmt: skip


def loopback_environment() -> dict[str, str]:
    """What keeps gloo and NCCL on this machine's loopback interface."""
    name = "lo0" if sys.platform == "darwin" else "lo"
    return {"GLOO_SOCKET_IFNAME": name, "NCCL_SOCKET_IFNAME": name, "TP_SOCKET_IFNAME": name}


def tls_arguments(directory: Path) -> list[str]:
    """Where a worker finds its key, its certificate, and whom to trust."""
    files = {"ca-file": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
    return [word for option, file in files.items() for word in (f"--tls-{option}", str(directory / file))]


def scheduler_settings(directory: Path, site: bool = False) -> AbstractContextManager[object]:
    """What a Dask scheduler that is made while it holds has no argument for.

    Its scratch goes to `directory` (else to one in /tmp whose name is everybody's), and it looks twice a
    second, not fifty times, whether its event loop keeps up: the notebook's cores are the nodes' cores too.
    What the user has set for clusters elsewhere holds on a `site` only.
    """
    import dask

    return dask.config.set({
        **({} if site else {"distributed": shipped_settings()}),
        "temporary-directory": str(directory), "distributed.admin.tick.interval": "500ms",
    })  # fmt: skip


def shipped_settings() -> dict[str, Any]:
    """The settings of Dask's scheduler and workers as it ships them, whatever ~/.config/dask says."""
    import dask
    import distributed  # noqa: F401 - its import brings them

    return copy.deepcopy(next(own["distributed"] for own in dask.config.defaults if "distributed" in own))


def worker_settings(directory: Path) -> dict[str, str]:
    """The environment in which a worker takes Dask's settings as shipped, from a file in `directory`."""
    path = directory / "dask.yaml"
    path.write_text(json.dumps({"distributed": shipped_settings()}), encoding="utf-8")
    return {"DASK_CONFIG": str(path)}


def private_directory(name: str, shared: bool = False) -> Path:
    """A new directory that only its owner may enter, for one pool's keys, logs and scratch.

    With `shared` it is one that other nodes see too: below HPCLAB_STATE_DIR if that is set, else at home.
    """
    if shared and "HPCLAB_STATE_DIR" not in os.environ:
        place = Path.home() / ".hpclab"
        try:
            above = private.make(place)
        except OSError as error:
            raise OSError(
                f"A pool's files must be where all nodes see them, and {place} cannot be used: "
                f"{error.strerror or error}. Set HPCLAB_STATE_DIR to a directory of your own with a short, "
                "plain name, on a file system that the nodes share."
            ) from None
    else:
        above = private.home().path
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=above))


def core_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def last_lines(log: Path, lines: int = 8, size: int = 4000) -> str:
    """The end of a log, indented; nothing where there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - size))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "".join(f"\n    {line}" for line in text.splitlines()[-lines:])


def secure(directory: Path) -> Security:
    """A fresh key and certificate for one pool, in `directory` for its workers, readable by their owner only.

    Without TLS anyone who reaches the scheduler's port runs code as its owner, and a login node's loopback
    is shared by everyone on it.
    """
    from distributed.security import Security

    fresh = Security.temporary()
    names = {"ca.pem": fresh.tls_ca_file, "cert.pem": fresh.tls_worker_cert, "key.pem": fresh.tls_worker_key}
    for name, text in names.items():
        handle = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
    return fresh
