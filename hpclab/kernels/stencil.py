"""A five-point stencil on a 2D grid: each item becomes the mean of itself and its four neighbours.

Five threads need every item: it comes from the cache, from shared memory or from a thread's own registers.
"""

import numpy
from numpy import float32, uint32

from hpclab.kernels.cuda import cuda
from hpclab.kernels.step import Problem, Variant, blocks, tiles

WIDE, HIGH = 32, 8  # a block's threads along a row, and along a column
HALO_WIDE, HALO_HIGH = WIDE + 2, HIGH + 2  # its tile with the neighbours around it
STRIP = 8  # rows that one thread of `register_column` walks down
HALO_STRIP = STRIP + 2
FIFTH = float32(0.2)


def reference(u):
    mean = u.copy()
    around = u[1:-1, 1:-1] + u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]
    mean[1:-1, 1:-1] = around * numpy.float32(0.2)
    return mean


@cuda.jit
def naive(u, mean):
    """One item a thread, five reads each; the four that a neighbour has read too come from the cache."""
    column, row = cuda.grid(2)
    if 0 < row < u.shape[0] - 1 and 0 < column < u.shape[1] - 1:
        beside = u[row, column - 1] + u[row, column + 1]
        mean[row, column] = (u[row, column] + u[row - 1, column] + u[row + 1, column] + beside) * FIFTH


@cuda.jit
def tiled(u, mean):
    """A block reads its tile and the halo around it once; the neighbours then come from shared memory.

    The tile is larger than the block, so that threads at its edge read a second item, and a corner four.
    """
    tile = cuda.shared.array((HALO_HIGH, HALO_WIDE), float32)
    x = uint32(cuda.threadIdx.x)
    y = uint32(cuda.threadIdx.y)
    top = uint32(cuda.blockIdx.y) * HIGH
    left = uint32(cuda.blockIdx.x) * WIDE
    for down in range(0, HALO_HIGH, HIGH):
        for along in range(0, HALO_WIDE, WIDE):
            if y + down < HALO_HIGH and x + along < HALO_WIDE:
                row = min(top + y + down, u.shape[0] - 1)
                column = min(left + x + along, u.shape[1] - 1)
                tile[y + down, x + along] = u[row, column]
    cuda.syncthreads()
    if top + y + 2 < u.shape[0] and left + x + 2 < u.shape[1]:
        beside = tile[y + 1, x] + tile[y + 1, x + 2]
        column = tile[y, x + 1] + tile[y + 1, x + 1] + tile[y + 2, x + 1]
        mean[top + y + 1, left + x + 1] = (column + beside) * FIFTH


@cuda.jit
def register_column(u, mean):
    """A thread does STRIP rows of a column; it first loads them, and one above and below, into registers.

    All loads are issued before the first sum; rows past the last are clamped to it, to save a branch. Left
    and right come from the cache, where the neighbouring lanes' loads put them.
    """
    here = cuda.local.array(HALO_STRIP, float32)
    beside = cuda.local.array(STRIP, float32)
    column = uint32(cuda.grid(1))
    top = uint32(cuda.blockIdx.y) * STRIP
    last = u.shape[0] - 1
    if 0 < column < u.shape[1] - 1:
        for k in range(HALO_STRIP):
            here[k] = u[min(top + k, last), column]
        for k in range(STRIP):
            row = min(top + k + 1, last)
            beside[k] = u[row, column - 1] + u[row, column + 1]
        for k in range(STRIP):
            if top + k + 1 < last:
                mean[top + k + 1, column] = (here[k + 1] + here[k] + here[k + 2] + beside[k]) * FIFTH


def make(shape, rng):
    """A random grid, and room for the result, NaN inside until it is computed."""
    u = rng.random(shape, dtype=numpy.float32)
    mean = u.copy()  # the outermost items have not four neighbours: they stay
    mean[1:-1, 1:-1] = numpy.nan
    return u, mean


PROBLEM = Problem(
    "stencil", ("rows", "columns"), make, reference,
    bytes=lambda shape: 8 * shape[0] * shape[1],
    flops=lambda shape: 5 * max(0, shape[0] - 2) * max(0, shape[1] - 2),
    tolerance=lambda shape: 10 * 2.0**-24,  # four additions and a product, rounded differently on both sides
)  # fmt: skip


STEPS = (
    Variant("naive", naive, PROBLEM, lambda n: tiles(n, HIGH, WIDE), registers=18),
    Variant("tiled", tiled, PROBLEM, lambda n: tiles((n[0] - 2, n[1] - 2), HIGH, WIDE), 30, shared=1360),
    Variant(
        "register column", register_column, PROBLEM,
        lambda n: ((blocks(n[1], WIDE * HIGH), blocks(n[0] - 2, STRIP)), (WIDE * HIGH,)), registers=34,
    ),
)  # fmt: skip
