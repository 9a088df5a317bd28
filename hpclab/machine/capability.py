"""What a machine can do for a learner, in sentences: shared by `hpclab doctor` and lesson 00's table."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from hpclab import units
from hpclab.machine.description import Cores, FileSystem, Machine, Memory

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
    looks = (_cores, _memory, _gpus, _slurm, _mpi, _files, _network)
    return tuple(look(machine) for look in looks)


def ranks(machine: Machine) -> int:
    """How many ranks with torch fit into the memory that is free now; at least 1."""
    return max(1, int((machine.memory.available - COURSE) // RANK))


def for_lesson(machine: Machine, needs: Sequence[str]) -> tuple[str, str]:
    """How a lesson with these needs runs on `machine`: a state, and a sentence saying on what."""
    said, states = [], []
    state = {item.name: item.state for item in capabilities(machine)}
    if "slurm" in needs:
        states.append(state["Slurm"])
        said.append(
            "on this site's Slurm" if machine.slurm.site
            else "on a real Slurm, started on this machine" if machine.slurm.daemons
            else "on this machine's processes: no Slurm"
        )  # fmt: skip
    if "gpu" in needs:
        states.append(state["GPU"] if machine.gpus else "partly")
        said.append(
            "kernels in the simulator: no GPU" if not machine.gpus
            else "kernels in the simulator, not on the GPU" if machine.simulated
            else f"on {machine.gpus[0].name}"
        )  # fmt: skip
    if "cores" in needs:
        states.append(state["cores"])
        count = machine.cores.whole
        beyond = ", emulated beyond" * (state["cores"] != "yes")
        said.append(f"measured up to {count} core{'s' * (count > 1)}{beyond}")
    if state["memory"] != "yes":
        states.append("partly")
        said.append("2 ranks at most: memory is short")
    if not said:
        return "yes", "everything in it"
    return max(states, key=STATES.index), "; ".join(said)


def _cores(machine: Machine) -> Capability:
    cores = machine.cores
    here = f"{cores.usable:g} of {cores.logical}{_limit(cores)}"
    remedy = "Speedup is measured up to these cores, and beyond them emulated and labelled so."
    return _judged("cores", cores.whole >= 4, here, "partly", remedy)


def _memory(machine: Machine) -> Capability:
    memory, fit = machine.memory, ranks(machine)
    here = f"{units.format_bytes(memory.usable)}, {units.format_bytes(memory.available)} free{_limit(memory)}"
    here += f"; enough for {fit if fit < 100 else 'over 99'} rank{'s' * (fit > 1)} with torch"
    remedy = "Lessons use 2 ranks where memory is under 4 GB: close other notebooks' kernels before a lesson."
    return _judged("memory", fit >= 4 and memory.usable >= 4e9, here, "partly", remedy)


def _limit(of: Cores | Memory) -> str:
    return f", limited by {of.limited_by}" * bool(of.limited_by)


def _judged(name: str, good: bool, here: str, otherwise: str, remedy: str) -> Capability:
    return Capability(name, "yes", here) if good else Capability(name, otherwise, here, remedy)


def _gpus(machine: Machine) -> Capability:
    if machine.gpus:
        first = machine.gpus[0]
        size = f", {units.format_bytes(first.memory)}" if first.memory else ""
        driver = f", driver {first.driver}" if first.driver else ""
        here = f"{len(machine.gpus)} × {first.name}{size}{driver}"
        notes = " ".join(machine.notes)
        if machine.simulated and not notes:
            notes = "Numba's kernels need an NVIDIA GPU: they run in a simulator here."
        return _judged("GPU", not notes, here, "partly", notes)
    remedy = (
        "Kernels run in a simulator that teaches what a thread does, never how fast. For a real one, open "
        "the course where it is (a site's JupyterHub, a laptop with an NVIDIA GPU and hpclab[gpu])."
    )
    return Capability("GPU", "no", "none", " ".join((*machine.notes, remedy)))


def _slurm(machine: Machine) -> Capability:
    slurm = machine.slurm
    inside = f"; this runs inside job {slurm.job}" if slurm.job else ""
    if slurm.site or slurm.daemons:
        ours = "installed: `hpclab slurm up` starts a real one here"
        return Capability("Slurm", "yes", ("this site's own" if slurm.site else ours) + inside)
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
    remedy = "`pip install 'hpclab[mpi]'` brings one that needs no root."
    return _judged("MPI", bool(machine.mpi), "".join(machine.mpi[:1]) or "none", "no", remedy)


def _files(machine: Machine) -> Capability:
    roles: dict[str, list[str]] = {}
    for place in machine.file_systems:
        roles.setdefault(_place(place), []).append(place.role)
    here = "; ".join(f"{', '.join(names)}: {state}" for state, names in roles.items())
    bad = [place for place in machine.file_systems if not place.writable and place.role in ("work", "tmp")]
    for place in bad[:1]:
        silent = "cannot be written to" if place.answered else "does not answer"
        remedy = f"{place.path} {silent}: start from a folder that is yours, or set TMPDIR to one."
        return Capability("files", "no", here, remedy)
    full = [place for place in machine.file_systems if place.writable and place.free < 2**30]
    for place in full[:1]:
        remedy = f"{place.path} has {units.format_bytes(place.free)} free: lessons write up to 1 GiB there."
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
