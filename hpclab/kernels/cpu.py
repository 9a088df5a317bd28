"""Three of the ladders on a CPU: one item at a time, then SIMD, then threads. Same problems as on the GPU.

The compiler uses a core's SIMD lanes only where neighbouring items are neighbours in memory and the order of
additions may change.
"""

from dataclasses import dataclass
from typing import Any

from numba import prange
from numpy import float32

from hpclab.compiled import njit
from hpclab.kernels import matmul, reduction, stencil
from hpclab.kernels.step import Problem

FREE_ORDER = {"reassoc", "nsz", "contract"}  # additions in any order, and a product and a sum in one: no more


@dataclass(frozen=True)
class CpuStep:
    """One kernel of a CPU's ladder: ``launch(*arrays)`` fills the last array."""

    name: str
    launch: Any
    problem: Problem


@njit()
def sum_scalar(x, total):
    """One addition after the other, as it is written: each waits for the one before."""
    mine = float32(0)
    for i in range(x.size):
        mine += x[i]
    total[0] = mine


@njit(fastmath=FREE_ORDER)
def sum_vectorised(x, total):
    """The same loop; free to add in another order, the compiler keeps many sums side by side."""
    mine = float32(0)
    for i in range(x.size):
        mine += x[i]
    total[0] = mine


@njit(fastmath=FREE_ORDER, parallel=True)
def sum_threads(x, total):
    """Each thread a stretch; Numba adds the threads' sums."""
    mine = float32(0)
    for i in prange(x.size):
        mine += x[i]
    total[0] = mine


@njit()
def stencil_scalar(u, mean):
    """Down the columns: each item lies a row behind the last, and a cache line is left after one use."""
    for column in range(1, u.shape[1] - 1):
        for row in range(1, u.shape[0] - 1):
            beside = u[row, column - 1] + u[row, column + 1]
            around = u[row, column] + u[row - 1, column] + u[row + 1, column] + beside
            mean[row, column] = around * stencil.FIFTH


@njit(fastmath=FREE_ORDER)
def stencil_vectorised(u, mean):
    """Along the rows: neighbours lie together, so that one instruction computes many of them."""
    for row in range(1, u.shape[0] - 1):
        above = u[row - 1]
        here = u[row]
        below = u[row + 1]
        line = mean[row]
        for column in range(1, u.shape[1] - 1):
            beside = here[column - 1] + here[column + 1]
            line[column] = (here[column] + above[column] + below[column] + beside) * stencil.FIFTH


@njit(fastmath=FREE_ORDER, parallel=True)
def stencil_threads(u, mean):
    """Each thread some of the rows."""
    for row in prange(1, u.shape[0] - 1):
        above = u[row - 1]
        here = u[row]
        below = u[row + 1]
        line = mean[row]
        for column in range(1, u.shape[1] - 1):
            beside = here[column - 1] + here[column + 1]
            line[column] = (here[column] + above[column] + below[column] + beside) * stencil.FIFTH


@njit()
def multiply_scalar(a, b, product):
    """The sum over k innermost, as in the textbook: b is walked down its columns."""
    for row in range(product.shape[0]):
        for column in range(product.shape[1]):
            total = float32(0)
            for k in range(a.shape[1]):
                total += a[row, k] * b[k, column]
            product[row, column] = total


@njit(fastmath=FREE_ORDER)
def multiply_vectorised(a, b, product):
    """The same sums with the column innermost: b and the product are walked along their rows."""
    for row in range(product.shape[0]):
        line = product[row]
        line[:] = float32(0)
        for k in range(a.shape[1]):
            factor = a[row, k]
            of_b = b[k]
            for column in range(line.size):
                line[column] += factor * of_b[column]


@njit(fastmath=FREE_ORDER, parallel=True)
def multiply_threads(a, b, product):
    """Each thread some of the rows: nobody else writes there, so nobody waits."""
    for row in prange(product.shape[0]):
        line = product[row]
        line[:] = float32(0)
        for k in range(a.shape[1]):
            factor = a[row, k]
            of_b = b[k]
            for column in range(line.size):
                line[column] += factor * of_b[column]


def _steps(problem: Problem, *kernels: Any) -> tuple[CpuStep, ...]:
    named = zip(("scalar", "vectorised", "threads"), kernels, strict=True)
    return tuple(CpuStep(name, kernel, problem) for name, kernel in named)


LADDERS: dict[str, tuple[CpuStep, ...]] = {
    "reduction": _steps(reduction.PROBLEM, sum_scalar, sum_vectorised, sum_threads),
    "stencil": _steps(stencil.PROBLEM, stencil_scalar, stencil_vectorised, stencil_threads),
    "matrix multiply": _steps(matmul.PROBLEM, multiply_scalar, multiply_vectorised, multiply_threads),
}
