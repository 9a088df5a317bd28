"""A ladder of one step in NumPy, so that nothing is compiled, and one pool, so that torch is loaded once."""

import types

import numpy
import pytest

from hpclab.cluster import Pool
from hpclab.experiments import kernel_ladder
from hpclab.kernels.step import Problem


@pytest.fixture
def doubling(monkeypatch):
    """Its problem, 8 bytes and one operation an item; the CPU's only ladder, on at most 2¹⁶ bytes."""
    problem = Problem(
        "double", ("items",), lambda shape, rng: (numpy.ones(shape, "f4"), numpy.empty(shape, "f4")),
        lambda x: 2 * x, bytes=lambda shape: 8 * shape[0], flops=lambda shape: shape[0],
    )  # fmt: skip
    step = types.SimpleNamespace(name="numpy", problem=problem, launch=lambda x, to: numpy.add(x, x, out=to))
    monkeypatch.setattr(kernel_ladder, "_ladders", lambda on: {"double": (step,)})
    monkeypatch.setitem(kernel_ladder.WHERE, "cpu", (2**16, 2**28))
    return problem


@pytest.fixture(scope="package")
def pool():
    """Two nodes of this machine, one for all; a test may scale it."""
    with Pool(2, backend="local") as pool:
        yield pool
