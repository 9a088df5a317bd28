"""The CPU's ladders equal the same references as the GPU's; on disk where there is a place for it."""

from __future__ import annotations

import numpy
import pytest

from hpclab.kernels import cpu, ladder

AWKWARD = {
    "reduction": [(0,), (1,), (10_007,)],
    "stencil": [(0, 3), (1, 1), (2, 5), (37, 101)],
    "matrix multiply": [(0, 2, 3), (2, 0, 3), (1, 1, 1), (17, 19, 23)],
}
STEPS = [step for steps in cpu.LADDERS.values() for step in steps]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.problem.name}-{step.name}")
def test_every_step_equals_its_reference(step):
    for shape in AWKWARD[step.problem.name]:
        arrays = step.problem.make(shape, numpy.random.default_rng(1))
        step.launch(*arrays)
        tolerance = step.problem.tolerance(shape)
        numpy.testing.assert_allclose(
            arrays[-1], step.problem.reference(*arrays[:-1]), rtol=tolerance, atol=0
        )


def test_both_machines_solve_the_same_problems():
    for name, steps in cpu.LADDERS.items():
        assert {step.problem for step in steps} == {ladder.LADDERS[name][0].problem}
