"""The sum of an array: what costs is no addition but waiting, at one address (atomics) or at barriers."""

import numpy
from numpy import float32

from hpclab.kernels.cuda import cuda
from hpclab.kernels.step import WARP, Problem, Variant, line

THREADS = 256  # a block; a power of two, which the tree halves
WARPS = THREADS // WARP
BLOCKS = 2048  # the grid of `shuffled`
FULL = 0xFFFFFFFF  # all 32 lanes take part


def reference(x):
    return numpy.asarray([x.sum(dtype=numpy.float64)], dtype=numpy.float32)


@cuda.jit
def atomic(x, total):
    """Every thread adds its item to one address: they take turns, one after the other."""
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(total, 0, x[i])


@cuda.jit
def shared_tree(x, total):
    """A block adds in pairs, in shared memory, in log2(THREADS) rounds; then one atomic for the block.

    A barrier ends each round: what one thread wrote, another reads in the next. Active threads stay
    neighbours, so that whole warps fall idle and none is half empty until the last.
    """
    partial = cuda.shared.array(THREADS, float32)
    me = cuda.threadIdx.x
    i = cuda.grid(1)
    partial[me] = x[i] if i < x.size else float32(0)
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if me < half:
            partial[me] += partial[me + half]
        cuda.syncthreads()
        half >>= 1
    if me == 0:
        cuda.atomic.add(total, 0, partial[0])


@cuda.jit
def shuffled(x, total):
    """Each thread adds many items in a register, then lanes hand theirs down: 16, 8, 4, 2, 1.

    A shuffle needs neither shared memory nor a barrier, for a warp's lanes execute it together; one barrier
    is left, between the block's warps. Four independent sums a thread keep four reads under way.
    """
    of_warp = cuda.shared.array(WARPS, float32)
    me = cuda.threadIdx.x
    stride = cuda.gridsize(1)
    i = cuda.grid(1)
    first = second = third = fourth = float32(0)
    while i + 3 * stride < x.size:
        first += x[i]
        second += x[i + stride]
        third += x[i + 2 * stride]
        fourth += x[i + 3 * stride]
        i += 4 * stride
    while i < x.size:
        first += x[i]
        i += stride
    mine = (first + second) + (third + fourth)
    hand = WARP // 2
    while hand > 0:
        mine += cuda.shfl_down_sync(FULL, mine, hand)
        hand >>= 1
    if me % WARP == 0:
        of_warp[me // WARP] = mine
    cuda.syncthreads()
    if me == 0:
        for warp in range(1, WARPS):
            mine += of_warp[warp]
        cuda.atomic.add(total, 0, mine)


def make(shape, rng):
    """Random items, and their sum, which kernels add to."""
    return rng.random(shape, dtype=numpy.float32), numpy.zeros(1, dtype=numpy.float32)


PROBLEM = Problem(
    "reduction", ("items",), make, reference,
    bytes=lambda shape: 4 * shape[0] + 4, flops=lambda shape: max(0, shape[0] - 1),
    tolerance=lambda shape: shape[0] * 2.0**-24,  # Higham, Accuracy and Stability, section 4.2: items >= 0
    summed=True,
)  # fmt: skip


STEPS = (
    Variant("atomic", atomic, PROBLEM, lambda n: line(n[0], THREADS), registers=10),
    Variant("shared tree", shared_tree, PROBLEM, lambda n: line(n[0], THREADS), registers=14, shared=1024),
    Variant("warp shuffle", shuffled, PROBLEM, lambda n: line(n[0], THREADS, 4, BLOCKS), 28, shared=32),
)
