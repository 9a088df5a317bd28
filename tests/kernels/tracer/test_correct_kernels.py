"""Kernels that are right and good, beside the ladders': the tracer finds nothing to say."""

from types import SimpleNamespace

import numpy
import pytest
from numpy import float32, int32

from hpclab.kernels import tracer

cuda = SimpleNamespace()
A = numpy.random.default_rng(1).random(1000, dtype=numpy.float32)


def early_return_before_a_barrier(out, a):
    i = cuda.grid(1)
    if i >= a.size:
        return  # those that left do not count at the barrier (compute capability 7 and later)
    shared = cuda.shared.array(128, float32)
    shared[cuda.threadIdx.x] = a[i]
    cuda.syncthreads()
    out[i] = shared[cuda.threadIdx.x]


def tree_that_ends_in_a_warp(out, a):
    shared = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    shared[i] = a[i]
    cuda.syncthreads()
    if i < 32:
        half = 32
        while half > 0:
            mine = shared[i] + shared[i + half]
            cuda.syncwarp()
            shared[i] = mine
            cuda.syncwarp()
            half //= 2
        if i == 0:
            out[0] = mine


def last_block_sums(out, a, parts, ticket):
    last = cuda.shared.array(1, int32)
    i = cuda.threadIdx.x
    total = float32(0)
    if i == 0:
        for k in range(100):
            total += a[cuda.blockIdx.x * 100 + k]
        parts[cuda.blockIdx.x] = total
        cuda.threadfence()
        last[0] = cuda.atomic.add(ticket, 0, 1) == cuda.gridDim.x - 1
    cuda.syncthreads()
    if last[0] != 0 and i == 0:
        total = float32(0)
        for k in range(cuda.gridDim.x):
            total += parts[k]
        out[0] = total


def everybody_says_so(out, a):
    """Plain stores of one value: whoever comes last, the same is there."""
    if a[cuda.grid(1)] >= 0:
        out[0] = 1


def in_step_within_a_warp(out, a):
    """Atomics of a warp, and two writes of one's own, before a barrier of the warp; then others read."""
    bins = cuda.shared.array(4, float32)
    own = cuda.shared.array(32, float32)
    i = cuda.threadIdx.x
    if i < 4:
        bins[i] = 0
    cuda.syncwarp()
    cuda.atomic.add(bins, i % 4, a[i])
    own[i] = a[i]
    own[i] += 1
    cuda.syncwarp()
    out[i] = bins[i % 4] + own[31 - i]


def columns_beyond_the_edge(out, a):
    """Idle lanes that a boundary check leaves are no divergence that could be saved."""
    x, y = cuda.grid(2)
    if x < 3:
        out[3 * y + x] = a[3 * y + x]


ONE = numpy.zeros(1, numpy.float32)
CORRECT = [
    (early_return_before_a_barrier, 8, 128, (numpy.zeros_like(A), A), A),
    (tree_that_ends_in_a_warp, 1, 64, (ONE, A[:64].copy()), [A[:64].sum()]),
    (last_block_sums, 10, 32, (ONE, A, numpy.zeros(10, "f4"), numpy.zeros(1, "i4")), [A.sum()]),
    (columns_beyond_the_edge, 1, (8, 16), (numpy.zeros(48, "f4"), A[:48].copy()), A[:48]),
    (everybody_says_so, 10, 100, (ONE, A), [1]),
    (
        in_step_within_a_warp, 1, 32, (numpy.zeros(32, "f4"), A[:32].copy()),
        numpy.tile([A[:32][k::4].sum() for k in range(4)], 8) + A[31::-1] + 1,
    ),
]  # fmt: skip


@pytest.mark.parametrize("launch", CORRECT, ids=lambda launch: launch[0].__name__)
def test_a_correct_kernel_has_no_findings(launch):
    kernel, grid, block, arguments, expected = launch
    before = [array.copy() for array in arguments]
    trace = tracer.trace(kernel, grid, block, *arguments)
    assert trace.findings == ()
    numpy.testing.assert_allclose(trace.after["out"], expected, rtol=1e-5)
    for array, copy in zip(arguments, before, strict=True):
        numpy.testing.assert_array_equal(array, copy, "the caller's arrays stay as they are")
