"""Arrays with addresses: what a kernel's variable holds, and each warp's loads, stores and atomics on it.

What to notice: `a[i]` is one instruction for a whole warp. The index of every active lane becomes an address,
and all of them together are one request to the memory system.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer.lanes import Dim3, Mask
from hpclab.models.gpu_memory import Array, Request

UNNAMED = "array"  # until the kernel gives it a name
ALIGNMENT = 256  # bytes; cudaMalloc's
Order = Literal["C", "F"]
Cells = NDArray[numpy.int64]


@dataclass(eq=False)
class Memory:
    """An allocation. A cell is an item's place in `data`; `written` says which hold something (None: all)."""

    name: str
    space: str
    data: NDArray[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    base: int = 0
    written: NDArray[numpy.bool_] | None = None

    def described(self) -> Array:
        return Array(self.name, self.space, self.data.dtype.name, self.shape, self.base)

    @property
    def order(self) -> Order:
        return "C" if self.strides == row_major(self.shape) else "F"

    def indices(self, cells: Cells) -> list[tuple[int, ...]]:
        """The cells' indices as a kernel would write them."""
        axes = numpy.unravel_index(cells, self.shape, self.order)
        return list(zip(*(axis.tolist() for axis in axes), strict=True))


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
    epoch: int
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
                lanes, tuple(addresses[part]), tuple(indices[part]), self.epoch,
            )
            for place, (warp, lanes, part) in enumerate(self.mask.warps)
        ]  # fmt: skip


def whole(memory: Memory) -> View:
    return View(memory, 0, memory.shape, memory.strides)


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in items, the last index running fastest."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return tuple(strides)


def allocate(
    name: str, space: str, shape: tuple[int, ...], dtype: numpy.dtype, base: int, copies: int = 1
) -> Memory:
    """Memory that nobody has written: floats are NaN, so that it shows; `copies` lie one after another."""
    size = int(numpy.prod(shape)) * copies
    data = numpy.full(size, numpy.nan if dtype.kind in "fc" else 0, dtype)
    return Memory(name, space, data, shape, row_major(shape), base, numpy.zeros(size, bool))


class GlobalMemory:
    """The device's memory: a copy of each array of the caller's, the same object at the same address."""

    def __init__(self) -> None:
        self._next = 0
        self._known: dict[int, tuple[NDArray[Any], Memory]] = {}

    def hold(self, name: str, array: NDArray[Any]) -> Memory:
        if id(array) not in self._known:
            order: Order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
            data = numpy.array(array, order=order, copy=True).reshape(-1, order="A")
            strides = row_major(array.shape)
            if order == "F":
                strides = row_major(array.shape[::-1])[::-1]
            memory = Memory(name, "global", data, array.shape, strides, self._next)
            self._known[id(array)] = array, memory
            self._next += max(1, -(-data.nbytes // ALIGNMENT)) * ALIGNMENT
        return self._known[id(array)][1]

    def arrays(self) -> list[Memory]:
        return [memory for _, memory in self._known.values()]


def left_behind(memory: Memory) -> NDArray[Any]:
    """The array as the kernel left it, in the caller's shape and order."""
    return memory.data.reshape(memory.shape, order=memory.order)


Operation = Callable[[Any, Any], Any]
_REPEATABLE: dict[str, numpy.ufunc] = {
    "add": numpy.add, "sub": numpy.subtract, "max": numpy.maximum, "min": numpy.minimum,
    "and_": numpy.bitwise_and, "or_": numpy.bitwise_or, "xor": numpy.bitwise_xor,
    "nanmax": numpy.fmax, "nanmin": numpy.fmin,
}  # fmt: skip
_ONE_AT_A_TIME: dict[str, Operation] = {
    "exch": lambda old, value: value,
    "inc": lambda old, value: 0 if old >= value else old + 1,
    "dec": lambda old, value: value if old == 0 or old > value else old - 1,
    "cas": lambda old, pair: pair[1] if old == pair[0] else old,
}
ATOMICS = (*_REPEATABLE, *_ONE_AT_A_TIME)


def atomically(memory: Memory, cells: Cells, name: str, values: Any, wants_old: bool) -> NDArray[Any] | None:
    """Lane by lane, in order; what each found there, or None if nobody asks.

    `values` has an entry per cell (for "cas" a pair of them: what is expected, what to put there).
    """
    data = memory.data
    if name in _REPEATABLE and not wants_old:
        _REPEATABLE[name].at(data, cells, values.astype(data.dtype))
        return None
    operation = _REPEATABLE.get(name) or _ONE_AT_A_TIME[name]
    lanes = zip(*values, strict=True) if name == "cas" else values.astype(data.dtype)
    old = numpy.empty(len(cells), data.dtype)
    for place, (cell, value) in enumerate(zip(cells.tolist(), lanes, strict=True)):
        old[place] = data[cell]
        data[cell] = operation(data[cell], value)
    return old
