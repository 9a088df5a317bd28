"""Transposition: nothing is computed, and yet a good kernel is ten times as fast as a bad one.

What to notice: rows are contiguous and columns are not. Whoever reads along rows writes along columns. The
way out is a tile in shared memory, where walking down a column costs nothing, unless its items share a bank.
"""

from __future__ import annotations

import numpy
from numpy import float32

from hpclab.kernels.cuda import cuda
from hpclab.kernels.step import Problem, Step, blocks

TILE = 32  # rows and columns of a tile
PITCH = TILE + 1  # a padded tile's row, in items
ROWS = 8  # rows of threads in a block: each thread moves TILE / ROWS items


def reference(source):
    return source.T.copy()


@cuda.jit
def naive(source, result):
    """One item a thread: a warp reads 32 neighbours and writes 32 different lines."""
    column, row = cuda.grid(2)
    if row < source.shape[0] and column < source.shape[1]:
        result[column, row] = source[row, column]


@cuda.jit
def tiled(source, result):
    """Through a tile: read along rows, turn round in shared memory, write along rows.

    The tile's columns are 32 words apart, which is one and the same bank: a warp that reads one takes turns,
    32 of them.
    """
    tile = cuda.shared.array((TILE, TILE), float32)
    left = cuda.blockIdx.x * TILE
    top = cuda.blockIdx.y * TILE
    x = cuda.threadIdx.x
    y = cuda.threadIdx.y
    for k in range(0, TILE, ROWS):
        if top + y + k < source.shape[0] and left + x < source.shape[1]:
            tile[y + k, x] = source[top + y + k, left + x]
    cuda.syncthreads()
    for k in range(0, TILE, ROWS):
        if left + y + k < result.shape[0] and top + x < result.shape[1]:
            result[left + y + k, top + x] = tile[x, y + k]


@cuda.jit
def padded(source, result):
    """The same with a tile one column wider than it needs: a column's items now lie in 32 different banks."""
    tile = cuda.shared.array((TILE, PITCH), float32)
    left = cuda.blockIdx.x * TILE
    top = cuda.blockIdx.y * TILE
    x = cuda.threadIdx.x
    y = cuda.threadIdx.y
    for k in range(0, TILE, ROWS):
        if top + y + k < source.shape[0] and left + x < source.shape[1]:
            tile[y + k, x] = source[top + y + k, left + x]
    cuda.syncthreads()
    for k in range(0, TILE, ROWS):
        if left + y + k < result.shape[0] and top + x < result.shape[1]:
            result[left + y + k, top + x] = tile[x, y + k]


def make(shape, rng):
    rows, columns = shape
    return rng.random(shape, dtype=numpy.float32), numpy.full((columns, rows), numpy.nan, dtype=numpy.float32)


def _grid_block(shape):
    rows, columns = shape
    return (blocks(columns, TILE), blocks(rows, TILE)), (TILE, ROWS)


PROBLEM = Problem(
    name="transpose",
    extents=("rows", "columns"),
    make=make,
    reference=reference,
    bytes=lambda shape: 8 * shape[0] * shape[1],
    flops=lambda shape: 0,
)

STEPS = (
    Step(
        "naive", "One item a thread, read along a row, written along a column.", naive, PROBLEM,
        lambda shape: ((blocks(shape[1], TILE), blocks(shape[0], ROWS)), (TILE, ROWS)),
    ),
    Step("tiled", "Turn a tile round in shared memory: rows in, rows out.", tiled, PROBLEM, _grid_block),
    Step("padded", "A spare column spreads a tile's columns over the banks.", padded, PROBLEM, _grid_block),
)  # fmt: skip
