"""Kernels that are right and good: the tracer computes what they compute and finds nothing to say."""

import math
from types import SimpleNamespace

import numpy
import pytest
from numpy import float32, int32

from hpclab.kernels import tracer

cuda = SimpleNamespace()
A = numpy.random.default_rng(1).random(1000, dtype=numpy.float32)
SQUARE = numpy.random.default_rng(2).random((70, 41), dtype=numpy.float32)


def grid_stride(out, a):
    for i in range(cuda.grid(1), a.size, cuda.gridsize(1)):
        out[i] = math.sqrt(a[i])


def early_return_before_a_barrier(out, a):
    i = cuda.grid(1)
    if i >= a.size:
        return  # those that left do not count at the barrier (compute capability 7 and later)
    shared = cuda.shared.array(128, float32)
    shared[cuda.threadIdx.x] = a[i]
    cuda.syncthreads()
    out[i] = shared[cuda.threadIdx.x]


def transpose(out, a):
    tile = cuda.shared.array((32, 33), float32)
    x, y = cuda.grid(2)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    if y < a.shape[0] and x < a.shape[1]:
        tile[ty, tx] = a[y, x]
    cuda.syncthreads()
    x = cuda.blockIdx.y * 32 + tx
    y = cuda.blockIdx.x * 32 + ty
    if y < out.shape[0] and x < out.shape[1]:
        out[y, x] = tile[tx, ty]


def tree_sum(out, a):
    shared = cuda.shared.array(256, float32)
    i = cuda.threadIdx.x
    shared[i] = a[i]
    cuda.syncthreads()
    half = 128
    while half > 0:
        if i < half:
            shared[i] += shared[i + half]
        cuda.syncthreads()
        half //= 2
    if i == 0:
        out[0] = shared[0]


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


def shuffled_sum(out, a):
    of_warp = cuda.shared.array(8, float32)
    i = cuda.threadIdx.x
    mine = a[i]
    for by in (16, 8, 4, 2, 1):
        mine += cuda.shfl_down_sync(0xFFFFFFFF, mine, by)
    if cuda.laneid == 0:
        of_warp[i // 32] = mine
    cuda.syncthreads()
    if i < 32:
        mine = of_warp[i] if i < 8 else float32(0)
        for by in (4, 2, 1):
            mine += cuda.shfl_down_sync(-1, mine, by)
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


def stencil(out, a):
    i = cuda.grid(1)
    if 0 < i < a.size - 1:
        out[i] = (a[i - 1] + a[i] + a[i + 1]) / float32(3)
    elif i < a.size:
        out[i] = a[i]


def histogram(out, a):
    bins = cuda.shared.array(16, int32)
    i = cuda.grid(1)
    if cuda.threadIdx.x < 16:
        bins[cuda.threadIdx.x] = 0
    cuda.syncthreads()
    if i < a.size:
        cuda.atomic.add(bins, int(a[i] * 16), 1)
    cuda.syncthreads()
    if cuda.threadIdx.x < 16:
        cuda.atomic.add(out, cuda.threadIdx.x, bins[cuda.threadIdx.x])


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


def guarded_in_two_dimensions(out, a):
    """Whole rows of threads have nothing to do, and nothing that could be done about it here."""
    x, y = cuda.grid(2)
    if x < out.shape[1] and y < out.shape[0]:
        out[y, x] = a[y, x] * a[y, x] + a[y, x]


def averaged():
    mean = A.copy()
    mean[1:-1] = (A[:-2] + A[1:-1] + A[2:]) / numpy.float32(3)
    return mean


def like(a):
    return numpy.zeros_like(a)


ONE = numpy.zeros(1, numpy.float32)
CORRECT = [
    (grid_stride, 2, 128, (like(A), A), numpy.sqrt(A)),
    (early_return_before_a_barrier, 8, 128, (like(A), A), A),
    (transpose, (2, 3), (32, 32), (like(SQUARE.T.copy()), SQUARE), SQUARE.T),
    (tree_sum, 1, 256, (ONE, A[:256].copy()), [A[:256].sum()]),
    (tree_that_ends_in_a_warp, 1, 64, (ONE, A[:64].copy()), [A[:64].sum()]),
    (shuffled_sum, 1, 256, (ONE, A[:256].copy()), [A[:256].sum()]),
    (last_block_sums, 10, 32, (ONE, A, numpy.zeros(10, "f4"), numpy.zeros(1, "i4")), [A.sum()]),
    (everybody_says_so, 10, 100, (ONE, A), [1]),
    (
        in_step_within_a_warp, 1, 32, (numpy.zeros(32, "f4"), A[:32].copy()),
        numpy.tile([A[:32][k::4].sum() for k in range(4)], 8) + A[31::-1] + 1,
    ),
    (
        guarded_in_two_dimensions, 1, (16, 16), (numpy.zeros((13, 5), "f4"), SQUARE[:13, :5].copy()),
        SQUARE[:13, :5] ** 2 + SQUARE[:13, :5],
    ),
    (stencil, 8, 128, (like(A), A), averaged()),
    (histogram, 8, 128, (numpy.zeros(16, "i4"), A), numpy.bincount((A * 16).astype(int), minlength=16)),
]  # fmt: skip


@pytest.mark.parametrize("launch", CORRECT, ids=lambda launch: launch[0].__name__)
def test_a_correct_kernel_has_no_findings(launch):
    kernel, grid, block, arguments, expected = launch
    trace = tracer.trace(kernel, grid, block, *arguments)
    assert trace.findings == ()
    numpy.testing.assert_allclose(trace.after["out"], expected, rtol=1e-5)
