"""Describe this machine: `probe()`. It is quick, needs no network, and starts no service."""

import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from hpclab import checks
from hpclab.machine import allowance, gpu_preflight, gpus, places
from hpclab.machine.allowance import Cores, Memory
from hpclab.machine.gpus import Gpu
from hpclab.machine.places import FileSystem, Interface

_CLIENT = ("sbatch", "squeue", "sinfo", "scancel")
_DAEMONS = ("munged", "slurmctld", "slurmd")
_CONFIGURED_IN = ("etc/slurm", "etc/slurm-llnl", "usr/local/etc", "usr/local/etc/slurm", "run/slurm/conf")
# Where sites and distributions put Slurm's programs, though not on every user's PATH.
_ALSO_IN = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/slurm/sbin:/opt/slurm/bin"
_CONTAINERS = {  # by a variable or a file that each leaves inside; the first that fits counts
    "binder": ("BINDER_REPO_URL", "BINDER_LAUNCH_HOST", "BINDER_REQUEST"),
    "kubernetes": ("KUBERNETES_SERVICE_HOST",),
    "apptainer": ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"),
    "podman": ("/run/.containerenv",),
    "docker": ("/.dockerenv",),
}


@dataclass(frozen=True, slots=True)
class SlurmHere:
    """Which parts of Slurm are on this machine. `client`: sbatch, squeue, sinfo and scancel; `site`: these
    and a site's configuration; `daemons`: these and all that a cluster of our own needs; `missing`: programs
    that either lacks; `obstacle`: why ours would not start with all of them, a sentence or ""; `job`: the id
    of the job this process runs in, or ""."""

    client: bool
    site: bool
    daemons: bool
    missing: tuple[str, ...]
    job: str = ""
    obstacle: str = ""


@dataclass(frozen=True)
class Machine:
    """What is here, as `probe()` found it. `mpi` names MPI's launchers, `container` the kind of container or
    "", `python` and `torch` versions; `notes` say what does not fit together, a sentence each; `simulated`:
    Numba's kernels cannot use a GPU here and run in the CUDA simulator."""

    host: str
    platform: str
    processor: str
    container: str
    cores: Cores
    memory: Memory
    gpus: tuple[Gpu, ...]
    slurm: SlurmHere
    mpi: tuple[str, ...]
    file_systems: tuple[FileSystem, ...]
    interfaces: tuple[Interface, ...]
    python: str
    torch: str
    notes: tuple[str, ...] = ()
    simulated: bool = False


def probe() -> Machine:
    """Describe this machine as this process may use it."""
    found, inside = gpus.gpus(), container()
    facts = gpu_preflight.gather(found, inside)
    return Machine(
        host=platform.node(), platform=_platform(), processor=_processor(), container=inside,
        cores=allowance.cores(), memory=allowance.memory(), gpus=found, slurm=slurm(), mpi=mpi(),
        file_systems=places.file_systems(), interfaces=places.interfaces(),
        python=platform.python_version(), torch=facts.torch, notes=gpu_preflight.problems(facts),
        simulated=not gpu_preflight.usable(facts),
    )  # fmt: skip


def mpi() -> tuple[str, ...]:
    """Which of MPI's launchers mpiexec and mpirun are beside this Python or on PATH."""
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)))
    return tuple(name for name in ("mpiexec", "mpirun") if shutil.which(name, path=path))


def slurm(root: Path = Path("/")) -> SlurmHere:
    """Which parts of Slurm are here; a `SLURM_CONF` of our own cluster does not make this a site."""
    path = f"{os.environ.get('PATH', os.defpath)}:{_ALSO_IN}"
    client = [name for name in _CLIENT if not shutil.which(name, path=path)]
    daemons = [name for name in _DAEMONS if not shutil.which(name, path=path)]
    conf = allowance.file_text(Path(os.environ.get("SLURM_CONF", "")))
    site = os.environ.get("HPCLAB_SLURM") != "local" and (
        "SLURM_CONF_SERVER" in os.environ
        or any((root / place / "slurm.conf").is_file() for place in _CONFIGURED_IN)
        or bool(conf and not conf.startswith("# Written by hpclab"))
    )
    obstacle = checks.slurm_obstacle()
    return SlurmHere(
        client=not client, site=bool(not client and site),
        daemons=not client and not daemons and not obstacle,
        missing=() if not client and site else tuple(client + daemons),
        job=os.environ.get("SLURM_JOB_ID", ""), obstacle="" if client or daemons else obstacle,
    )  # fmt: skip


def container(root: Path = Path("/")) -> str:
    """The container that this runs in: a name in _CONTAINERS, such as ``"docker"``, or "" for none."""
    for name, marks in _CONTAINERS.items():
        if any(mark in os.environ or ("/" in mark and (root / mark[1:]).exists()) for mark in marks):
            return name
    return ""


def _platform() -> str:
    release, mac = platform.release(), platform.mac_ver()[0]
    name = f"macOS {mac}" if mac else f"{platform.system()} {release.split('-')[0]}"
    return f"{name} ({platform.machine()}){' in WSL2' * ('microsoft' in release.lower())}"


def _processor() -> str:
    found = re.search(r"^model name\s*:(.*)", allowance.file_text(Path("/proc/cpuinfo")), re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.processor() or platform.machine()
