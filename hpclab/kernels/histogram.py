"""A histogram of bytes: 256 counters that every thread wants, some of them far more than others.

An atomic is right and slow where many meet at one address; private copies in shared memory make that rare.
"""

import numpy
from numpy import int32

from hpclab.kernels.cuda import cuda
from hpclab.kernels.step import WARP, Problem, Variant, line

BINS = 256  # one for each value of a byte
THREADS = 256  # a block
WARPS = THREADS // WARP
BLOCKS = 1024  # a grid that strides: each block adds its counters once


def reference(x):
    return numpy.bincount(x, minlength=BINS).astype(numpy.int32)


@cuda.jit
def global_atomics(x, counts):
    """One item a thread, one atomic each, all on 256 addresses of the GPU's memory."""
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(counts, x[i], 1)


@cuda.jit
def shared_counters(x, counts):
    """A block counts in shared memory, where atomics are near, and adds its counters at the end."""
    mine = cuda.shared.array(BINS, int32)
    for value in range(cuda.threadIdx.x, BINS, THREADS):
        mine[value] = 0
    cuda.syncthreads()
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        cuda.atomic.add(mine, x[i], 1)
    cuda.syncthreads()
    for value in range(cuda.threadIdx.x, BINS, THREADS):
        cuda.atomic.add(counts, value, mine[value])


@cuda.jit
def warp_counters(x, counts):
    """Counters for each warp: only its own 32 lanes can meet at one."""
    mine = cuda.shared.array((WARPS, BINS), int32)
    warp = cuda.threadIdx.x // WARP
    for value in range(cuda.threadIdx.x, BINS, THREADS):
        for other in range(WARPS):
            mine[other, value] = 0
    cuda.syncthreads()
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        cuda.atomic.add(mine, (warp, x[i]), 1)
    cuda.syncthreads()
    for value in range(cuda.threadIdx.x, BINS, THREADS):
        total = 0
        for other in range(WARPS):
            total += mine[other, value]
        cuda.atomic.add(counts, value, total)


def make(shape, rng):
    """Bytes of which small ones are far more common, as in text."""
    x = numpy.minimum(rng.exponential(16, shape), BINS - 1).astype(numpy.uint8)
    return x, numpy.zeros(BINS, dtype=numpy.int32)


PROBLEM = Problem(
    "histogram", ("items",), make, reference,
    bytes=lambda shape: shape[0] + 4 * BINS, flops=lambda shape: shape[0], summed=True,
)  # fmt: skip


STEPS = (
    Variant("global atomics", global_atomics, PROBLEM, lambda n: line(n[0], THREADS), registers=10),
    Variant("shared counters", shared_counters, PROBLEM, lambda n: line(n[0], THREADS, 1, BLOCKS), 28, 1024),
    Variant("warp counters", warp_counters, PROBLEM, lambda n: line(n[0], THREADS, 1, BLOCKS), 31, 8192),
)
