"""Launches that no GPU would start: a finding says why, and nothing is traced."""

import numpy
import pytest

from hpclab.kernels import tracer


def fill(out):
    out[0] = 1


@pytest.mark.parametrize(("grid", "block", "words"), [
    (1, 2048, "2048 in x, but at most 1024"),
    (1, (32, 64), "2048 threads, but at most 1024"),
    (1, (1, 1, 128), "128 in z, but at most 64"),
    ((1, 70_000), 32, "70000 in y"),
    (2**31, 32, "2147483648 in x"),
    (0, 32, "The grid is 0 in x"),
    (1, -32, "The block is -32 in x"),
])  # fmt: skip
def test_what_no_gpu_would_start(grid, block, words):
    trace = tracer.trace(fill, grid, block, numpy.zeros(64))
    assert [finding.kind for finding in trace.findings] == ["limit"]
    assert words in trace.findings[0].message
    assert not trace.blocks
    assert not trace.requests


@pytest.mark.parametrize("grid", [(1, 65_535), (1, 1, 65_535), (2**31 - 1, 1)])
def test_the_largest_grids_start(grid):
    assert not tracer.trace(fill, grid, 1, numpy.zeros(64), blocks=[0]).findings
