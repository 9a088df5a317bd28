"""Every kernel compiles for a real GPU, without one, where numba-cuda and NVIDIA's compiler are installed.

The simulator runs any Python. This is what finds a float64 that crept in, and what the compiler has not.
"""

import os
import re
import subprocess
import sys
from importlib import metadata, util

import pytest

from hpclab.machine.gpu_preflight import version

HERE = bool(util.find_spec("numba_cuda")) and bool(version("nvidia-nvvm"))
MEASURED_WITH = ("0.30.4", "13.5.37")  # numba-cuda and ptxas behind Step.registers
PROGRAM = """
import warnings
import numpy
from numba import typeof, types
from hpclab.kernels.cuda import cuda
from hpclab.kernels.ladder import LADDERS
warnings.simplefilter("ignore")
for steps in LADDERS.values():
    for step in steps:
        arrays = step.problem.make((64,) * len(step.problem.extents), numpy.random.default_rng(0))
        signature = types.void(*map(typeof, arrays))
        fast = step.kernel.targetoptions.get("fastmath", False)
        ptx, _ = cuda.compile_ptx(step.kernel.py_func, signature, cc=(9, 0), fastmath=fast)
        print(f"// {step.problem.name}: {step.name}: {step.registers} {step.shared}")
        print(ptx)
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HERE, reason="needs numba-cuda[cu13] (590 MB), but no GPU"),
]


@pytest.fixture(scope="module")
def compiled():
    """PTX by "problem: step"."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    parts = re.split(r"^// ([a-z][^:\n]*: [^:\n]*): (\d+) (\d+)$", done.stdout, flags=re.MULTILINE)[1:]
    rows = zip(*[iter(parts)] * 4, strict=True)
    return {name: (int(registers), int(shared), text) for name, registers, shared, text in rows}


def test_no_kernel_computes_in_float64(compiled):
    assert len(compiled) > 20
    assert not [name for name, (_, _, ptx) in compiled.items() if re.search(r"\.f64\b", ptx)]


def test_registers_and_shared_memory_are_as_recorded_and_nothing_spills(compiled, tmp_path):
    if (version("numba-cuda"), version("nvidia-cuda-nvcc")) != MEASURED_WITH:
        pytest.skip(f"recorded with numba-cuda and nvcc {MEASURED_WITH}")
    files = metadata.files("nvidia-cuda-nvcc") or []
    ptxas = next(str(file.locate()) for file in files if file.name == "ptxas")
    for name, (registers, shared, ptx) in compiled.items():
        source = tmp_path / "kernel.ptx"
        source.write_text(ptx)
        told = subprocess.run(
            [ptxas, "-v", "-arch=sm_90", source, "-o", tmp_path / "cubin"], capture_output=True, text=True
        ).stderr
        used = re.search(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?", told)
        assert used, told
        assert (int(used[1]), int(used[2] or 0)) == (registers, shared), name
        assert "0 bytes spill stores, 0 bytes spill loads" in told, name
