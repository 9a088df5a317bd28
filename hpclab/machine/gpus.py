"""List GPUs of any vendor, without loading torch; whether an NVIDIA GPU can be used is gpu_preflight.py's."""

import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from hpclab.machine.allowance import file_text

_SMALLEST_AMD = 4 * 2**30  # an integrated GPU's own memory is smaller, and ROCm leaves it out


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU of this machine: `memory` in bytes, 0 where unknown; `backend` is PyTorch's device type: cuda
    (ROCm too), mps, xpu."""

    name: str
    vendor: str
    backend: str
    memory: int = 0
    driver: str = ""


def gpus(root: Path = Path("/")) -> tuple[Gpu, ...]:
    """The GPUs that this process may use, as far as drivers tell."""
    found = [*_visible(_from_nvidia_smi() or _from_nvidia_files(root)), *_from_amd_files(root)]
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        found.append(Gpu("Apple GPU", "Apple", "mps"))
    return tuple(found)


def _from_nvidia_smi() -> list[Gpu]:
    question = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    command = [shutil.which("nvidia-smi") or "nvidia-smi", *question]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = re.findall(r"^([^,\n]+), *([^,\n]+), *([^,\n]+)$", answer.stdout, re.MULTILINE)
    return [  # chips that share the CPU's memory have no size of their own to tell
        Gpu(name.strip(), "NVIDIA", "cuda", int(size) * 2**20 if size.isdigit() else 0, driver.strip())
        for name, size, driver in rows
    ]


def _from_nvidia_files(root: Path) -> list[Gpu]:
    version = re.search(r"\s(\d+\.[\d.]+)\s", file_text(root / "proc/driver/nvidia/version"))
    places = sorted(root.glob("proc/driver/nvidia/gpus/*/information"))
    models = [re.search(r"^Model:\s*(.+)", file_text(place), re.MULTILINE) for place in places]
    driver = version[1] if version else ""
    return [Gpu(model[1] if model else "NVIDIA GPU", "NVIDIA", "cuda", driver=driver) for model in models]


def _from_amd_files(root: Path) -> list[Gpu]:
    found = []
    for device in sorted(root.glob("sys/class/drm/card[0-9]*/device")):
        vendor, size = file_text(device / "vendor"), file_text(device / "mem_info_vram_total")
        if vendor == "0x1002" and size.isdigit() and int(size) >= _SMALLEST_AMD:
            name = file_text(device / "product_name") or "AMD GPU"
            found.append(Gpu(name, "AMD", "cuda", int(size), file_text(root / "sys/module/amdgpu/version")))
    return found


def _visible(found: list[Gpu]) -> list[Gpu]:
    """Those that CUDA_VISIBLE_DEVICES leaves to this process; CUDA stops reading at the first bad entry."""
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    if setting is None:
        return found
    words = [word.strip() for word in setting.split(",")]
    if setting.startswith("MIG-"):  # its own size is not told here
        return [replace(gpu, name=f"{gpu.name}, a MIG slice", memory=0) for gpu in found[:1]]
    if setting.startswith("GPU-"):
        return found[: len(words)]
    return [found[int(word)] for word in takewhile(lambda w: w.isdigit() and int(w) < len(found), words)]
