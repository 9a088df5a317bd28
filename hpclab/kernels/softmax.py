"""Softmax over rows, exp(x - max) / sum: what attention does to every row of scores.

Memory bounds it, and the textbook form reads each row three times. The sum can be kept right while the
largest still changes (Milakov and Gimelshein, Online normalizer calculation for softmax, 2018): a pass less.
"""

import math

import numpy
from numpy import float32, uint32

from hpclab.kernels.cuda import cuda
from hpclab.kernels.step import WARP, Problem, Variant, blocks, line

THREADS = 256  # a block; a power of two
WARPS = THREADS // WARP
FULL = 0xFFFFFFFF
LOWEST = float32(-3.4e38)  # below every item; minus infinity less itself would not be a number


def reference(x):
    wide = x.astype(numpy.float64)
    raised = numpy.exp(wide - wide.max(axis=1, keepdims=True, initial=-numpy.inf))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(numpy.float32)


@cuda.jit(fastmath=True)
def naive(x, result):
    """One thread a row: neighbouring threads read addresses that lie a whole row apart."""
    row = cuda.grid(1)
    if row < x.shape[0]:
        largest = LOWEST
        for column in range(x.shape[1]):
            largest = max(largest, x[row, column])
        total = float32(0)
        for column in range(x.shape[1]):
            total += math.exp(x[row, column] - largest)
        for column in range(x.shape[1]):
            result[row, column] = math.exp(x[row, column] - largest) / total


@cuda.jit(fastmath=True)
def block_per_row(x, result):
    """A block a row: neighbours read neighbours. Still three passes, and two trees full of barriers."""
    partial = cuda.shared.array(THREADS, float32)
    row = cuda.blockIdx.x
    me = cuda.threadIdx.x
    mine = LOWEST
    for column in range(me, x.shape[1], THREADS):
        mine = max(mine, x[row, column])
    partial[me] = mine
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if me < half:
            partial[me] = max(partial[me], partial[me + half])
        cuda.syncthreads()
        half >>= 1
    largest = partial[0]
    cuda.syncthreads()
    mine = float32(0)
    for column in range(me, x.shape[1], THREADS):
        mine += math.exp(x[row, column] - largest)
    partial[me] = mine
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if me < half:
            partial[me] += partial[me + half]
        cuda.syncthreads()
        half >>= 1
    total = partial[0]
    for column in range(me, x.shape[1], THREADS):
        result[row, column] = math.exp(x[row, column] - largest) / total


@cuda.jit(fastmath=True)
def online(x, result):
    """One pass keeps the largest so far and the sum under it: a new largest scales the old sum down.

    Two such pairs join as two items do, so lanes hand theirs across by shuffles and warps by shared memory,
    with one barrier. The second pass finds the row in the cache. Unsigned positions in loops as plain as
    these let the compiler put 16 reads on their way at once.
    """
    largest_of = cuda.shared.array(WARPS, float32)
    total_of = cuda.shared.array(WARPS, float32)
    row = uint32(cuda.blockIdx.x)
    me = uint32(cuda.threadIdx.x)
    largest = LOWEST
    total = float32(0)
    column = me
    while column < x.shape[1]:
        item = x[row, column]
        higher = max(largest, item)
        total = total * math.exp(largest - higher) + math.exp(item - higher)
        largest = higher
        column += THREADS
    apart = WARP // 2
    while apart > 0:
        other = cuda.shfl_xor_sync(FULL, largest, apart)
        other_total = cuda.shfl_xor_sync(FULL, total, apart)
        higher = max(largest, other)
        total = total * math.exp(largest - higher) + other_total * math.exp(other - higher)
        largest = higher
        apart >>= 1
    if me % WARP == 0:
        largest_of[me // WARP] = largest
        total_of[me // WARP] = total
    cuda.syncthreads()
    largest = LOWEST
    for warp in range(WARPS):
        largest = max(largest, largest_of[warp])
    total = float32(0)
    for warp in range(WARPS):
        total += total_of[warp] * math.exp(largest_of[warp] - largest)
    scale = float32(1) / total
    column = me
    while column < x.shape[1]:
        result[row, column] = math.exp(x[row, column] - largest) * scale
        column += THREADS


def make(shape, rng):
    """Random rows, and room for the result, NaN until it is computed."""
    return rng.standard_normal(shape, dtype=numpy.float32), numpy.full(shape, numpy.nan, dtype=numpy.float32)


PROBLEM = Problem(
    "softmax", ("rows", "columns"), make, reference,
    bytes=lambda shape: 8 * shape[0] * shape[1],
    flops=lambda shape: 5 * shape[0] * shape[1],  # a comparison, two for the exponential, a sum, a division
    tolerance=lambda shape: (shape[1] + 128) * 2.0**-24,  # the sum, and CUDA's fast exp: 2 + 1.16 |x| ulp
)  # fmt: skip


STEPS = (
    Variant("naive", naive, PROBLEM, lambda n: line(n[0], THREADS), registers=32),
    Variant("block per row", block_per_row, PROBLEM, lambda n: ((blocks(n[0], 1),), (THREADS,)), 42, 1024),
    Variant("online", online, PROBLEM, lambda n: ((blocks(n[0], 1),), (THREADS,)), 32, shared=64),
)
