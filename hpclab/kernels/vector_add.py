"""Vector addition: two numbers read and one written for a single addition, so memory decides everything."""

import numpy

from hpclab.kernels.cuda import cuda
from hpclab.kernels.step import Problem, Variant, line

THREADS = 256  # a block
EACH = 32  # items that one thread of `strided` takes
AHEAD = 4  # loads that one thread of `grid_stride` has under way
BLOCKS = 4096  # a grid-stride grid: some waves of blocks on the largest GPU


@cuda.jit
def strided(a, b, total):
    """Each thread adds a stretch of its own, as a CPU core would: a warp's reads lie 128 bytes apart."""
    first = cuda.grid(1) * EACH
    for i in range(first, min(first + EACH, total.size)):
        total[i] = a[i] + b[i]


@cuda.jit
def coalesced(a, b, total):
    """One item a thread: the 32 reads of a warp fall into one line of 128 bytes."""
    i = cuda.grid(1)
    if i < total.size:
        total[i] = a[i] + b[i]


@cuda.jit
def grid_stride(a, b, total):
    """A grid of any size walks through all items in strides as long as itself.

    Eight reads are under way before the first is waited for: bytes in flight are what fills the bus.
    """
    stride = cuda.gridsize(1)
    i = cuda.grid(1)
    while i + (AHEAD - 1) * stride < total.size:
        first = a[i] + b[i]
        second = a[i + stride] + b[i + stride]
        third = a[i + 2 * stride] + b[i + 2 * stride]
        fourth = a[i + 3 * stride] + b[i + 3 * stride]
        total[i] = first
        total[i + stride] = second
        total[i + 2 * stride] = third
        total[i + 3 * stride] = fourth
        i += AHEAD * stride
    while i < total.size:
        total[i] = a[i] + b[i]
        i += stride


def make(shape, rng):
    """Two random vectors, and room for their sum, NaN until it is computed."""
    a, b = rng.random((2, *shape), dtype=numpy.float32)
    return a, b, numpy.full(shape, numpy.nan, dtype=numpy.float32)


PROBLEM = Problem(
    "vector add", ("items",), make, numpy.add,
    bytes=lambda shape: 12 * shape[0], flops=lambda shape: shape[0],
)  # fmt: skip

STEPS = (
    Variant("strided", strided, PROBLEM, lambda n: line(n[0], THREADS, EACH), registers=25),
    Variant("coalesced", coalesced, PROBLEM, lambda n: line(n[0], THREADS), registers=15),
    Variant("grid-stride", grid_stride, PROBLEM, lambda n: line(n[0], THREADS, AHEAD, BLOCKS), registers=32),
)
