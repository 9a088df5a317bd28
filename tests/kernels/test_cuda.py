"""The one module that knows the simulator: which of the two runs, no time from it, and memory given back."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref

import numpy
import pytest

from hpclab.kernels.cuda import RUNS_ON, cuda, free, memory_guard, out_of_memory, seconds, simulated
from hpclab.machine import gpu_preflight

KERNEL = """
import numpy
from hpclab.kernels.cuda import RUNS_ON, cuda, simulated
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


@pytest.mark.skipif(not simulated, reason="needs a machine without a GPU")
def test_without_a_gpu_and_too_late_is_one_clear_sentence():
    done = fresh("from numba import cuda\n" + KERNEL)
    assert done.stderr.splitlines()[-1].startswith("ImportError: numba.cuda was imported before")
    assert "restart the kernel and run the first cell first" in done.stderr


@pytest.mark.skipif(not simulated, reason="needs a machine without a GPU")
def test_a_setting_of_the_learners_own_is_kept():
    done = fresh("from hpclab.kernels.cuda import cuda; print(cuda.is_available())", NUMBA_ENABLE_CUDASIM="0")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.skipif(not simulated, reason="times a GPU where there is one")
def test_the_simulator_is_never_timed():
    calls = []
    with pytest.raises(RuntimeError, match="simulator here, whose time says nothing"):
        seconds(lambda: calls.append(1))
    assert not calls


@pytest.mark.skipif(simulated, reason="needs a GPU")
def test_a_gpus_time_is_between_events():
    there = cuda.to_device(numpy.zeros(2**20, dtype=numpy.float32))
    spent = seconds(lambda: there.copy_to_device(there), repeats=3)
    assert len(spent) == 3
    assert min(spent) > 0


@pytest.mark.parametrize("wrong", [{"repeats": 0}, {"calls": -1}, {"warmup": "3"}, {"repeats": float("nan")}])
def test_bad_counts_are_refused(wrong):
    with pytest.raises(ValueError, match="must be a whole number"):
        seconds(lambda: None, **wrong)


class CudaAPIError(Exception):
    """As Numba's, which the simulator lacks."""

    def __init__(self, code):
        self.code = code
        super().__init__(f"[{code}] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")


class OutOfMemoryError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize("full", [CudaAPIError(2), OutOfMemoryError("CUDA out of memory. Tried to allocate")])
def test_a_full_memory_frees_what_was_half_done_and_the_next_cell_works(full):
    held = []

    def allocate():
        half_done = numpy.zeros(1000)  # an array in a frame that the traceback holds on to
        held.append(weakref.ref(half_done))
        raise full

    with pytest.raises(MemoryError, match=r"memory is full .* take smaller arrays"), memory_guard():
        allocate()
    assert held[0]() is None
    with memory_guard():
        assert numpy.zeros(3).sum() == 0


@pytest.mark.parametrize("other", [CudaAPIError(700), ValueError("x"), MemoryError("the host's")])
def test_other_errors_pass_through(other):
    assert not out_of_memory(other)
    with pytest.raises(type(other)) as caught, memory_guard():
        raise other
    assert caught.value is other


def test_free_lets_go_of_what_the_last_error_held(monkeypatch):
    def fail():
        array = numpy.zeros(1000)
        held.append(weakref.ref(array))
        raise ValueError("a cell that failed, as IPython keeps it")

    held = []
    try:
        fail()
    except ValueError as error:
        monkeypatch.setattr(sys, "last_value", error, raising=False)
    assert held[0]() is not None
    free()
    assert held[0]() is None


@pytest.mark.skipif(simulated, reason="needs a GPU")
def test_a_gpu_that_was_full_can_be_used_again():
    total = cuda.current_context().get_memory_info().total

    def fill():
        return [cuda.device_array(total // 3, numpy.uint8) for _ in range(4)]

    with pytest.raises(MemoryError), memory_guard():
        fill()
    with memory_guard():
        assert cuda.device_array(total // 3, numpy.uint8).size == total // 3
