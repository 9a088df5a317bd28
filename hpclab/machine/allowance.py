"""How many cores and how much memory this process may use, often less than the machine has: a container has a
quota (cgroup, version 1 or 2), a batch job what it requested, a hub's server what the hub allows."""

import os
import re
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Cores:
    """Counts of cores: `usable` by this process, not whole where a container has a quota; `logical` ones of
    the hardware; `limited_by` says what makes the difference, or ""."""

    usable: float
    logical: int
    limited_by: str = ""

    @property
    def whole(self) -> int:
        """Rounded down, so that no two processes share a core; at least 1."""
        return max(1, int(self.usable))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: `total` of the hardware, `usable` by this process, `available` of these now."""

    total: int
    usable: int
    available: int
    limited_by: str = ""


def cores(root: Path = Path("/")) -> Cores:
    """Usable cores: the least of affinity mask, cgroup CPU quota, the Slurm job's and the hub's limit."""
    logical = psutil.cpu_count() or 1
    allowed: list[tuple[float, str]] = [(logical, "")]
    if hasattr(os, "sched_getaffinity"):
        allowed.append((len(os.sched_getaffinity(0)), "the affinity mask of this process"))
    for folder in _cgroups("cpu", root):
        first = " ".join(file_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota := re.fullmatch(r"([1-9]\d*) ([1-9]\d*)", file_text(folder / "cpu.max") or first):
            allowed.append((int(quota[1]) / int(quota[2]), "a container's CPU quota (cgroup)"))
    usable, reason = min(allowed + _env_limits("SLURM_CPUS_ON_NODE", 1, "CPU_LIMIT"), key=itemgetter(0))
    return Cores(float(usable), logical, reason)


def memory(root: Path = Path("/")) -> Memory:
    """Usable memory: the least of physical memory, the cgroup's, ulimit's, the Slurm job's, the hub's."""
    state = psutil.virtual_memory()
    allowed: list[tuple[float, str]] = [(state.total, "")]
    available = float(state.available)
    for folder in _cgroups("memory", root):
        if limit := _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes"):
            allowed.append((limit, "a container's memory limit (cgroup)"))
            used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
            # The kernel gives the file cache back when memory is asked for.
            cache = re.search(r"^(?:total_)?inactive_file (\d+)$", file_text(folder / "memory.stat"), re.M)
            used = max(0.0, used - int(cache[1])) if cache else used
            available = min(available, max(0.0, limit - used))
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        allowed.append((address_space, "ulimit -v"))
    usable, reason = min(allowed + _env_limits("SLURM_MEM_PER_NODE", 2**20, "MEM_LIMIT"), key=itemgetter(0))
    return Memory(state.total, int(usable), int(min(available, usable)), reason)


def file_text(path: Path) -> str:
    """The stripped text of a small file of the system; "" where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _cgroups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folder of each cgroup this process is in, innermost first: a limit on any of them counts."""
    mounts: dict[str, Path] = {}  # by controller; the unified hierarchy of version 2 is under ""
    for line in file_text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith(("cgroup ", "cgroup2 ")):
            version, _, options = after.split(" ", 2)
            for name in options.split(",") if version == "cgroup" else [""]:
                mounts.setdefault(name, root / before.split()[4].lstrip("/"))
    for line in file_text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if mount := mounts.get("" if not names else controller if controller in names.split(",") else "?"):
            folder = mount / path.lstrip("/")
            if not folder.is_dir():  # inside a container the path is the host's, the mount is already ours
                folder = mount
            yield from (group for group in (folder, *folder.parents) if group.is_relative_to(mount))


def _env_limits(job: str, unit: float, hub: str) -> list[tuple[float, str]]:
    """(limit, whose) from the environment variables `job` of a Slurm job, in `unit`, and `hub` of a hub."""
    within = [(job, unit, "the Slurm job this runs in")] if "SLURM_JOB_ID" in os.environ else []
    return [
        (float(value) * scale, f"{whose} ({name})")
        for name, scale, whose in (*within, (hub, 1, "the hub's limit"))
        if re.fullmatch(r"\d+(\.\d+)?", value := os.environ.get(name, "")) and float(value) > 0
    ]


def _number(path: Path) -> float:
    """The number in a file; 0 where it holds anything else, such as "max"."""
    content = file_text(path)
    return float(content) if content.isdigit() else 0.0
