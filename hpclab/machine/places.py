"""Where a lesson may write, on what kind of file system, and which networks this machine is on."""

from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil

from hpclab.machine.description import FileSystem, Interface

_SHARED = {"lustre", "gpfs", "beegfs", "nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "orangefs",
           "panfs", "wekafs", "virtiofs", "afs", "daos", "pvfs2", "fuse.sshfs", "fuse.glusterfs"}  # fmt: skip
_IN_MEMORY = {"tmpfs", "ramfs", "devtmpfs"}
_PATIENCE = 1.0  # seconds; a network file system whose server is gone would wait for ever


def file_systems(environment: Mapping[str, str] | None = None) -> tuple[FileSystem, ...]:
    """The home, working and temporary folders, and the site's scratch where the environment names one."""
    known = os.environ if environment is None else environment
    places = {"home": Path(known.get("HOME") or "~").expanduser(), "work": Path(), "tmp": _temporary()}
    for name in ("SCRATCH", "WORK", "PSCRATCH", "SLURM_TMPDIR"):
        if Path(known.get(name, "")).is_absolute():
            places[f"${name}"] = Path(known[name])
    mounts = read_mounts()
    return tuple(_describe(role, path, mounts) for role, path in places.items())


def read_mounts(mountinfo: Path = Path("/proc/self/mountinfo")) -> dict[str, str]:
    """Mount point to file system type; from /proc, and where there is none (macOS) from the system."""
    try:
        lines = mountinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    mounts = {}
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) >= 5 and kind:
            mounts[re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), fields[4])] = kind[0]
    return mounts


def type_of(path: str, mounts: Mapping[str, str]) -> str:
    """The type of the file system `path` is on: that of the longest mount point above it."""
    above = [point for point in mounts if path == point or path.startswith(point.rstrip("/") + "/")]
    return mounts[max(above, key=len)] if above else ""


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # no folder for temporary files can be written to: say so, do not fail
        return Path("/tmp")  # noqa: S108


def _describe(role: str, path: Path, mounts: Mapping[str, str]) -> FileSystem:
    answer: list[tuple[str, int, int, bool]] = []

    def ask() -> None:
        try:
            place = os.path.realpath(path)
            state = os.statvfs(place)
        except OSError:  # not there, or the working folder was deleted under us
            answer.append((str(path), 0, 0, False))
            return
        writable = os.access(place, os.W_OK) and not state.f_flag & getattr(os, "ST_RDONLY", 1)
        free = state.f_bavail * state.f_frsize
        answer.append((place, state.f_blocks * state.f_frsize, free, writable))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    place, size, free, writable = answer[0] if answer else (str(path), 0, 0, False)
    kind = type_of(place, mounts)
    return FileSystem(role, place, kind or "unknown", _class(kind), size, free, writable, bool(answer))


def _class(kind: str) -> str:
    if not kind:
        return "unknown"
    return "shared" if kind in _SHARED else "memory" if kind in _IN_MEMORY else "local"


def interfaces(root: Path = Path("/")) -> tuple[Interface, ...]:
    """Network interfaces with their addresses, then InfiniBand and Omni-Path ports with their rates."""
    states = psutil.net_if_stats()
    found = []
    for name, entries in sorted(psutil.net_if_addrs().items()):
        addresses = [
            entry.address.partition("%")[0]
            for entry in entries
            if entry.family in (socket.AF_INET, socket.AF_INET6)
        ]
        state = states.get(name)
        speed = (
            state.speed * 1e6 / 8 if state and 0 < state.speed < 10**7 else 0.0
        )  # 65535-like values: unknown
        if addresses:
            fabric = "loopback" if "127.0.0.1" in addresses or "::1" in addresses else "ethernet"
            found.append(Interface(name, tuple(addresses), speed, bool(state and state.isup), fabric))
    return (*found, *_fabric_ports(root))


def _fabric_ports(root: Path) -> list[Interface]:
    ports = []
    for port in sorted(root.glob("sys/class/infiniband/*/ports/*")):
        try:
            rate, state = (port / "rate").read_text().strip(), (port / "state").read_text()
            layer = (port / "link_layer").read_text().strip() if (port / "link_layer").exists() else ""
        except OSError:
            continue
        number = re.match(r"([\d.]+)\s*Gb/sec", rate)
        fabric = "roce" if layer == "Ethernet" else "omni-path" if "hfi1" in str(port) else "infiniband"
        bandwidth = float(number[1]) * 1e9 / 8 if number else 0.0
        name = f"{port.parents[1].name}:{port.name}"
        ports.append(Interface(name, (), bandwidth, "ACTIVE" in state, fabric))
    return ports
