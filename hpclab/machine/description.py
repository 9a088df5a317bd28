"""The words a machine is described in: frozen, in SI units (bytes, bytes per second, Hz, watts)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """`usable` by this process, a fraction where a container has a quota; `logical` ones of the hardware;
    `limited_by` says what makes the difference, or ""."""

    usable: float
    logical: int
    limited_by: str = ""

    @property
    def whole(self) -> int:
        """Rounded down, so that no two processes share a core; at least 1."""
        return max(1, int(self.usable))


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: of the hardware (`total`), what of it this process may use, what of that is free now."""

    total: int
    usable: int
    available: int
    limited_by: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """`memory` in bytes, 0 where unknown; `backend` is PyTorch's word: cuda (ROCm too), mps, xpu."""

    name: str
    vendor: str
    backend: str
    memory: int = 0
    driver: str = ""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """One place a lesson may write to. `kind` is local, shared, memory or unknown; sizes in bytes, 0 where
    the file system did not answer within a second (`answered`)."""

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
    """`bandwidth` in bytes/s per direction, 0 where the system does not say (virtual interfaces do not)."""

    name: str
    addresses: tuple[str, ...]
    bandwidth: float
    up: bool
    fabric: str = "ethernet"


@dataclass(frozen=True, slots=True)
class SlurmHere:
    """What of Slurm is on this machine, from its programs alone: nothing is started or asked.

    `client`: sbatch, squeue and sinfo; `site`: and a cluster's configuration; `daemons`: all that a cluster
    of our own needs; `missing`: programs that stand in the way of both, `obstacle`: what else does, a
    sentence or ""; `job`: the job this process runs in, or "".
    """

    client: bool
    site: bool
    daemons: bool
    missing: tuple[str, ...]
    job: str = ""
    obstacle: str = ""


@dataclass(frozen=True)
class Machine:
    """What is here, as `probe()` found it. `notes` say what does not fit together, a sentence each;
    `simulated`: Numba's kernels cannot use a GPU here and run in the CUDA simulator."""

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
