"""The one module that knows the simulator: which of the two runs, and no time from it."""

import os
import subprocess
import sys

import numpy
import pytest

from hpclab.kernels.cuda import RUNS_ON, cuda, seconds, simulated
from hpclab.machine import gpu_preflight

KERNEL = """
import numpy
from hpclab.kernels.cuda import RUNS_ON
from hpclab.kernels.vector_add import STEPS

arrays = STEPS[1].problem.make((5,), numpy.random.default_rng(0))
STEPS[1].launch(*arrays)
assert (arrays[2] == arrays[0] + arrays[1]).all()
print(RUNS_ON)
"""


def fresh(program, **environment):
    """A new interpreter's answer: what is loaded here already must not decide."""
    known = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    return subprocess.run(
        [sys.executable, "-c", program], env=known | environment, capture_output=True, text=True, timeout=60
    )


def test_the_simulator_is_taken_where_there_is_no_usable_gpu():
    assert simulated is not gpu_preflight.usable(gpu_preflight.gather())
    assert (RUNS_ON == "the CUDA simulator") is simulated


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "from numba import njit, prange\n"])
def test_it_is_turned_on_whatever_was_imported_before(before):
    done = fresh(before + KERNEL, NUMBA_ENABLE_CUDASIM="1")
    assert done.stdout == "the CUDA simulator\n", done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not simulated, reason="needs a machine without a GPU")
def test_without_a_gpu_too_late_is_a_clear_sentence_and_a_setting_of_ones_own_is_kept():
    done = fresh("from numba import cuda\n" + KERNEL)
    assert done.stderr.splitlines()[-1].startswith("ImportError: numba.cuda was imported before")
    assert "restart the kernel and run the first cell first" in done.stderr
    done = fresh("from hpclab.kernels.cuda import cuda; print(cuda.is_available())", NUMBA_ENABLE_CUDASIM="0")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.skipif(simulated, reason="needs a GPU")
def test_a_gpus_time_is_between_events():
    there = cuda.to_device(numpy.zeros(2**20, dtype=numpy.float32))
    spent = seconds(lambda: there.copy_to_device(there), repeats=3)
    assert len(spent) == 3
    assert min(spent) > 0
