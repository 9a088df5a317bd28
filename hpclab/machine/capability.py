"""What a machine can do for a learner, in sentences: shared by `hpclab doctor` and lesson 00's table."""

import platform
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from hpclab import units
from hpclab.machine.allowance import Cores, Memory
from hpclab.machine.places import FileSystem
from hpclab.machine.probe import Machine

STATES = ("yes", "partly", "no")
RANK = 240 * 2**20  # bytes of one Dask worker with torch and its nanny, measured on Debian 12 with torch 2.13
COURSE = 400 * 2**20  # JupyterLab, one kernel and our own Slurm took 204 MiB there; a lesson imports as much


@dataclass(frozen=True, slots=True)
class Capability:
    """Whether there is what `name` says: `state` (one of STATES), what is `here`, and a `remedy` or ""."""

    name: str
    state: str
    here: str
    remedy: str = ""


def capabilities(machine: Machine) -> tuple[Capability, ...]:
    """What `machine` has and lacks, an item each for cores, memory, GPUs and so on."""
    return tuple(of(machine) for of in (_cores, _memory, _gpus, _slurm, _mpi, _files, _network))


def ranks(machine: Machine) -> int:
    """How many ranks with torch fit into the memory that is free now; at least 1."""
    return max(1, int((machine.memory.available - COURSE) // RANK))


def for_lesson(machine: Machine, needs: Sequence[str]) -> tuple[str, str]:
    """How a lesson with these `needs` runs on `machine`: (one of STATES, a sentence saying on what)."""
    found: list[tuple[str, str]] = []
    state = {item.name: item.state for item in capabilities(machine)}
    if "slurm" in needs:
        ours = "real Slurm, started on this machine"
        other = f"on a {ours}" if machine.slurm.daemons else "on this machine's processes: no Slurm"
        found.append((state["Slurm"], "on this site's Slurm" if machine.slurm.site else other))
    if "gpu" in needs and machine.gpus:
        name = machine.gpus[0].name
        simulated = "kernels in the simulator, not on the GPU"
        found.append((state["GPU"], simulated if machine.simulated else f"on {name}"))
    elif "gpu" in needs:
        found.append(("partly", "kernels in the simulator: no GPU"))
    if "cores" in needs:
        count, beyond = machine.cores.whole, ", emulated beyond" * (state["cores"] != "yes")
        found.append((state["cores"], f"measured up to {count} core{'s' * (count > 1)}{beyond}"))
    if state["memory"] != "yes":
        found.append(("partly", "2 ranks at most: memory is short"))
    states, sentences = zip(*found or [("yes", "everything in it")], strict=True)
    return max(states, key=STATES.index), "; ".join(sentences)


def _limit(of: Cores | Memory) -> str:
    return f", limited by {of.limited_by}" * bool(of.limited_by)


def _cores(machine: Machine) -> Capability:
    cores, enough = machine.cores, machine.cores.whole >= 4
    here = f"{cores.usable:g} of {cores.logical}{_limit(cores)}"
    remedy = "Speedup is measured up to these cores, and beyond them emulated and labelled so."
    return Capability("cores", "yes", here) if enough else Capability("cores", "partly", here, remedy)


def _memory(machine: Machine) -> Capability:
    memory, fit = machine.memory, ranks(machine)
    here = f"{units.format_bytes(memory.usable)}, {units.format_bytes(memory.available)} free{_limit(memory)}"
    here += f"; enough for {fit if fit < 100 else 'over 99'} rank{'s' * (fit > 1)} with torch"
    enough = fit >= 4 and memory.usable >= 4e9
    remedy = "Lessons use 2 ranks where memory is under 4 GB: close other notebooks' kernels before a lesson."
    return Capability("memory", "yes", here) if enough else Capability("memory", "partly", here, remedy)


def _gpus(machine: Machine) -> Capability:
    notes = " ".join(machine.notes)
    if machine.gpus:
        first = machine.gpus[0]
        size = f", {units.format_bytes(first.memory)}" if first.memory else ""
        driver = f", driver {first.driver}" if first.driver else ""
        if machine.simulated and not notes:
            notes = "Numba's kernels need an NVIDIA GPU: they run in a simulator here."
        here = f"{len(machine.gpus)} × {first.name}{size}{driver}"
        return Capability("GPU", "partly" if notes else "yes", here, notes)
    remedy = (
        "Kernels run in a simulator that teaches what a thread does, never how fast. For a real one, open "
        "the course where it is (a site's JupyterHub, a laptop with an NVIDIA GPU and hpclab[gpu])."
    )
    return Capability("GPU", "no", "none", f"{notes} {remedy}".strip())


def _slurm(machine: Machine) -> Capability:
    slurm = machine.slurm
    inside = f"; this runs inside job {slurm.job}" if slurm.job else ""
    if slurm.site or slurm.daemons:
        ours = "installed: `hpclab slurm up` starts a real one here"
        return Capability("Slurm", "yes", ("this site's own" if slurm.site else ours) + inside)
    if slurm.obstacle:
        return Capability("Slurm", "no", f"installed, but it does not start here{inside}", slurm.obstacle)
    remedy = (
        "Install it once: `sudo apt install slurm-wlm munge` (Debian, Ubuntu, WSL2) or `sudo dnf install "
        "munge slurm slurm-slurmctld slurm-slurmd` (Fedora, EPEL). No root is needed afterwards."
    )
    if platform.system() == "Darwin":
        remedy = "There is no Slurm for macOS: for a real one use Binder, a site, or a Linux virtual machine."
    return Capability("Slurm", "no", f"not here (no {', '.join(slurm.missing[:3])})", remedy)


def _mpi(machine: Machine) -> Capability:
    if machine.mpi:
        return Capability("MPI", "yes", machine.mpi[0])
    return Capability("MPI", "no", "none", "`pip install 'hpclab[mpi]'` brings one that needs no root.")


def _files(machine: Machine) -> Capability:
    roles, wrong = defaultdict(list), dict[str, str]()
    for place in machine.file_systems:
        roles[_place(place)].append(place.role)
        if not place.writable and place.role in ("work", "tmp"):
            silent = "cannot be written to" if place.answered else "does not answer"
            said = f"{place.path} {silent}: start from a folder that is yours, or set TMPDIR to one."
            wrong.setdefault("no", said)
        elif place.writable and place.free < 2**30:
            said = f"{place.path} has {units.format_bytes(place.free)} free: lessons write up to 1 GiB there."
            wrong.setdefault("partly", said)
    here = "; ".join(f"{', '.join(names)}: {state}" for state, names in roles.items())
    state = "no" if "no" in wrong else "partly" if wrong else "yes"
    return Capability("files", state, here, wrong.get(state, ""))


def _place(place: FileSystem) -> str:
    if not place.answered:
        return "no answer"
    state = f"{units.format_bytes(place.free)} free" if place.writable else "read-only"
    return f"{place.type} ({place.kind}), {state}"


def _network(machine: Machine) -> Capability:
    ports = []
    for item in machine.interfaces:
        if item.fabric != "loopback" and item.up:
            speed = f" {units.format_bytes(item.bandwidth, binary=False)}/s" if item.bandwidth else ""
            address = f" {item.addresses[0]}" if item.addresses else ""
            ports.append(f"{item.name} ({item.fabric}){address}{speed}")
    shown = "; ".join(ports[:4]) + " …" * (len(ports) > 4)
    return Capability("network", "yes", shown or "this machine only; nothing in the course needs more")
