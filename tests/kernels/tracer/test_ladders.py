"""Every kernel of every ladder, traced: its reference's result, and no error."""

import numpy
import pytest

from hpclab.kernels import tracer
from hpclab.kernels.ladder import LADDERS

pytestmark = pytest.mark.slow

SHAPES = {1: [(1,), (97,), (1000,)], 2: [(1, 1), (33, 37)], 3: [(1, 1, 1), (17, 9, 33)]}
CASES = [
    (step, shape)
    for steps in LADDERS.values() for step in steps for shape in SHAPES[len(step.problem.extents)]
]  # fmt: skip


def named(value):
    return f"{value.problem.name}-{value.name}" if hasattr(value, "problem") else "x".join(map(str, value))


def traced(step, shape):
    arrays = step.problem.make(shape, numpy.random.default_rng(0))
    return tracer.trace(step.kernel, *step.grid_block(shape), *arrays), arrays


@pytest.mark.parametrize(("step", "shape"), CASES, ids=named)
def test_a_ladders_kernel_is_right_under_the_tracer(step, shape):
    trace, arrays = traced(step, shape)
    assert trace.errors == ()
    result = list(trace.after.values())[-1]
    numpy.testing.assert_allclose(
        result, step.problem.reference(*arrays[:-1]), rtol=max(1e-7, step.problem.tolerance(shape))
    )


def test_a_trace_is_the_same_every_time():
    one, two = (traced(LADDERS["softmax"][-1], (3, 40))[0] for _ in range(2))
    assert one.requests == two.requests
    assert one.findings == two.findings


COSTS = {  # all others: none
    ("vector add", "strided"): {"uncoalesced"},
    ("transpose", "naive"): {"uncoalesced"},
    ("transpose", "tiled"): {"bank conflict"},
    ("softmax", "naive"): {"uncoalesced"},
}


@pytest.mark.parametrize("step", [s for s, shape in CASES if shape in ((1,), (1, 1))], ids=named)
def test_what_each_step_of_a_ladder_still_costs(step):
    trace, _ = traced(step, {1: (1000,), 2: (64, 70)}[len(step.problem.extents)])
    assert {found.kind for found in trace.findings} == COSTS.get((step.problem.name, step.name), set())
