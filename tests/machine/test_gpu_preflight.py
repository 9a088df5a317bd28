"""A GPU that is there and cannot be used: what does not fit is named, with its fix. All facts are made up."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from hpclab.machine import gpu_preflight, probe
from hpclab.machine.capability import capabilities, for_lesson
from hpclab.machine.gpu_preflight import SYSTEM, Driver, GpuFacts, problems, usable
from hpclab.machine.gpus import Gpu

A100 = Gpu("NVIDIA A100", "NVIDIA", "cuda", 80 * 2**30, "580.65")
AMD = Gpu("AMD Instinct", "AMD", "cuda")
FITS = GpuFacts(
    seen=(A100,), driver=Driver(0, (13, 0), "NVIDIA A100", (8, 0)), numba_cuda="0.30.4", compiler=13,
    torch="2.13.0", torch_cuda=13, kernel_module=True,
)  # fmt: skip
NO_DEVICE = replace(FITS, seen=(), driver=Driver(100, (13, 0)))
NOTHING = GpuFacts(torch="2.13.0+cpu", container="docker")


def with_driver(cuda=(13, 0), name="NVIDIA A100", capability=(8, 0)):
    return replace(FITS, driver=Driver(0, cuda, name, capability))


@pytest.mark.parametrize(("facts", "fit"), [(FITS, 1), (replace(FITS, compiler=SYSTEM), 1), (NOTHING, 0)])
def test_what_fits_needs_no_word_nor_does_a_machine_without_a_gpu(facts, fit):
    assert (problems(facts), usable(facts)) == ((), bool(fit))


@pytest.mark.parametrize(("facts", "words"), [
    (with_driver(cuda=(12, 4)), ["CUDA 12.4 at most", "CUDA 13", "580", "numba-cuda[cu12]"]),
    (replace(FITS, numba_cuda=""), ["no numba-cuda", "simulated", "hpclab[gpu]"]),
    (replace(with_driver(cuda=(12, 4)), numba_cuda=""), ["no numba-cuda", "numba-cuda[cu12]"]),
    (replace(FITS, compiler=0), ["without CUDA's compiler", "hpclab[gpu]"]),
    (with_driver(name="Tesla V100", capability=(7, 0)), ["7.0", "7.5", "simulated, or", "[cu12]"]),
    (with_driver((12, 4), "Tesla V100", (7, 0)), ["CUDA 12.4 at most", "[cu12]"]),
    (with_driver(name="Tesla K80", capability=(3, 7)), ["3.7", "needs 7.5", "are simulated."]),
    (replace(FITS, wsl=True, driver=Driver(), seen=()), ["WSL2", "Windows", "wsl --shutdown"]),
    (replace(FITS, driver=Driver()), ["NVIDIA A100", "no libcuda.so.1", "libcuda1"]),
    (NO_DEVICE, ["given no GPU", "--gpus all", "--gres=gpu:1"]),
    (replace(FITS, container="docker", driver=Driver()), ["given no GPU", "--gpus all"]),
    (replace(FITS, driver=Driver(803)), ["was updated", "restart"]),
    (replace(FITS, driver=Driver(999)), ["CUDA error 999", "nvidia-smi"]),
])  # fmt: skip
def test_what_stands_between_numba_and_the_gpu_is_named_with_its_fix(facts, words):
    (said,) = problems(replace(facts, torch=""))
    assert all(word in said for word in [*words, "."]), said
    assert not usable(facts)


def test_of_several_causes_the_first_is_named_first():
    assert len(problems(replace(FITS, driver=Driver(803), torch_cuda=0))) == 1
    numba, torch = problems(replace(with_driver(cuda=(12, 4)), torch_cuda=0))
    assert ("numba-cuda" in numba, "CPU build" in torch) == (True, True)


@pytest.mark.parametrize(("driver", "torch", "cuda", "word"), [
    ("470.82.01", "2.13.0+cu126", 12, "too old for torch 2.13.0+cu126, which needs 525"),
    ("550.54", "2.13.0+cu130", 13, "580"),
    ("580.1", "2.13.0+cu130", 13, ""),
    ("550.54", "2.13.0+cpu", 0, "CPU build"),
    ("550.54", "", 0, ""),
    ("", "2.13.0", 12, ""),
])  # fmt: skip
def test_a_torch_that_does_not_fit_is_named_and_kernels_still_run(driver, torch, cuda, word):
    facts = replace(FITS, seen=(replace(A100, driver=driver),), torch=torch, torch_cuda=cuda)
    said = problems(facts)
    assert word in said[0] if word else said == ()
    assert usable(facts)


@pytest.mark.parametrize(("installed", "compiler", "of_torch"), [
    ({}, 0, 0),
    ({"torch": "2.13.0+cpu"}, 0, 0),
    ({"torch": "2.13.0+cu130"}, 0, 13),
    ({"torch": "2.13.0", "nvidia-cudnn-cu13": "9"}, 0, 13),
    ({"torch": "2.9.0"}, 0, 12),
    ({"cuda-bindings": "13.5.0", "nvidia-nvvm": "13.5.37"}, 13, 0),
    ({"cuda-bindings": "12.9.1", "nvidia-nvvm": "13.5.37", "nvidia-cuda-nvcc-cu12": "12.9.86"}, 12, 0),
    ({"cuda-bindings": "13.5.0", "nvidia-cuda-nvcc-cu12": "12.9.86"}, 0, 0),
])  # fmt: skip
def test_the_cuda_of_torch_and_of_the_compiler_are_read(monkeypatch, tmp_path, installed, compiler, of_torch):
    monkeypatch.setattr(gpu_preflight, "version", lambda name: installed.get(name, ""))
    facts = gpu_preflight.gather((), "", tmp_path)
    assert (facts.compiler, facts.torch_cuda) == (compiler, of_torch)


def test_facts_are_gathered_from_files_and_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_preflight, "version", lambda name: "")
    monkeypatch.setattr(gpu_preflight, "query_driver", Driver)
    monkeypatch.setattr("platform.release", lambda: "5.15.167.4-microsoft-standard-WSL2")
    monkeypatch.delenv("CUDA_HOME", raising=False)
    bare = gpu_preflight.gather((AMD, A100), "docker", tmp_path)
    assert bare == GpuFacts(seen=(A100,), container="docker")
    for place in ("proc/driver/nvidia/version", "dev/dxg", "usr/local/cuda/nvvm/x"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    full = gpu_preflight.gather((), "", tmp_path)
    assert (full.kernel_module, full.wsl, full.compiler) == (True, True, SYSTEM)
    monkeypatch.setenv("CUDA_HOME", "/opt/cuda")
    assert gpu_preflight.gather((), "", tmp_path / "no").compiler == SYSTEM


def libcuda(error):
    """As ctypes sees it: one H100, or an error at the start."""

    def says(answer):
        return lambda pointer, *_: setattr(getattr(pointer, "_obj", pointer), "value", answer) or 0

    return SimpleNamespace(
        cuInit=lambda flags: error, cuDriverGetVersion=says(13010), cuDeviceGet=says(0),
        cuDeviceGetName=says(b"NVIDIA H100 80GB HBM3"),
        cuDeviceGetAttribute=lambda pointer, which, device: says({75: 9, 76: 0}[which])(pointer),
    )  # fmt: skip


def test_the_driver_is_asked_in_its_own_words(monkeypatch):
    assert gpu_preflight.query_driver("libcuda-that-is-not-here.so.1") == Driver(gpu_preflight.NO_LIBRARY)
    monkeypatch.setattr("ctypes.CDLL", lambda name: libcuda(error=0))
    assert gpu_preflight.query_driver("one H100") == Driver(0, (13, 1), "NVIDIA H100 80GB HBM3", (9, 0))
    monkeypatch.setattr("ctypes.CDLL", lambda name: libcuda(error=100))
    assert gpu_preflight.query_driver("no device") == Driver(100, (13, 1))


def test_kernels_are_simulated_beside_a_gpu_that_numba_cannot_use():
    amd = replace(probe(), gpus=(AMD,), notes=(), simulated=True)
    gpu = next(item for item in capabilities(amd) if item.name == "GPU")
    assert (gpu.state, "need an NVIDIA GPU" in gpu.remedy) == ("partly", True)
    assert "kernels in the simulator, not on the GPU" in for_lesson(amd, ["gpu"])[1]
