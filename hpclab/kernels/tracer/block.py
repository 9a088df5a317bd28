"""One block as it executes: its threads, its memory, and where it stands between barriers."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer.findings import Findings, races_within_block
from hpclab.kernels.tracer.lanes import Mask, spread
from hpclab.kernels.tracer.recorder import UNNAMED, Access, Cells, Memory, Recorder, View, whole
from hpclab.models.gpu_memory import WARP

Index = tuple[Any, ...]  # a value for each dimension, the same in all lanes or one per lane
SHARED_BYTES = 48 * 1024  # static shared memory that a block may have, on every NVIDIA GPU


class Block:
    """The block ``recorder.blocks[number]``, whose faults go to `findings`."""

    def __init__(self, number: int, recorder: Recorder, findings: Findings) -> None:
        self.number, self.index, self.grid = number, recorder.blocks[number], findings.grid
        self.threads, self.recorder, self.findings = recorder.threads, recorder, findings
        self.living = self.threads.all  # those that have not left the kernel
        self.warp_epochs = numpy.zeros(self.threads.width // WARP, numpy.int64)
        self.own: dict[ast.Call, Memory] = {}  # shared and local arrays, by their place in the source
        self._epoch_began = len(recorder.accesses)

    def shared_array(self, site: ast.Call, shape: tuple[int, ...], dtype: numpy.dtype) -> View:
        """The shared array of the call at `site` in the source, the same however often it is executed."""
        if site not in self.own:
            ends = [m.base + m.data.nbytes for m in self.own.values() if m.space == "shared"]
            base = -(-max(ends, default=0) // dtype.itemsize) * dtype.itemsize
            self.own[site] = _unwritten("shared", shape, dtype, base)
            if (end := base + self.own[site].data.nbytes) > SHARED_BYTES:
                needs = f"The block's shared arrays need {end} bytes, but a block has {SHARED_BYTES}"
                self.findings.add("limit", site.lineno, f"{needs}: use smaller tiles.", self.index)
        return whole(self.own[site])

    def local_array(self, site: ast.Call, shape: tuple[int, ...], dtype: numpy.dtype) -> View:
        """Each thread's own array of the call at `site`. It makes no requests: compilers keep small ones in
        registers."""
        width = self.threads.width
        memory = self.own.setdefault(site, _unwritten("local", (width, *shape), dtype))
        return View(memory, numpy.arange(width) * (len(memory.data) // width), shape, memory.strides)

    def load(self, view: View, index: Index, mask: Mask, line: int) -> Any:
        """`view[index]` of all active lanes; 0 for those outside the array."""
        cells, inside = self._cells(view, index, mask, line, "reads")
        if not inside.count:
            return numpy.zeros(self.threads.width, view.dtype)
        self._check_written(view.memory, cells, inside, line)
        values = view.memory.data.take(cells, mode="clip")  # inactive lanes may point anywhere
        if inside is not mask:
            values = numpy.where(inside.on, values, numpy.zeros((), view.dtype))
        self._record("load", view.memory, cells[inside.lanes], inside, line)
        return values

    def store(self, view: View, index: Index, value: Any, mask: Mask, line: int) -> None:
        """Set `view[index] = value` in all active lanes; the last stays where several write to one item."""
        cells, inside = self._cells(view, index, mask, line, "writes")
        if inside.count:
            places, memory = cells[inside.lanes], view.memory
            values = spread(value, self.threads.width)[inside.lanes].astype(view.dtype)
            memory.data[places], memory.written[places] = values, True
            self._record("store", memory, places, inside, line, values)

    def row(self, view: View, index: Index, mask: Mask, line: int) -> View:
        """`view[index]` with fewer indices than dimensions: a View of each lane's row, without a request."""
        cells, inside = self._cells(view, index, mask, line, "reads")
        left = slice(len(index), None)
        return View(view.memory, numpy.where(inside.on, cells, 0), view.shape[left], view.strides[left])

    def atomic(
        self, call: Call, operation: Callable, reads: bool, view: View, index: Index, *operands: Any
    ) -> Any:
        """Set `view[index]` to ``operation(old, *operands)`` in all active lanes, one after another; `reads`:
        it depends on the old value. Return each lane's old value, undefined if the call wants none."""
        line = call.node.lineno
        cells, inside = self._cells(view, index, call.mask, line, "updates")
        old = numpy.zeros(self.threads.width, view.dtype)
        if inside.count:
            places, memory = cells[inside.lanes], view.memory
            if reads:
                self._check_written(memory, cells, inside, line)
            each = [spread(one, self.threads.width)[inside.lanes].astype(view.dtype) for one in operands]
            if isinstance(operation, numpy.ufunc) and not call.wants_value:
                operation.at(memory.data, places, *each)
            else:
                for lane, cell, *given in zip(inside.lanes, places, *each, strict=True):
                    old[lane] = memory.data[cell]
                    memory.data[cell] = operation(old[lane], *given)
            memory.written[places] = True
            self._record("atomic", memory, places, inside, line)
        return old

    def barrier(self, mask: Mask, line: int) -> None:
        """Execute cuda.syncthreads() and begin a new epoch; a finding if living threads do not reach it."""
        if mask.count < self.living.count:
            rest = "this barrier, where the others wait: move cuda.syncthreads() to where all threads of the "
            rest += "block pass."
            missing = self.living.without(mask).lanes.tolist()
            self.findings.add_about("barrier", line, self.index, missing, "never reaches", rest)
        self.recorder.barrier(self.number, line, mask)
        self.end_epoch()

    def end_epoch(self) -> None:
        """Report races among the accesses since the last barrier, and begin a new epoch."""
        races_within_block(self.recorder.accesses[self._epoch_began :], self.index, self.findings)
        self._epoch_began = len(self.recorder.accesses)

    def _cells(self, view: View, index: Index, mask: Mask, line: int, verb: str) -> tuple[Cells, Mask]:
        """The cell of `view[index]` in each lane, and the mask of lanes where it is inside the array; adds a
        finding on the others, who do what `verb` says."""
        cells: Any = view.offset
        outside: Any = False
        for at, size, stride in zip(index, view.shape, view.strides, strict=False):
            outside = outside | (at.astype(numpy.uint64) >= numpy.uint64(size))  # a negative index is huge
            cells = cells + at.astype(numpy.int64) * stride
        cells = spread(cells, self.threads.width)
        bad = mask.on & outside
        if not bad.any():
            return cells, mask
        who, name = numpy.flatnonzero(bad).tolist(), view.memory.name
        first = tuple(int(spread(at, self.threads.width)[who[0]]) for at in index)
        has = f"{view.shape[0]} items" if len(view.shape) == 1 else f"shape {view.shape}"
        why = f"but {name} has {has}"
        if min(first) < 0:
            why = f"which Numba silently takes from the end of {name}"
        rest = f"{name}[{', '.join(map(str, first))}], {why}: guard the access with an if."
        self.findings.add_about("out of bounds", line, self.index, who, verb, rest)
        return cells, Mask(mask.on & ~bad)

    def _check_written(self, memory: Memory, cells: Cells, mask: Mask, line: int) -> None:
        """Add a finding if lanes read cells that nobody has written."""
        unwritten = mask.on & ~memory.written.take(cells, mode="clip")
        if unwritten.any():
            who = numpy.flatnonzero(unwritten)
            item = f"{memory.name}[{', '.join(map(str, memory.indices(cells[who[:1]])[0]))}]"
            rest = f"{item}, which nobody has written yet: fill the array before"
            barriers = any(one.block == self.index for one in self.recorder.barriers)
            rest += ", and put a barrier between." if memory.space == "shared" and not barriers else "."
            self.findings.add_about("uninitialised", line, self.index, who.tolist(), "reads", rest)

    def _record(
        self, kind: str, memory: Memory, cells: Cells, mask: Mask, line: int, values: NDArray | None = None
    ) -> None:
        steps, epochs = self.recorder.steps, self.warp_epochs
        self.recorder.access(Access(steps, self.number, mask, line, kind, memory, cells, epochs, values))


def _unwritten(space: str, shape: tuple[int, ...], dtype: numpy.dtype, base: int = 0) -> Memory:
    """Memory that nobody has written: floats are NaN, so that it shows."""
    nothing = numpy.nan if dtype.kind in "fc" else 0
    return Memory(UNNAMED, space, numpy.full(shape, nothing, dtype), base, written=False)


@dataclass(frozen=True)
class Call:
    """An intrinsic's call by the lanes of `mask`, at `node` of the source; a statement wants no value."""

    block: Block
    mask: Mask
    node: ast.Call
    wants_value: bool
