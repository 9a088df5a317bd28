"""Every kernel equals its reference on awkward sizes: in the simulator or on a GPU, on the CPU, and traced.

The simulator takes milliseconds for a thread, so there the kernels' sizes are small ones: constants of
their modules, which it reads at every launch and a GPU's compiler once. The tracer runs them as they are.
"""

import math

import numpy
import pytest

from hpclab.kernels import cpu, histogram, matmul, reduction, softmax, stencil, tracer, transpose, vector_add
from hpclab.kernels.cuda import simulated
from hpclab.kernels.ladder import LADDERS

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
LARGE = {1: [(10_007,)], 2: [(37, 101)], 3: [(17, 9, 33)]}  # what the simulator is too slow for
ALL = [step for steps in LADDERS.values() for step in steps]
CASES = [
    (step, shape)
    for ladders in (LADDERS, cpu.LADDERS) for name, steps in ladders.items()
    for step in steps for shape in AWKWARD[name]
    + (LARGE[len(step.problem.extents)] if ladders is cpu.LADDERS or not simulated else [])
]  # fmt: skip


def named(value):
    return "x".join(map(str, value)) if isinstance(value, tuple) else f"{value.problem.name}-{value.name}"


@pytest.fixture
def small(monkeypatch):
    if simulated:
        for module, sizes in SMALL.items():
            for name, size in sizes.items():
                monkeypatch.setattr(module, name, size)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "shape"), CASES, ids=named)
def test_every_step_equals_its_reference(step, shape, small):
    rng = numpy.random.default_rng(math.prod(shape))
    arrays = step.problem.make(shape, rng)
    before = [array.copy() for array in arrays[:-1]]
    for _ in range(2 if shape == (1,) else 1):  # a sum begins at zero each time
        step.launch(*arrays)
    expected = step.problem.reference(*before)
    assert arrays[-1].dtype == expected.dtype
    numpy.testing.assert_allclose(arrays[-1], expected, rtol=step.problem.tolerance(shape), atol=0)
    for array, copy in zip(arrays[:-1], before, strict=True):
        numpy.testing.assert_array_equal(array, copy)


TRACED = {1: [(1000,)], 2: [(64, 70)]}  # the shapes on which COSTS are known
COSTS = {  # all others: none
    ("vector add", "strided"): {"uncoalesced"},
    ("transpose", "naive"): {"uncoalesced"},
    ("transpose", "tiled"): {"bank conflict"},
    ("softmax", "naive"): {"uncoalesced"},
}


@pytest.mark.slow
@pytest.mark.parametrize("step", ALL, ids=named)
def test_every_step_is_right_under_the_tracer_as_it_is_and_costs_what_is_known(step):
    extents = len(step.problem.extents)
    for shape in ((1,) * extents, *LARGE[extents], *TRACED.get(extents, [])):
        arrays = step.problem.make(shape, numpy.random.default_rng(0))
        trace = tracer.trace(step.kernel, *step.grid_block(shape), *arrays)
        assert trace.errors == ()
        expected = step.problem.reference(*arrays[:-1])
        tolerance = max(1e-7, step.problem.tolerance(shape))
        numpy.testing.assert_allclose(list(trace.after.values())[-1], expected, rtol=tolerance)
    if extents in TRACED:
        kinds = {found.kind for found in trace.findings}
        assert kinds == COSTS.get((step.problem.name, step.name), set())


@pytest.mark.parametrize("step", ALL, ids=named)
def test_a_launch_fits_every_gpu(step):
    grid, block = step.grid_block((4096,) * len(step.problem.extents))
    assert math.prod(block) <= 1024
    assert math.prod(block) % 32 == 0
    assert step.registers * math.prod(block) <= 65536
    assert step.shared <= 48 * 1024
    assert min(grid) >= 1


def test_a_shape_that_cannot_be_is_refused_in_one_sentence():
    for ladder, shape, words in (
        ("vector add", (-1,), "items must be a whole number"),
        ("vector add", 7, r"shape of vector add is \(items\)"),
        ("transpose", (2**22, 4), "more than 65535 blocks along y"),
    ):
        with pytest.raises(ValueError, match=words):
            LADDERS[ladder][-1].grid_block(shape)


def test_work_is_counted_by_hand():
    shapes = {1: (10,), 2: (10, 20), 3: (2, 3, 5)}
    problems = {step.problem.name: (step.problem, shapes[len(step.problem.extents)]) for step in ALL}
    assert {name: (of.bytes(shape), of.flops(shape)) for name, (of, shape) in problems.items()} == {
        "vector add": (120, 10), "transpose": (1600, 0), "reduction": (44, 9), "histogram": (1034, 10),
        "stencil": (1600, 5 * 8 * 18), "softmax": (1600, 1000), "matrix multiply": (4 * (6 + 15 + 10), 60),
        "matrix multiply, float16 inputs": (2 * (6 + 15) + 40, 60),
    }  # fmt: skip
