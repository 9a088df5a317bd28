"""Matrix multiplication: 2n³ operations on 3n² numbers, the one ladder that arithmetic can bound.

Each step reads the same two matrices fewer times. The last is the third on float16 inputs, with float32 sums.
"""

import functools

import numpy
from numpy import float32, uint32

from hpclab.kernels.cuda import cuda
from hpclab.kernels.step import Problem, Variant, blocks, tiles

TILE = 16  # side of a tile of `shared_tiles`, and of its block

# `register_blocked`: a block of LANES x LANES threads makes a square of SIDE x SIDE sums. A thread's rows and
# columns are two groups of GROUP neighbours, HALF apart: four numbers that lie together are read at once.
GROUP, LANES = 4, 16
PER, HALF, SIDE = 2 * GROUP, GROUP * LANES, 2 * GROUP * LANES
THREADS = LANES * LANES
DEPTH = 8  # columns of a, and rows of b, in shared memory at a time
ITEMS = SIDE * DEPTH
PITCH = SIDE + 4  # a's tile lies transposed; the four keep its columns in different banks


def reference(a, b):
    return (a.astype(numpy.float64) @ b.astype(numpy.float64)).astype(numpy.float32)


@cuda.jit
def naive(a, b, product):
    """One sum a thread, straight from the GPU's memory: two reads for each multiplication and addition."""
    column, row = cuda.grid(2)
    if row < product.shape[0] and column < product.shape[1]:
        total = float32(0)
        for k in range(a.shape[1]):
            total += a[row, k] * b[k, column]
        product[row, column] = total


@cuda.jit
def shared_tiles(a, b, product):
    """A block reads a tile of each matrix together; then each number in it serves TILE threads.

    The first barrier says "the tiles are full", the second "nobody needs them any more". Past the edges the
    tiles hold zeros, which add nothing.
    """
    a_tile = cuda.shared.array((TILE, TILE), float32)
    b_tile = cuda.shared.array((TILE, TILE), float32)
    column, row = cuda.grid(2)
    x = cuda.threadIdx.x
    y = cuda.threadIdx.y
    total = float32(0)
    for begin in range(0, a.shape[1], TILE):
        a_tile[y, x] = a[row, begin + x] if row < a.shape[0] and begin + x < a.shape[1] else float32(0)
        b_tile[y, x] = b[begin + y, column] if begin + y < b.shape[0] and column < b.shape[1] else float32(0)
        cuda.syncthreads()
        for k in range(TILE):
            total += a_tile[y, k] * b_tile[k, x]
        cuda.syncthreads()
    if row < product.shape[0] and column < product.shape[1]:
        product[row, column] = total


@cuda.jit(fastmath=True)
def register_blocked(a, b, product):
    """A thread makes 8 x 8 sums: 16 numbers from shared memory serve 64 multiplications and additions.

    The sums live in registers: every loop over them has a length known to the compiler, so that it unrolls
    them and no index is left. Unsigned positions spare the check whether an index counts from the end.
    """
    a_tile = cuda.shared.array((DEPTH, PITCH), float32)
    b_tile = cuda.shared.array((DEPTH, SIDE), float32)
    sums = cuda.local.array((PER, PER), float32)
    of_a = cuda.local.array(PER, float32)
    of_b = cuda.local.array(PER, float32)
    me = uint32(cuda.threadIdx.x)
    x = me % LANES * GROUP
    y = me // LANES * GROUP
    top = uint32(cuda.blockIdx.y) * SIDE
    left = uint32(cuda.blockIdx.x) * SIDE
    rows, inner = a.shape
    columns = b.shape[1]
    for i in range(PER):
        for j in range(PER):
            sums[i, j] = float32(0)
    begin = 0
    while begin < inner:
        for first in range(0, ITEMS, THREADS):
            row = (me + first) // DEPTH
            at = (me + first) % DEPTH
            inside = top + row < rows and begin + at < inner
            a_tile[at, row] = float32(a[top + row, begin + at]) if inside else float32(0)
        for first in range(0, ITEMS, THREADS):
            at = (me + first) // SIDE
            column = (me + first) % SIDE
            inside = begin + at < inner and left + column < columns
            b_tile[at, column] = float32(b[begin + at, left + column]) if inside else float32(0)
        cuda.syncthreads()
        k = 0
        while k < DEPTH:
            for i in range(GROUP):
                of_a[i] = a_tile[k, y + i]
                of_a[i + GROUP] = a_tile[k, y + i + HALF]
                of_b[i] = b_tile[k, x + i]
                of_b[i + GROUP] = b_tile[k, x + i + HALF]
            for i in range(PER):
                for j in range(PER):
                    sums[i, j] += of_a[i] * of_b[j]
            k += 1
        cuda.syncthreads()
        begin += DEPTH
    for i in range(PER):
        row = top + y + i % GROUP + i // GROUP * HALF
        for j in range(PER):
            column = left + x + j % GROUP + j // GROUP * HALF
            if row < rows and column < columns:
                product[row, column] = sums[i, j]


def make(shape, rng, dtype):
    """Random matrices of `dtype`, and room for their product, NaN until it is computed."""
    rows, inner, columns = shape
    a = rng.random((rows, inner), dtype=numpy.float32).astype(dtype)
    b = rng.random((inner, columns), dtype=numpy.float32).astype(dtype)
    return a, b, numpy.full((rows, columns), numpy.nan, dtype=numpy.float32)


def _problem(name, dtype):
    return Problem(
        name, ("rows", "inner", "columns"), functools.partial(make, dtype=dtype), reference,
        bytes=lambda shape: dtype().itemsize * (shape[0] + shape[2]) * shape[1] + 4 * shape[0] * shape[2],
        flops=lambda shape: 2 * shape[0] * shape[1] * shape[2],
        tolerance=lambda shape: (shape[1] + 1) * 2.0**-24,  # Higham, section 3.1: no item is negative
        shape_of=lambda a, b, product: (*a.shape, b.shape[1]),
    )  # fmt: skip


PROBLEM = _problem("matrix multiply", numpy.float32)
PROBLEM_FLOAT16 = _problem("matrix multiply, float16 inputs", numpy.float16)


def _by_squares(shape):
    return (blocks(shape[2], SIDE), blocks(shape[0], SIDE)), (THREADS,)


STEPS = (
    Variant("naive", naive, PROBLEM, lambda n: tiles((n[0], n[2]), TILE, TILE), registers=28),
    Variant("shared tiles", shared_tiles, PROBLEM, lambda n: tiles((n[0], n[2]), TILE, TILE), 32, 2048),
    Variant("register-blocked", register_blocked, PROBLEM, _by_squares, registers=122, shared=8320),
    Variant("float16 inputs", register_blocked, PROBLEM_FLOAT16, _by_squares, registers=118, shared=8320),
)  # fmt: skip
