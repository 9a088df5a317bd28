"""GPUs of any vendor, without loading torch: a preflight must be quick.

NVIDIA: NVML through nvidia-ml-py where it is installed, else `nvidia-smi`, else the driver's own files. AMD:
sysfs. Apple: the chip. Whether an NVIDIA GPU's driver, CUDA and libraries fit together is gpu_preflight.py's.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from hpclab.machine.description import Gpu

_SMALLEST_AMD = 4 * 2**30  # an integrated GPU's own memory is smaller, and ROCm leaves it out


def gpus(root: Path = Path("/")) -> tuple[Gpu, ...]:
    """The GPUs that this process may use, as far as drivers tell."""
    nvidia = _from_nvml() or _from_nvidia_smi() or _from_nvidia_files(root)
    return (*_visible(nvidia), *_from_amd_files(root), *_from_apple())


def _from_nvml() -> list[Gpu]:
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        handles = [pynvml.nvmlDeviceGetHandleByIndex(n) for n in range(pynvml.nvmlDeviceGetCount())]
        return [
            Gpu(_text(pynvml.nvmlDeviceGetName(h)), "NVIDIA", "cuda", _nvml_memory(pynvml, h), driver)
            for h in handles
        ]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _nvml_memory(pynvml: object, handle: object) -> int:
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)  # type: ignore[attr-defined]
    except Exception:  # chips that share the CPU's memory refuse this question
        return 0


def _from_nvidia_smi() -> list[Gpu]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    question = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run([program, *question], capture_output=True, text=True, timeout=2, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[part.strip() for part in line.split(",")] for line in answer.stdout.splitlines()]
    return [
        Gpu(name, "NVIDIA", "cuda", int(size) * 2**20 if size.isdigit() else 0, driver)
        for name, size, driver in (row for row in rows if len(row) == 3)
    ]


def _from_nvidia_files(root: Path) -> list[Gpu]:
    found = []
    for place in sorted(root.glob("proc/driver/nvidia/gpus/*/information")):
        with contextlib.suppress(OSError):
            lines = place.read_text(errors="replace").splitlines()
            names = [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
            found.append(Gpu(names[0] if names else "NVIDIA GPU", "NVIDIA", "cuda"))
    return found


def _from_amd_files(root: Path) -> list[Gpu]:
    found = []
    for device in sorted(root.glob("sys/class/drm/card[0-9]*/device")):
        vendor, size = _first_line(device / "vendor"), _first_line(device / "mem_info_vram_total")
        if vendor == "0x1002" and size.isdigit() and int(size) >= _SMALLEST_AMD:
            name = _first_line(device / "product_name") or "AMD GPU"
            found.append(Gpu(name, "AMD", "cuda", int(size), _first_line(root / "sys/module/amdgpu/version")))
    return found


def _from_apple() -> list[Gpu]:
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return [Gpu("Apple GPU", "Apple", "mps")]
    return []


def _visible(found: list[Gpu]) -> list[Gpu]:
    """Those that CUDA_VISIBLE_DEVICES leaves to this process; CUDA stops reading at the first bad entry."""
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    if setting is not None and setting.startswith("MIG-"):  # its own size is not told here
        return [replace(gpu, name=f"{gpu.name}, a MIG slice", memory=0) for gpu in found[:1]]
    if setting is None or setting.startswith("GPU-"):
        return found[: setting.count(",") + 1] if setting else found
    chosen = []
    for word in (part.strip() for part in setting.split(",")):
        if not word.isdigit() or int(word) >= len(found):
            break
        chosen.append(found[int(word)])
    return chosen


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").splitlines()[0].strip()
    except (OSError, IndexError):
        return ""


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
