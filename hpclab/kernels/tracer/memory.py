"""Arrays with addresses: what a kernel's variable holds, and each warp's loads, stores and atomics on it.

What to notice: `a[i]` is one instruction for a whole warp. The index of every active lane becomes an address,
and all of them together are one request to the memory system.
"""

from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer.lanes import Dim3, Mask
from hpclab.models.gpu_memory import Array, Request

UNNAMED = "array"  # until the kernel gives it a name
Cells = NDArray[numpy.int64]


class Memory:
    """An allocation: `array` is what it holds, `data` the same as it lies in memory; a cell is a place there.

    `written` says which cells hold something. Local memory holds an array for each thread of the block.
    """

    def __init__(self, name: str, space: str, array: NDArray, base: int = 0, written: bool = True) -> None:
        self.name, self.space, self.array, self.base = name, space, array, base
        self.data = array.reshape(-1, order="A")
        self.written = numpy.full(array.size, written)
        self.shape = array.shape[1:] if space == "local" else array.shape
        strides = tuple(stride // array.itemsize for stride in array.strides)
        self.strides = strides[-len(self.shape) :]

    def described(self) -> Array:
        return Array(self.name, self.base)

    def indices(self, cells: Cells) -> list[tuple[int, ...]]:
        """The cells' indices as a kernel would write them."""
        in_rows = self.array.flags.c_contiguous
        axes = numpy.unravel_index(cells, self.array.shape, "C" if in_rows else "F")
        return list(zip(*(axis.tolist() for axis in axes[-len(self.shape) :]), strict=True))


@dataclass(eq=False)
class View:
    """An array, or a row of one: `offset` in cells is one number, or one per lane."""

    memory: Memory
    offset: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def dtype(self) -> numpy.dtype:
        return self.memory.data.dtype


@dataclass(eq=False, slots=True)
class Access:
    """One instruction on memory of all active warps of a block: `cells`, one per active lane of `mask`."""

    step: int
    block: int
    mask: Mask
    line: int
    kind: str
    memory: Memory
    cells: Cells
    warp_epochs: NDArray[numpy.int64]
    values: NDArray[Any] | None

    def requests(self, block: Dim3) -> list[Request]:
        """As the hardware sees it, warp by warp."""
        memory = self.memory
        size = memory.data.dtype.itemsize
        addresses = (memory.base + self.cells * size).tolist()
        indices = memory.indices(self.cells)
        return [
            Request(
                self.step + place, block, warp, self.line, memory.space, self.kind, memory.name, size,
                lanes, tuple(addresses[part]), tuple(indices[part]),
            )
            for place, (warp, lanes, part) in enumerate(self.mask.warps)
        ]  # fmt: skip


def whole(memory: Memory) -> View:
    return View(memory, 0, memory.shape, memory.strides)


def allocate(space: str, shape: tuple[int, ...], dtype: numpy.dtype, base: int = 0) -> Memory:
    """Memory that nobody has written: floats are NaN, so that it shows."""
    return Memory(
        UNNAMED, space, numpy.full(shape, numpy.nan if dtype.kind in "fc" else 0, dtype), base, written=False
    )
