"""Transposition: nothing is computed; a kernel that reads along contiguous rows writes along columns.

A tile in shared memory is the way out: there a column costs no more than a row, but for bank conflicts.
"""

import numpy
from numpy import float32, uint32

from hpclab.kernels.cuda import cuda
from hpclab.kernels.step import Problem, Variant, tiles

TILE = 32  # rows and columns of a tile
PITCH = TILE + 1  # a padded tile's row, in items
ROWS = 8  # rows of threads in a block: each thread moves TILE / ROWS items


@cuda.jit
def naive(source, result):
    """One item a thread: a warp reads 32 neighbours and writes 32 different lines."""
    column, row = cuda.grid(2)
    if row < source.shape[0] and column < source.shape[1]:
        result[column, row] = source[row, column]


@cuda.jit
def tiled(source, result):
    """Through a tile: read along rows, turn round in shared memory, write along rows.

    The items of the tile's column are 32 words apart, in one and the same bank: a warp that reads it takes 32
    turns. Reads past an edge are bent back to it, so that no branch keeps a thread's four reads from being
    under way together; unsigned positions spare the check whether an index counts from the end.
    """
    tile = cuda.shared.array((TILE, TILE), float32)
    left = uint32(cuda.blockIdx.x) * TILE
    top = uint32(cuda.blockIdx.y) * TILE
    x = uint32(cuda.threadIdx.x)
    y = uint32(cuda.threadIdx.y)
    for k in range(0, TILE, ROWS):
        tile[y + k, x] = source[min(top + y + k, source.shape[0] - 1), min(left + x, source.shape[1] - 1)]
    cuda.syncthreads()
    for k in range(0, TILE, ROWS):
        if left + y + k < result.shape[0] and top + x < result.shape[1]:
            result[left + y + k, top + x] = tile[x, y + k]


@cuda.jit
def padded(source, result):
    """The same with a tile one column wider than it needs: a column's items now lie in 32 different banks."""
    tile = cuda.shared.array((TILE, PITCH), float32)
    left = uint32(cuda.blockIdx.x) * TILE
    top = uint32(cuda.blockIdx.y) * TILE
    x = uint32(cuda.threadIdx.x)
    y = uint32(cuda.threadIdx.y)
    for k in range(0, TILE, ROWS):
        tile[y + k, x] = source[min(top + y + k, source.shape[0] - 1), min(left + x, source.shape[1] - 1)]
    cuda.syncthreads()
    for k in range(0, TILE, ROWS):
        if left + y + k < result.shape[0] and top + x < result.shape[1]:
            result[left + y + k, top + x] = tile[x, y + k]


def make(shape, rng):
    """A random matrix, and room for the result, NaN until it is computed."""
    rows, columns = shape
    return rng.random(shape, dtype=numpy.float32), numpy.full((columns, rows), numpy.nan, dtype=numpy.float32)


PROBLEM = Problem(
    "transpose", ("rows", "columns"), make, lambda source: source.T.copy(),
    bytes=lambda shape: 8 * shape[0] * shape[1], flops=lambda shape: 0,
)  # fmt: skip


STEPS = (
    Variant("naive", naive, PROBLEM, lambda n: tiles(n, ROWS, TILE), registers=20),
    Variant("tiled", tiled, PROBLEM, lambda n: (tiles(n, TILE, TILE)[0], (TILE, ROWS)), 32, shared=4096),
    Variant("padded", padded, PROBLEM, lambda n: (tiles(n, TILE, TILE)[0], (TILE, ROWS)), 32, shared=4224),
)
