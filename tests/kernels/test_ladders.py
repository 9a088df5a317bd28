"""Every kernel equals its reference on awkward sizes: one body, in the simulator and on a GPU.

The simulator takes milliseconds for a thread, so there the kernels' sizes are small ones: constants of
their modules, which it reads at every launch and a GPU's compiler once. `test_as_shipped` runs them as they
are.
"""

from __future__ import annotations

import math

import numpy
import pytest

from hpclab.kernels import histogram, matmul, reduction, softmax, stencil, transpose, vector_add
from hpclab.kernels.cuda import simulated
from hpclab.kernels.ladder import LADDERS
from hpclab.kernels.step import Step

SMALL = {
    vector_add: {"THREADS": 8, "EACH": 3, "BLOCKS": 2},
    transpose: {"TILE": 4, "PITCH": 5, "ROWS": 2},
    reduction: {"THREADS": 64, "WARPS": 2, "BLOCKS": 2},
    histogram: {"THREADS": 64, "WARPS": 2, "BLOCKS": 2},
    stencil: {"WIDE": 4, "HIGH": 2, "HALO_WIDE": 6, "HALO_HIGH": 4, "STRIP": 3, "HALO_STRIP": 5},
    softmax: {"THREADS": 64, "WARPS": 2},
    matmul: {
        "TILE": 4, "GROUP": 1, "LANES": 4, "PER": 2, "HALF": 4, "SIDE": 8, "THREADS": 16, "DEPTH": 2,
        "ITEMS": 16, "PITCH": 12,
    },
}  # fmt: skip
AWKWARD = {  # nothing, one, primes, more than a block but no multiple of it, far from square
    "vector add": [(0,), (1,), (37,), (131,)],
    "transpose": [(0, 3), (1, 1), (7, 3), (2, 13), (9, 1)],
    "reduction": [(0,), (1,), (67,), (641,)],
    "histogram": [(0,), (1,), (211,)],
    "stencil": [(0, 3), (1, 1), (2, 5), (7, 11), (11, 3)],
    "softmax": [(0, 3), (3, 0), (1, 1), (2, 67), (3, 5)],
    "matrix multiply": [(0, 2, 3), (2, 0, 3), (1, 1, 1), (7, 5, 11), (9, 3, 2)],
}
AS_SHIPPED = {1: (1031,), 2: (3, 67), 3: (17, 19, 18)}
ALL = [step for steps in LADDERS.values() for step in steps]
LARGE = {(67,), (131,), (211,), (641,), (2, 67), (7, 5, 11), (3, 5)}  # seconds, all steps together
CASES = [
    pytest.param(step, shape, marks=pytest.mark.slow if shape in LARGE else ())
    for name, steps in LADDERS.items() for step in steps for shape in AWKWARD[name]
]  # fmt: skip


def named(value):
    return f"{value.problem.name}-{value.name}" if isinstance(value, Step) else "x".join(map(str, value))


@pytest.fixture
def small(monkeypatch):
    if simulated:
        for module, sizes in SMALL.items():
            for name, size in sizes.items():
                monkeypatch.setattr(module, name, size)


def check(step, shape):
    rng = numpy.random.default_rng(math.prod(shape))
    arrays = step.problem.make(shape, rng)
    before = [array.copy() for array in arrays[:-1]]
    for _ in range(2 if step.zeroed and shape == (1,) else 1):  # a sum begins at zero each time
        step.launch(*arrays)
    expected = step.problem.reference(*before)
    assert arrays[-1].dtype == expected.dtype
    numpy.testing.assert_allclose(arrays[-1], expected, rtol=step.problem.tolerance(shape), atol=0)
    for array, copy in zip(arrays[:-1], before, strict=True):
        numpy.testing.assert_array_equal(array, copy)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "shape"), CASES, ids=named)
def test_every_step_equals_its_reference(step, shape, small):
    check(step, shape)


@pytest.mark.soak if simulated else pytest.mark.slow  # the tracer runs them as shipped, too, and in no time
@pytest.mark.parametrize("step", ALL, ids=named)
def test_as_shipped(step):
    check(step, AS_SHIPPED[len(step.problem.extents)])


@pytest.mark.slow
def test_softmax_of_large_numbers_does_not_overflow(small):
    for step in LADDERS["softmax"]:
        x = numpy.array([[1e30, 1e30], [-1e30, 0.0], [88.0, 90.0]], dtype=numpy.float32)
        result = numpy.empty_like(x)
        step.launch(x, result)
        numpy.testing.assert_allclose(result, softmax.reference(x), rtol=1e-5, err_msg=step.name)


def test_small_sizes_keep_what_the_sizes_have_to_do_with_each_other():
    for sizes in (SMALL[matmul], vars(matmul)):
        group, lanes, depth = sizes["GROUP"], sizes["LANES"], sizes["DEPTH"]
        assert sizes["PER"] == 2 * group
        assert (sizes["HALF"], sizes["SIDE"]) == (group * lanes, 2 * group * lanes)
        assert (sizes["THREADS"], sizes["ITEMS"]) == (lanes * lanes, sizes["SIDE"] * depth)
        assert sizes["ITEMS"] % sizes["THREADS"] == 0
        assert sizes["PITCH"] >= sizes["SIDE"]
    for sizes in (SMALL[stencil], vars(stencil)):
        assert [sizes[f"HALO_{name}"] - sizes[name] for name in ("WIDE", "HIGH", "STRIP")] == [2, 2, 2]
    for module in (reduction, histogram, softmax):
        for sizes in (SMALL[module], vars(module)):
            assert sizes["THREADS"] == 32 * sizes["WARPS"]


@pytest.mark.parametrize("step", ALL, ids=named)
def test_a_launch_fits_every_gpu(step):
    shape = (4096,) * len(step.problem.extents)
    grid, block = step.grid_block(shape)
    assert math.prod(block) <= 1024
    assert math.prod(block) % 32 == 0
    assert step.registers * math.prod(block) <= 65536
    assert step.shared <= 48 * 1024
    assert min(grid) >= 1
    assert len(step.idea) < 90


@pytest.mark.parametrize(
    "shape", [(-1,), (2.5,), ("x",), (None,), (float("nan"),), (10**10,), (1, 2), 7, None]
)
def test_a_shape_that_cannot_be_is_refused_in_one_sentence(shape):
    for name in ("vector add", "reduction"):
        with pytest.raises(
            ValueError, match=rf"items must be a whole number|The shape of {name} is \(items\)"
        ):
            LADDERS[name][0].grid_block(shape)


def test_a_grid_that_is_too_high_is_refused():
    with pytest.raises(ValueError, match="more than 65535 blocks along y"):
        LADDERS["transpose"][1].grid_block((2**22, 4))


def test_work_is_counted_by_hand():
    count = {name: (s[0].problem.bytes, s[0].problem.flops) for name, s in LADDERS.items()}
    assert [f((10,)) for f in count["vector add"]] == [120, 10]
    assert [f((10,)) for f in count["reduction"]] == [44, 9]
    assert [f((10, 20)) for f in count["transpose"]] == [1600, 0]
    assert [f((10,)) for f in count["histogram"]] == [1034, 10]
    assert [f((10, 20)) for f in count["stencil"]] == [1600, 5 * 8 * 18]
    assert [f((10, 20)) for f in count["softmax"]] == [1600, 1000]
    assert [f((2, 3, 5)) for f in count["matrix multiply"]] == [4 * (6 + 15 + 10), 60]
    half = LADDERS["matrix multiply"][-1].problem
    assert [half.bytes((2, 3, 5)), half.flops((2, 3, 5))] == [2 * (6 + 15) + 40, 60]
