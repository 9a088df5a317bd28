"""A ladder's steps: kernels that solve one problem, each with one idea more than the step before."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab import checks
from hpclab.kernels.cuda import cuda
from hpclab.models.gpu_memory import WARP

Shape = tuple[int, ...]
MOST_ITEMS, MOST_BLOCKS_Y = 2**31 - 1, 65535  # CUDA's limits of a grid along x and along y


@dataclass(frozen=True)
class Problem:
    """What every step of a ladder computes.

    `extents` names the numbers of a shape. ``make(shape, rng)`` gives the arrays of a launch, the output last
    and not yet computed; ``reference(*inputs)`` the right output, in NumPy. ``bytes(shape)`` is the least
    traffic to the GPU's memory, ``flops(shape)`` the operations. ``tolerance(shape)`` is the largest relative
    error that the order of float32 operations can explain. ``shape_of(*arrays)`` is the shape that they were
    made with. Where `summed`, kernels add to the output.
    """

    name: str
    extents: tuple[str, ...]
    make: Callable[[Shape, numpy.random.Generator], tuple[NDArray, ...]]
    reference: Callable[..., NDArray]
    bytes: Callable[[Shape], int]
    flops: Callable[[Shape], int]
    tolerance: Callable[[Shape], float] = lambda shape: 0.0
    shape_of: Callable[..., Shape] = lambda first, *rest: first.shape
    summed: bool = False


@dataclass(frozen=True)
class Variant:
    """One kernel of a ladder; its docstring says what is new. ``configure(shape)`` gives its grid and block.

    `registers` of a thread and `shared` bytes of a block are what ptxas gave for compute capability 9.0
    (CUDA 13.5.37, numba-cuda 0.30.4, C-ordered arrays), so that occupancy can be modelled without a GPU.
    """

    name: str
    kernel: Any
    problem: Problem
    configure: Callable[[Shape], tuple[Shape, Shape]]
    registers: int
    shared: int = 0

    def grid_block(self, shape: Shape) -> tuple[Shape, Shape]:
        """Grid and block for inputs of `shape`; ValueError if it is not the problem's, or too large."""
        name, extents = self.problem.name, self.problem.extents
        if not isinstance(shape, tuple | list) or len(shape) != len(extents):
            raise ValueError(f"The shape of {name} is ({', '.join(extents)}), not {shape!r:.60}.")
        shape = tuple(checks.integer(*pair, 0, MOST_ITEMS) for pair in zip(extents, shape, strict=True))
        grid, block = self.configure(shape)
        if max(grid[1:], default=1) > MOST_BLOCKS_Y:
            raise ValueError(f"{name} {shape} needs more than {MOST_BLOCKS_Y} blocks along y.")
        return grid, block

    def launch(self, *arrays: Any) -> None:
        """Run on `arrays` as ``problem.make`` gives them: NumPy's, which are copied, or a device's own."""
        if arrays[-1].size == 0:
            return
        if self.problem.summed:
            zero[1, WARP](arrays[-1])
        grid, block = self.grid_block(self.problem.shape_of(*arrays))
        self.kernel[grid, block](*arrays)


@cuda.jit
def zero(result):
    """What atomics add to begins at nothing; one warp is enough for a few items."""
    for i in range(cuda.threadIdx.x, result.size, WARP):
        result[i] = 0


def blocks(items: int, each: int, most: int = MOST_ITEMS) -> int:
    """Number of blocks, each for `each` items, that cover `items`: from 1 (no grid is empty) to `most`."""
    return max(1, min(most, -(-items // each)))


def line(items: int, threads: int, each: int = 1, most: int = MOST_ITEMS) -> tuple[Shape, Shape]:
    """1D grid and block for `items`: at most `most` blocks of `threads` threads, `each` items a thread."""
    return (blocks(items, threads * each, most),), (threads,)


def tiles(shape: Shape, high: int, wide: int) -> tuple[Shape, Shape]:
    """2D grid and block (x, y) for a matrix: an item a thread, blocks of `high` rows and `wide` columns."""
    return (blocks(shape[1], wide), blocks(shape[0], high)), (wide, high)
