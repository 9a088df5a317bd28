"""Kernels that the tracer has never seen, in the style of public GPU puzzle collections: `cuda` is handed in.

The tasks are theirs (broadcast, convolution, sum along an axis, matrix product), the kernels are ours. Each
must give NumPy's result, and no error is found.
"""

from types import SimpleNamespace

import numba
import numpy
import pytest

from hpclab.kernels import tracer

TPB = 8
WINDOW = 3
handed_in = SimpleNamespace()


def broadcast_puzzle(cuda):
    def call(out, a, b, size):
        i = cuda.threadIdx.x
        j = cuda.threadIdx.y
        if i < size and j < size:
            out[i, j] = a[i, 0] + b[0, j]

    return call


def convolution_puzzle(cuda):
    def call(out, a, b, a_size, b_size):
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        local = cuda.threadIdx.x
        shared_a = cuda.shared.array(TPB + WINDOW, numba.float32)
        shared_b = cuda.shared.array(WINDOW, numba.float32)
        if local < b_size:
            shared_b[local] = b[local]
            far = i + TPB
            shared_a[local + TPB] = a[far] if far < a_size else 0
        shared_a[local] = a[i] if i < a_size else 0
        cuda.syncthreads()
        if i < a_size:
            total = 0.0
            for k in range(b_size):
                total += shared_a[local + k] * shared_b[k]
            out[i] = total

    return call


def axis_sum_puzzle(cuda):
    def call(out, a, size):
        cache = cuda.shared.array(TPB, numba.float32)
        i = cuda.threadIdx.x
        row = cuda.blockIdx.y
        cache[i] = 0
        if i < size:
            cache[i] = a[row, i]
        cuda.syncthreads()
        if i == 0:
            total = 0.0
            for k in range(size):
                total += cache[k]
            out[row, 0] = total

    return call


def matmul_puzzle(cuda):
    def call(out, a, b, size):
        a_shared = cuda.shared.array((TPB, TPB), numba.float32)
        b_shared = cuda.shared.array((TPB, TPB), numba.float32)
        i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
        j = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
        local_i, local_j = cuda.threadIdx.x, cuda.threadIdx.y
        total = 0.0
        for begin in range(0, size, TPB):
            a_shared[local_i, local_j] = 0
            b_shared[local_i, local_j] = 0
            if i < size and begin + local_j < size:
                a_shared[local_i, local_j] = a[i, begin + local_j]
            if j < size and begin + local_i < size:
                b_shared[local_i, local_j] = b[begin + local_i, j]
            cuda.syncthreads()
            for k in range(TPB):
                total += a_shared[local_i, k] * b_shared[k, local_j]
            cuda.syncthreads()
        if i < size and j < size:
            out[i, j] = total

    return call


def numbers(*shape):
    return numpy.random.default_rng(sum(shape)).integers(-9, 9, shape).astype(numpy.float32)


def out(*shape):
    return numpy.full(shape, numpy.nan, numpy.float32)


A, B, M = numbers(15), numbers(15) + 1, numbers(11, 11)
PUZZLES = [
    (
        broadcast_puzzle, 1, (4, 4), (out(3, 3), M[:3, :1].copy(), M[:1, :3].copy(), 3),
        M[:3, :1] + M[:1, :3],
    ),
    (
        convolution_puzzle, 2, TPB, (out(15), A, B[:3].copy(), 15, 3),
        numpy.correlate(numpy.append(A, [0, 0]), B[:3]),
    ),
    (axis_sum_puzzle, (1, 4), TPB, (out(4, 1), M[:4, :6].copy(), 6), M[:4, :6].sum(axis=1, keepdims=True)),
    (matmul_puzzle, (2, 2), (TPB, TPB), (out(11, 11), M, M.T.copy(), 11), M @ M.T),
]  # fmt: skip


@pytest.mark.parametrize("puzzle", PUZZLES, ids=lambda puzzle: puzzle[0].__name__)
def test_an_unseen_kernel_gives_numpys_result(puzzle):
    factory, grid, block, arguments, expected = puzzle
    trace = tracer.trace(factory(handed_in), grid, block, *arguments)
    numpy.testing.assert_array_equal(trace.after["out"], expected)
    assert trace.errors == ()
    assert numpy.isnan(arguments[0]).all(), "the caller's arrays are left alone"
