"""What a trace records: arrays with addresses, and each warp's accesses, branches and barriers, in steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer.lanes import Dim3, Mask, Threads
from hpclab.kernels.tracer.source import Unsupported
from hpclab.models.gpu_memory import WARP, Barrier, Branch, Request

MOST = 4_000_000  # lane accesses in one trace: about 300 MB of Requests
UNNAMED = "array"  # until the kernel gives it a name
Cells = NDArray[numpy.int64]


class Memory:
    """An allocation at address `base`: `array` is what it holds, `data` the same as it lies in memory; a cell
    is a place in `data`, `written` is true once it was written. Local memory is an array for each thread."""

    def __init__(self, name: str, space: str, array: NDArray, base: int = 0, written: bool = True) -> None:
        self.name, self.space, self.array, self.base = name, space, array, base
        self.data = array.reshape(-1, order="A")
        self.written = numpy.full(array.size, written)
        self.shape = array.shape[1:] if space == "local" else array.shape
        strides = tuple(stride // array.itemsize for stride in array.strides)
        self.strides = strides[-len(self.shape) :]

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


def whole(memory: Memory) -> View:
    """All of `memory` as one array."""
    return View(memory, 0, memory.shape, memory.strides)


@dataclass(eq=False, slots=True)
class Access:
    """One instruction on memory of all active warps of a block: `cells`, and the `values` that a store puts
    there, one per active lane of `mask`; `warp_epochs` counts each warp's cuda.syncwarp() so far."""

    step: int
    block: int
    mask: Mask
    line: int
    kind: str
    memory: Memory
    cells: Cells
    warp_epochs: NDArray[numpy.int64]
    values: NDArray[Any] | None


class Recorder:
    """The steps of one trace, in order; `work` and `waste` count operations of warps, all and saveable."""

    def __init__(self, threads: Threads, blocks: Sequence[Dim3]) -> None:
        self.threads, self.blocks = threads, blocks
        self.accesses: list[Access] = []
        self.branches: list[Branch] = []
        self.barriers: list[Barrier] = []
        self.waste: dict[int, int] = {}
        self.steps = self.work = self.lanes = 0  # lanes: accesses so far, lane by lane
        # Of each block the steps of its last fence, of the last fence before an atomic, of its first atomic.
        self.last_fence, self.fence_before_atomic = numpy.zeros((2, len(blocks)), numpy.int64)
        self.first_atomic = numpy.full(len(blocks), numpy.iinfo(numpy.int64).max)

    def access(self, made: Access) -> None:
        """Record an access to global or shared memory; Unsupported when a trace has too many."""
        if made.memory.space not in ("global", "shared"):  # registers, constants: no request
            return
        self.lanes += made.mask.count
        if self.lanes > MOST:
            raise Unsupported(
                "This launch makes more requests than a trace can hold: trace fewer blocks (blocks=[0]) or a "
                "smaller problem."
            )
        self.steps += len(made.mask.warps)
        self.accesses.append(made)
        if made.kind == "atomic" and made.memory.space == "global":  # how blocks hear from one another
            self.fence_before_atomic[made.block] = self.last_fence[made.block]
            self.first_atomic[made.block] = min(self.first_atomic[made.block], self.steps)

    def branch(self, block: int, line: int, mask: Mask, taken: Mask) -> None:
        """Record a Branch for each warp in which some but not all lanes of `mask` are in `taken`."""
        if not 0 < taken.count < mask.count:
            return
        left = mask.without(taken)
        for warp in numpy.flatnonzero(taken.by_warp.any(axis=1) & left.by_warp.any(axis=1)).tolist():
            ways = (tuple(numpy.flatnonzero(way.by_warp[warp]).tolist()) for way in (taken, left))
            self.branches.append(Branch(self.steps, self.blocks[block], warp, line, *ways))
            self.steps += 1

    def barrier(self, block: int, line: int, mask: Mask) -> None:
        """Record a Barrier for each warp of `mask`."""
        for warp, lanes, _ in mask.warps:
            self.barriers.append(Barrier(self.steps, self.blocks[block], warp, line, lanes))
            self.steps += 1

    def count_waste(self, line: int, whole: Mask, part: Mask, operations: int) -> None:
        """Count as waste, where `part` of the lanes executed `operations` and the rest of their warps waited,
        what packing them into full warps saves: none after a boundary check, which leaves neighbours."""
        if operations and 0 < part.count < whole.count and not self.threads.is_box(part, whole):
            split = part.by_warp.any(axis=1) & (whole.by_warp & ~part.by_warp).any(axis=1)
            saved = int(split.sum()) - -(-int(part.by_warp[split].sum()) // WARP)
            self.waste[line] = self.waste.get(line, 0) + saved * operations

    def requests(self) -> tuple[Request, ...]:
        """The accesses as the hardware sees them, warp by warp."""
        found = []
        for made in self.accesses:
            memory, size = made.memory, made.memory.data.dtype.itemsize
            addresses, indices = (memory.base + made.cells * size).tolist(), memory.indices(made.cells)
            found += [
                Request(
                    made.step + place, self.blocks[made.block], warp, made.line, memory.space, made.kind,
                    memory.name, size, lanes, tuple(addresses[part]), tuple(indices[part]),
                )
                for place, (warp, lanes, part) in enumerate(made.mask.warps)
            ]  # fmt: skip
        return tuple(found)
