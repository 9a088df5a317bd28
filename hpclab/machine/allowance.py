"""How many cores and how much memory this process may use, which is often less than the machine has.

A laptop gives all of it. A container has a quota (cgroup, version 1 or 2), a batch job has what it asked for,
a hub's server has what the hub allows. Asking the hardware and starting that many workers is the classic way
to make a shared node slow and to be killed for memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from hpclab.machine.description import Cores, Memory

_UNLIMITED = 2**60  # cgroup v1 writes "no limit" as a number just below 2**63


def cores(root: Path = Path("/"), environment: Mapping[str, str] | None = None) -> Cores:
    """The least of: affinity mask, cgroup CPU quota, the Slurm job's CPUs, the hub's CPU limit."""
    known = os.environ if environment is None else environment
    logical = psutil.cpu_count(logical=True) or 1
    allowed: list[tuple[float, str]] = [(float(logical), "")]
    if hasattr(os, "sched_getaffinity"):
        allowed.append((float(len(os.sched_getaffinity(0))), "the affinity mask of this process"))
    for folder in _cgroups("cpu", root):
        quota = _cpu_quota(folder)
        if quota:
            allowed.append((quota, "a container's CPU quota (cgroup)"))
    if "SLURM_JOB_ID" in known:
        allowed += _numbers(known, "SLURM_CPUS_ON_NODE", 1, "the Slurm job this runs in")
    allowed += _numbers(known, "CPU_LIMIT", 1, "the hub's CPU limit")
    usable, reason = min(allowed, key=lambda pair: pair[0])
    return Cores(usable, logical, reason)


def memory(root: Path = Path("/"), environment: Mapping[str, str] | None = None) -> Memory:
    """The least of: physical memory, cgroup limit, ulimit, the Slurm job's memory, the hub's limit."""
    known = os.environ if environment is None else environment
    state = psutil.virtual_memory()
    allowed: list[tuple[float, str]] = [(float(state.total), "")]
    available = float(state.available)
    for folder in _cgroups("memory", root):
        limit = _read_number(folder / "memory.max") or _read_number(folder / "memory.limit_in_bytes")
        if limit and limit < _UNLIMITED:
            allowed.append((limit, "a container's memory limit (cgroup)"))
            available = min(available, max(0.0, limit - _used(folder)))
    address_space = _address_space_limit()
    if address_space:
        allowed.append((address_space, "ulimit -v"))
    if "SLURM_JOB_ID" in known:
        allowed += _numbers(known, "SLURM_MEM_PER_NODE", 2**20, "the Slurm job this runs in")
    allowed += _numbers(known, "MEM_LIMIT", 1, "the hub's memory limit")
    usable, reason = min(allowed, key=lambda pair: pair[0])
    return Memory(int(state.total), int(usable), int(min(available, usable)), reason)


def _cgroups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of the groups this process is in, innermost first: a limit on any of them counts."""
    mounts = _cgroup_mounts(root)
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        mount = mounts.get("" if not names else controller if controller in names.split(",") else "?")
        if mount is None:
            continue
        folder = mount / path.lstrip("/")
        if not folder.is_dir():  # inside a container the path is the host's, the mount is already ours
            folder = mount
        while True:
            yield folder
            if folder == mount:
                break
            folder = folder.parent


def _cgroup_mounts(root: Path) -> dict[str, Path]:
    """Mount points by controller name; the unified hierarchy of version 2 is under ""."""
    mounts: dict[str, Path] = {}
    for line in _lines(root / "proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        place = root / fields[4].lstrip("/")
        for name in [""] if kind[0] == "cgroup2" else kind[2].split(","):
            mounts.setdefault(name, place)
    return mounts


def _cpu_quota(folder: Path) -> float:
    """Cores' worth of CPU time per second, 0 where unlimited."""
    words = " ".join(_lines(folder / "cpu.max")).split()
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
        return int(words[0]) / int(words[1])
    quota, period = _read_number(folder / "cpu.cfs_quota_us"), _read_number(folder / "cpu.cfs_period_us")
    return quota / period if quota > 0 and period > 0 else 0.0


def _used(folder: Path) -> float:
    """Bytes in use, without the file cache that the kernel gives back when memory is asked for."""
    used = _read_number(folder / "memory.current") or _read_number(folder / "memory.usage_in_bytes")
    for line in _lines(folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return max(0.0, used - int(value))
    return used


def _address_space_limit() -> float:
    try:
        import resource
    except ImportError:
        return 0.0
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return 0.0 if soft == resource.RLIM_INFINITY or soft >= _UNLIMITED else float(soft)


def _numbers(environment: Mapping[str, str], name: str, scale: float, reason: str) -> list[tuple[float, str]]:
    text = environment.get(name, "")
    found = re.fullmatch(r"\d+(\.\d+)?", text)
    return [(float(text) * scale, f"{reason} ({name})")] if found and float(text) > 0 else []


def _read_number(path: Path) -> float:
    text = " ".join(_lines(path)).strip()
    return float(text) if re.fullmatch(r"-?\d+", text) else 0.0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
