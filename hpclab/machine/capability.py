"""What a machine can do for a learner, in sentences: shared by `hpclab doctor` and lesson 00's table."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from hpclab import units
from hpclab.machine.description import FileSystem, Machine

STATES = ("yes", "partly", "no")
RANK = 240 * 2**20  # bytes of one Dask worker with torch and its nanny, measured on Debian 12 with torch 2.13
COURSE = 400 * 2**20  # JupyterLab, one kernel and our own Slurm took 204 MiB there; a lesson imports as much


@dataclass(frozen=True, slots=True)
class Capability:
    """`name`, `state` (one of STATES), what is `here` in a few words, `remedy` where that is not all."""

    name: str
    state: str
    here: str
    remedy: str = ""


def capabilities(machine: Machine) -> tuple[Capability, ...]:
    """One screen of what `machine` has and lacks, in the order a learner meets it."""
    return (
        _cores(machine),
        _memory(machine),
        _gpus(machine),
        _slurm(machine),
        _mpi(machine),
        _files(machine),
        _network(machine),
    )


def ranks(machine: Machine) -> int:
    """How many ranks with torch fit into the memory that is free now; at least 1."""
    return max(1, int((machine.memory.available - COURSE) // RANK))


def for_lesson(machine: Machine, needs: Sequence[str]) -> tuple[str, str]:
    """How a lesson with these needs runs on `machine`: a state, and a sentence saying on what."""
    said, states = [], []
    by_name = {item.name: item for item in capabilities(machine)}
    if "slurm" in needs:
        states.append(by_name["Slurm"].state)
        said.append(
            "on this site's Slurm" if machine.slurm.site
            else "on a real Slurm, started on this machine" if machine.slurm.daemons
            else "on this machine's processes: no Slurm"
        )  # fmt: skip
    if "gpu" in needs:
        states.append(by_name["GPU"].state if machine.gpus else "partly")
        said.append(
            "kernels in the simulator: no GPU" if not machine.gpus
            else "kernels in the simulator, not on the GPU" if machine.simulated
            else f"on {machine.gpus[0].name}"
        )  # fmt: skip
    if "cores" in needs:
        states.append(by_name["cores"].state)
        count = machine.cores.whole
        measured = f"measured up to {count} core{'s' if count > 1 else ''}"
        said.append(measured if by_name["cores"].state == "yes" else f"{measured}, emulated beyond")
    if by_name["memory"].state != "yes":
        states.append("partly")
        said.append("2 ranks at most: memory is short")
    if not said:
        return "yes", "everything in it"
    return max(states, key=STATES.index), "; ".join(said)


def _cores(machine: Machine) -> Capability:
    cores = machine.cores
    here = f"{cores.usable:g} of {cores.logical}"
    if cores.limited_by:
        here += f", limited by {cores.limited_by}"
    if cores.whole >= 4:
        return Capability("cores", "yes", here)
    return Capability(
        "cores", "partly", here,
        "Speedup is measured up to these cores, and beyond them emulated and labelled so.",
    )  # fmt: skip


def _memory(machine: Machine) -> Capability:
    memory, fit = machine.memory, ranks(machine)
    here = f"{units.format_bytes(memory.usable)}, {units.format_bytes(memory.available)} free"
    if memory.limited_by:
        here += f", limited by {memory.limited_by}"
    here += f"; enough for {fit if fit < 100 else 'over 99'} rank{'s' if fit > 1 else ''} with torch"
    if fit >= 4 and memory.usable >= 4e9:
        return Capability("memory", "yes", here)
    return Capability(
        "memory", "partly", here,
        "Lessons use 2 ranks where memory is under 4 GB: close other notebooks' kernels before a lesson.",
    )  # fmt: skip


def _gpus(machine: Machine) -> Capability:
    if machine.gpus:
        first = machine.gpus[0]
        size = f", {units.format_bytes(first.memory)}" if first.memory else ""
        driver = f", driver {first.driver}" if first.driver else ""
        here = f"{len(machine.gpus)} × {first.name}{size}{driver}"
        notes = machine.notes
        if machine.simulated and not notes:
            notes = ("Numba's kernels need an NVIDIA GPU: they run in a simulator here.",)
        return Capability("GPU", "partly" if notes else "yes", here, " ".join(notes))
    remedy = (
        "Kernels run in a simulator that teaches what a thread does, never how fast. For a real one, open "
        "the course where it is (a site's JupyterHub, a laptop with an NVIDIA GPU and hpclab[gpu])."
    )
    return Capability("GPU", "no", "none", " ".join((*machine.notes, remedy)))


def _slurm(machine: Machine) -> Capability:
    slurm = machine.slurm
    inside = f"; this runs inside job {slurm.job}" if slurm.job else ""
    if slurm.site:
        return Capability("Slurm", "yes", f"this site's own{inside}")
    if slurm.daemons:
        return Capability("Slurm", "yes", f"installed: `hpclab slurm up` starts a real one here{inside}")
    if slurm.obstacle:
        return Capability("Slurm", "no", f"installed, but it does not start here{inside}", slurm.obstacle)
    if platform.system() == "Darwin":
        remedy = "There is no Slurm for macOS: for a real one use Binder, a site, or a Linux virtual machine."
    else:
        remedy = (
            "Install it once: `sudo apt install slurm-wlm munge` (Debian, Ubuntu, WSL2) or `sudo dnf install "
            "munge slurm slurm-slurmctld slurm-slurmd` (Fedora, EPEL). No root is needed afterwards."
        )
    return Capability("Slurm", "no", f"not here (no {', '.join(slurm.missing[:3])})", remedy)


def _mpi(machine: Machine) -> Capability:
    if machine.mpi:
        return Capability("MPI", "yes", machine.mpi[0])
    return Capability("MPI", "no", "none", "`pip install 'hpclab[mpi]'` brings one that needs no root.")


def _files(machine: Machine) -> Capability:
    roles: dict[str, list[str]] = {}
    for place in machine.file_systems:
        roles.setdefault(_place(place), []).append(place.role)
    here = "; ".join(f"{', '.join(names)}: {state}" for state, names in roles.items())
    bad = [place for place in machine.file_systems if not place.writable and place.role in ("work", "tmp")]
    full = [place for place in machine.file_systems if place.writable and place.free < 2**30]
    if bad:
        silent = "does not answer" if not bad[0].answered else "cannot be written to"
        remedy = f"{bad[0].path} {silent}: start from a folder that is yours, or set TMPDIR to one."
        return Capability("files", "no", here, remedy)
    if full:
        remedy = (
            f"{full[0].path} has {units.format_bytes(full[0].free)} free: lessons write up to 1 GiB there."
        )
        return Capability("files", "partly", here, remedy)
    return Capability("files", "yes", here)


def _place(place: FileSystem) -> str:
    if not place.answered:
        return "no answer"
    state = f"{units.format_bytes(place.free)} free" if place.writable else "read-only"
    return f"{place.type} ({place.kind}), {state}"


def _network(machine: Machine) -> Capability:
    outside = [item for item in machine.interfaces if item.fabric != "loopback" and item.up]
    if not outside:
        return Capability("network", "yes", "this machine only; nothing in the course needs more")
    said = []
    for item in outside:
        speed = f" {units.format_bytes(item.bandwidth, binary=False)}/s" if item.bandwidth else ""
        address = f" {item.addresses[0]}" if item.addresses else ""
        said.append(f"{item.name} ({item.fabric}){address}{speed}")
    return Capability("network", "yes", "; ".join(said[:4]) + (" …" if len(said) > 4 else ""))
