"""List the folders a lesson may write to with their file systems, and the networks this machine is on."""

import contextlib
import os
import re
import socket
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from hpclab.machine.allowance import file_text

_SHARED = {"lustre", "gpfs", "beegfs", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "orangefs",
           "panfs", "wekafs", "virtiofs", "afs", "daos", "pvfs2", "fuse.sshfs", "fuse.glusterfs"}  # fmt: skip
_IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
_PATIENCE = 1.0  # seconds; a network file system whose server is gone would wait for ever


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A folder for lessons: `role` is home, work, tmp or a variable ($SCRATCH), `kind` is local, shared,
    memory or unknown; sizes in bytes, 0 where the file system did not answer within a second (`answered`)."""

    role: str
    path: str
    type: str
    kind: str
    size: int
    free: int
    writable: bool
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Interface:
    """A network port. `bandwidth` is in bytes/s per direction, 0 where the system does not report it."""

    name: str
    addresses: tuple[str, ...]
    bandwidth: float
    up: bool
    fabric: str = "ethernet"


def file_systems() -> tuple[FileSystem, ...]:
    """The home, working and temporary folders, and the site's scratch where the environment names one."""
    places = {"home": Path(os.path.expanduser("~")), "work": Path(), "tmp": Path("/tmp")}  # noqa: S108
    with contextlib.suppress(FileNotFoundError):  # no folder for temporary files can be written to
        places["tmp"] = Path(tempfile.gettempdir())
    for name in ("SCRATCH", "WORK", "PSCRATCH", "SLURM_TMPDIR"):
        if os.path.isabs(os.environ.get(name, "")):
            places[f"${name}"] = Path(os.environ[name])
    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    return tuple(_describe(role, path, mounts) for role, path in places.items())


def type_of(path: str, mounts: Mapping[str, str]) -> str:
    """The type of the file system `path` is on: what `mounts` has for the longest mount point above it."""
    above = [point for point in mounts if path == point or path.startswith(point.rstrip("/") + "/")]
    return mounts[max(above, key=len)] if above else ""


def _describe(role: str, path: Path, mounts: Mapping[str, str]) -> FileSystem:
    """Query `path` in a thread, given up after _PATIENCE seconds."""
    found: list[tuple[str, int, int, bool]] = []

    def ask() -> None:
        with contextlib.suppress(OSError):  # not there, or the working folder was deleted under us
            place = os.path.realpath(path)
            state = os.statvfs(place)
            writable = os.access(place, os.W_OK) and not state.f_flag & getattr(os, "ST_RDONLY", 1)
            block = state.f_frsize
            found.append((place, state.f_blocks * block, state.f_bavail * block, writable))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    answered = not asking.is_alive()
    place, size, free, writable = found[0] if found else (str(path), 0, 0, False)
    of = type_of(place, mounts)
    kind = "shared" if of in _SHARED else "memory" if of in _IN_MEMORY else "local" if of else "unknown"
    return FileSystem(role, place, of or "unknown", kind, size, free, writable, answered)


def interfaces(root: Path = Path("/")) -> tuple[Interface, ...]:
    """Network interfaces with their addresses, then InfiniBand and Omni-Path ports with their rates."""
    states = psutil.net_if_stats()
    found = []
    for name, entries in sorted(psutil.net_if_addrs().items()):
        of_ip = [entry for entry in entries if entry.family in (socket.AF_INET, socket.AF_INET6)]
        addresses, state = [entry.address.partition("%")[0] for entry in of_ip], states.get(name)
        speed = state.speed * 1e6 / 8 if state and state.speed < 10**7 else 0.0  # beyond: not known
        if addresses:
            fabric = "loopback" if "127.0.0.1" in addresses or "::1" in addresses else "ethernet"
            found.append(Interface(name, tuple(addresses), speed, bool(state and state.isup), fabric))
    for port in sorted(root.glob("sys/class/infiniband/*/ports/*")):
        ethernet = file_text(port / "link_layer") == "Ethernet"
        number = re.match(r"[\d.]+", file_text(port / "rate"))
        fabric = "roce" if ethernet else "omni-path" if "hfi1" in str(port) else "infiniband"
        bandwidth = float(number[0]) * 1e9 / 8 if number else 0.0  # "200 Gb/sec (4X HDR)"
        name = f"{port.parents[1].name}:{port.name}"
        found.append(Interface(name, (), bandwidth, "ACTIVE" in file_text(port / "state"), fabric))
    return tuple(found)
