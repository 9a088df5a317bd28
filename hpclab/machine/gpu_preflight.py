"""Say why a GPU that is there cannot be used, and what to do: `problems(gather())`, a sentence each. Lowest
drivers and capabilities: NVIDIA's CUDA compatibility guide and CUDA 13's release notes."""

import ctypes
import functools
import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from hpclab.machine.gpus import Gpu

LOWEST_DRIVER = {12: 525, 13: 580}
LOWEST_CAPABILITY = {12: (5, 0), 13: (7, 5)}
SYSTEM = -1  # CUDA's compiler is the system's: its version is not known here
_COMPILER = {"13": "nvidia-nvvm", "12": "nvidia-cuda-nvcc-cu12"}  # what numba-cuda[cu13] and [cu12] bring
_NO_DEVICE, _TWO_VERSIONS = 100, 803  # CUDA_ERROR_NO_DEVICE, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
NO_LIBRARY = -1  # not one of CUDA's codes: there was no libcuda to ask
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True, slots=True)
class Driver:
    """What NVIDIA's driver reports: `error` is CUDA's code of what failed, NO_LIBRARY without libcuda, or 0;
    `cuda` the newest version that it runs, such as (13, 0); `name` and compute `capability`, such as (9, 0),
    are those of the first device, "" and (0, 0) where there is none."""

    error: int = NO_LIBRARY
    cuda: tuple[int, int] = (0, 0)
    name: str = ""
    capability: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """What there is here of NVIDIA GPUs and of software for them. `seen`: the GPUs as NVIDIA's tools list
    them; `driver`: what libcuda itself says; `numba_cuda`, `torch`: versions, "" where not installed;
    `compiler`: the CUDA (12 or 13) of the compiler that numba-cuda would use, 0 for none, or SYSTEM;
    `torch_cuda`: that of torch, 0 for a CPU build; `kernel_module`: the system runs NVIDIA's driver; `wsl`:
    WSL2 with a GPU passed through."""

    seen: tuple[Gpu, ...] = ()
    driver: Driver = Driver()
    numba_cuda: str = ""
    compiler: int = 0
    torch: str = ""
    torch_cuda: int = 0
    kernel_module: bool = False
    container: str = ""
    wsl: bool = False

    @property
    def name(self) -> str:
        """The first GPU's name, or "an NVIDIA GPU"."""
        return self.driver.name or (self.seen[0].name if self.seen else "an NVIDIA GPU")


def gather(seen: tuple[Gpu, ...] = (), container: str = "", root: Path = Path("/")) -> GpuFacts:
    """Gather these facts within milliseconds; nothing heavy is imported. `seen` are this machine's GPUs of
    any vendor, `container` is what `probe.container` returned."""
    torch = version("torch")
    return GpuFacts(
        seen=tuple(gpu for gpu in seen if gpu.vendor == "NVIDIA"), driver=query_driver(), container=container,
        numba_cuda=version("numba-cuda"), compiler=_compiler(root), torch=torch,
        torch_cuda=_torch_cuda(torch), kernel_module=(root / "proc/driver/nvidia/version").exists(),
        wsl="microsoft" in platform.release().lower() and (root / "dev/dxg").exists(),
    )  # fmt: skip


@functools.cache
def query_driver(library: str = "libcuda.so.1") -> Driver:
    """Query NVIDIA's driver, by the CUDA Driver API of `library`, about GPUs that this process may use; once.
    It starts CUDA: do not fork ranks from this process afterwards."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return Driver()
    version, device, major, minor = (ctypes.c_int() for _ in range(4))
    cuda.cuDriverGetVersion(ctypes.byref(version))
    newest = version.value // 1000, version.value % 1000 // 10
    if error := cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        return Driver(error, newest)
    name = ctypes.create_string_buffer(256)
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    return Driver(0, newest, name.value.decode(errors="replace"), (major.value, minor.value))


def usable(facts: GpuFacts) -> bool:
    """Whether Numba's kernels can run on a GPU here."""
    return bool(facts.driver.name) and not _driver_problem(facts) and not _numba_problem(facts)


def problems(facts: GpuFacts) -> tuple[str, ...]:
    """A sentence for each thing that does not fit, with its remedy; none where all does or no GPU is here."""
    said = _driver_problem(facts)
    return tuple(filter(None, [said] if said else [_numba_problem(facts), _torch_problem(facts)]))


def version(distribution: str) -> str:
    """The installed version of `distribution`, which is not imported; "" where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _compiler(root: Path) -> int:
    """The CUDA of the compiler that numba-cuda would use, 0 for none, or SYSTEM."""
    major = version("cuda-bindings").partition(".")[0]  # numba-cuda asks for libraries of the same CUDA
    if major in _COMPILER and version(_COMPILER[major]):
        return int(major)
    return SYSTEM if "CUDA_HOME" in os.environ or (root / "usr/local/cuda/nvvm").exists() else 0


def _torch_cuda(torch: str) -> int:
    """The CUDA of this version of torch, 0 for none. PyTorch's own index writes the build into the version;
    for wheels of PyPI the installed cuDNN decides."""
    _, _, build = torch.partition("+")
    if build == "cpu" or not torch:
        return 0
    return 13 if build.startswith("cu13") or version("nvidia-cudnn-cu13") else 12


def _driver_problem(facts: GpuFacts) -> str:
    error = facts.driver.error
    if error == 0:
        return ""
    if facts.wsl and error == NO_LIBRARY:
        return (
            "WSL2 passes a GPU through but there is no libcuda: if it is NVIDIA's, install its driver in "
            "Windows, not in Linux, run `wsl --shutdown`, and see that the loader knows /usr/lib/wsl/lib."
        )
    if not facts.seen and not facts.kernel_module:
        return ""
    if error == _TWO_VERSIONS:
        return "The NVIDIA driver was updated and its old kernel module still runs: restart the machine."
    if error in (NO_LIBRARY, _NO_DEVICE) and (facts.container or not facts.seen):
        return (
            "The machine has an NVIDIA driver but this session was given no GPU: start the container with it "
            "(`docker run --gpus all`, `apptainer exec --nv`), or ask Slurm for one (`--gres=gpu:1`)."
        )
    if error == NO_LIBRARY:
        return f"There is a GPU ({facts.name}) but no libcuda.so.1: install its driver's package libcuda1."
    return f"The NVIDIA driver does not start (CUDA error {error}): ask `nvidia-smi`, or restart the machine."


def _numba_problem(facts: GpuFacts) -> str:
    device, compiler = facts.driver, facts.compiler
    newest = device.cuda
    if not device.name:
        return ""
    lowest = LOWEST_CAPABILITY.get(compiler, LOWEST_CAPABILITY[12])
    modern = newest[0] >= 13 and device.capability >= LOWEST_CAPABILITY[13]
    remedy = "`pip install 'hpclab[gpu]'`" if modern else "`pip install 'numba-cuda[cu12]'`"
    if not facts.numba_cuda:
        return f"There is a GPU ({device.name}) but no numba-cuda, so kernels are simulated: {remedy}."
    if compiler == 0:
        return f"numba-cuda {facts.numba_cuda} is here without CUDA's compiler: {remedy}."
    if compiler > newest[0]:
        return (
            f"The NVIDIA driver runs CUDA {newest[0]}.{newest[1]} at most, too old for numba-cuda's CUDA "
            f"{compiler}: update it to {LOWEST_DRIVER[compiler]} or newer, or {remedy}."
        )
    if device.capability < lowest:
        has, needs = (".".join(map(str, pair)) for pair in (device.capability, lowest))
        older = f", or {remedy}" if device.capability >= LOWEST_CAPABILITY[12] else ""
        return (
            f"{device.name} has compute capability {has} and numba-cuda's CUDA needs {needs}: kernels are "
            f"simulated{older}."
        )
    return ""


def _torch_problem(facts: GpuFacts) -> str:
    if not facts.torch or not (facts.seen or facts.driver.name):
        return ""
    if facts.torch_cuda == 0:
        return (
            f"There is a GPU ({facts.name}) but torch {facts.torch} is the CPU build: install torch again, "
            "without PyTorch's CPU index."
        )
    driver, lowest = facts.seen[0].driver if facts.seen else "", LOWEST_DRIVER[facts.torch_cuda]
    major, _, _ = driver.partition(".")
    if major.isdigit() and int(major) < lowest:
        return (
            f"The NVIDIA driver {driver} is too old for torch {facts.torch}, which needs {lowest} or "
            "newer: update the driver, or install a torch built for an older CUDA."
        )
    return ""
