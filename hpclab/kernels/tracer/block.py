"""One block as it executes: its threads, its memory, and where it stands between barriers."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer import hazards
from hpclab.kernels.tracer.findings import Findings
from hpclab.kernels.tracer.lanes import Mask, spread
from hpclab.kernels.tracer.memory import UNNAMED, Access, Cells, Memory, View, allocate, atomically, whole
from hpclab.kernels.tracer.recorder import Recorder
from hpclab.models.gpu_memory import WARP

Index = tuple[Any, ...]  # a value for each dimension, the same in all lanes or one per lane
SHARED_BYTES = 48 * 1024  # static shared memory that a block may have, on every NVIDIA GPU


class Block:
    """Block `number` of those traced, in a launch with this `grid`."""

    def __init__(self, number: int, recorder: Recorder, findings: Findings) -> None:
        self.number, self.index, self.grid = number, recorder.blocks[number], findings.grid
        self.threads, self.recorder, self.findings = recorder.threads, recorder, findings
        self.living = self.threads.all  # those that have not left the kernel
        self.epoch = 0
        self.warp_epochs = numpy.zeros(self.threads.width // WARP, numpy.int64)
        self.own: dict[int, Memory] = {}  # shared and local arrays, by their place in the source
        self._epoch_began = len(recorder.accesses)

    def shared_array(self, site: int, shape: tuple[int, ...], dtype: numpy.dtype, line: int) -> View:
        """Static shared memory: one array for each place in the source, however often it is passed."""
        if site not in self.own:
            ends = [m.base + m.data.nbytes for m in self.own.values() if m.space == "shared"]
            base = -(-max(ends, default=0) // dtype.itemsize) * dtype.itemsize
            self.own[site] = allocate(UNNAMED, "shared", shape, dtype, base)
            if (end := base + self.own[site].data.nbytes) > SHARED_BYTES:
                needs = f"The block's shared arrays need {end} bytes, but a block has {SHARED_BYTES}"
                self.findings.add("limit", line, f"{needs}: use smaller tiles.", self.index)
        return whole(self.own[site])

    def local_array(self, site: int, shape: tuple[int, ...], dtype: numpy.dtype) -> View:
        """Each thread's own array. It makes no requests: compilers keep small ones in registers."""
        if site not in self.own:
            self.own[site] = allocate(UNNAMED, "local", shape, dtype, 0, copies=self.threads.width)
        memory = self.own[site]
        offsets = numpy.arange(self.threads.width) * (len(memory.data) // self.threads.width)
        return View(memory, offsets, shape, memory.strides)

    def load(self, view: View, index: Index, mask: Mask, line: int) -> Any:
        """`view[index]` of all active lanes; 0 for those outside the array."""
        cells, inside = self._cells(view, index, mask, line, "reads")
        memory = view.memory
        if not inside.count:
            return numpy.zeros(self.threads.width, view.dtype)
        values = memory.data.take(cells, mode="clip")  # inactive lanes may point anywhere
        if memory.written is not None:
            unwritten = inside.on & ~memory.written.take(cells, mode="clip")
            if unwritten.any():
                self._unwritten(memory, cells, numpy.flatnonzero(unwritten), line)
        if inside is not mask:
            values = numpy.where(inside.on, values, numpy.zeros((), view.dtype))
        self._note(inside, line, "load", memory, cells[inside.lanes], None)
        return values

    def store(self, view: View, index: Index, value: Any, mask: Mask, line: int) -> None:
        """`view[index] = value` in all active lanes; where several meet, the last stays."""
        cells, inside = self._cells(view, index, mask, line, "writes")
        if inside.count:
            places, memory = cells[inside.lanes], view.memory
            values = self._each(value)[inside.lanes].astype(view.dtype)
            memory.data[places] = values
            if memory.written is not None:
                memory.written[places] = True
            self._note(inside, line, "store", memory, places, values)

    def row(self, view: View, index: Index, mask: Mask, line: int) -> View:
        """`view[index]` with fewer indices than dimensions: a row for each lane, still without a request."""
        cells, inside = self._cells(view, index, mask, line, "reads")
        left = slice(len(index), None)
        return View(view.memory, numpy.where(inside.on, cells, 0), view.shape[left], view.strides[left])

    def atomic(
        self, view: View, index: Index, name: str, value: Any, mask: Mask, line: int, wants_old: bool
    ) -> Any:
        """An atomic operation in all active lanes, one after another; what each found there."""
        cells, inside = self._cells(view, index, mask, line, "updates")
        old = numpy.zeros(self.threads.width, view.dtype)
        if inside.count:
            places, memory = cells[inside.lanes], view.memory
            if memory.written is not None and not memory.written[places].all() and name != "exch":
                self._unwritten(memory, cells, inside.lanes[~memory.written[places]], line)
            if name == "cas":
                value = tuple(self._each(v)[inside.lanes].astype(view.dtype) for v in value)
            else:
                value = self._each(value)[inside.lanes].astype(view.dtype)
            found = atomically(memory, places, name, value, wants_old)
            if found is not None:
                old[inside.lanes] = found
            if memory.written is not None:
                memory.written[places] = True
            self._note(inside, line, "atomic", memory, places, None)
            if memory.space == "global":
                self.recorder.atomic_met(self.number)
        return old

    def barrier(self, mask: Mask, line: int) -> None:
        """cuda.syncthreads(): all threads still in the kernel must come, then a new epoch begins."""
        missing = self.living.without(mask) if mask.count < self.living.count else None
        if missing is not None:
            said = "this barrier, where the others wait: move cuda.syncthreads() to where all threads of the "
            said += "block pass."
            self.findings.about("barrier", line, self.index, missing.lanes.tolist(), "never reaches", said)
        self.recorder.barrier(self.number, line, mask, self.epoch)
        self.end_epoch()

    def end_epoch(self) -> None:
        """Look for races among the accesses since the last barrier."""
        accesses = self.recorder.accesses[self._epoch_began :]
        hazards.within_block(accesses, self.index, self.findings)
        self._epoch_began = len(self.recorder.accesses)
        self.epoch += 1

    def _each(self, value: Any) -> NDArray[Any]:
        return spread(value, self.threads.width)

    def _cells(self, view: View, index: Index, mask: Mask, line: int, verb: str) -> tuple[Cells, Mask]:
        """Where each lane points to, and the mask of those that point into the array."""
        cells: Any = view.offset
        outside: Any = False
        for at, size, stride in zip(index, view.shape, view.strides, strict=False):
            beyond = at.astype(numpy.uint64) >= numpy.uint64(size)  # a negative index is a huge one
            outside = outside | beyond
            cells = cells + at.astype(numpy.int64) * stride
        cells = self._each(cells)
        bad = mask.on & outside
        if not bad.any():
            return cells, mask
        who = numpy.flatnonzero(bad)
        self._outside(view, [self._each(at) for at in index], who.tolist(), line, verb)
        return cells, Mask(mask.on & ~bad)

    def _outside(self, view: View, index: list[NDArray[Any]], who: list[int], line: int, verb: str) -> None:
        first = tuple(int(at[who[0]]) for at in index)
        name = view.memory.name
        has = f"{view.shape[0]} items" if len(view.shape) == 1 else f"shape {view.shape}"
        why = f"but {name} has {has}"
        if min(first) < 0:
            why = f"which Numba silently takes from the end of {name}"
        said = f"{name}[{', '.join(map(str, first))}], {why}: guard the access with an if."
        self.findings.about("out of bounds", line, self.index, who, verb, said)

    def _unwritten(self, memory: Memory, cells: Cells, who: NDArray[numpy.int64], line: int) -> None:
        index = memory.indices(cells[who[:1]] % max(1, int(numpy.prod(memory.shape))))[0]
        item = f"{memory.name}[{', '.join(map(str, index))}]"
        fix = "fill the array before" + (", and put a barrier between" if memory.space == "shared" else "")
        said = f"{item}, which nobody has written yet: {fix}."
        self.findings.about("uninitialised", line, self.index, who.tolist(), "reads", said)

    def _note(
        self, mask: Mask, line: int, kind: str, memory: Memory, cells: Cells, values: NDArray[Any] | None
    ) -> None:
        if memory.space in ("global", "shared"):
            self.recorder.access(Access(
                self.recorder.steps, self.number, mask, line, kind, memory, cells, self.epoch,
                self.warp_epochs, values,
            ))  # fmt: skip


@dataclass(frozen=True)
class Call:
    """Who calls: the lanes of `mask`, at `node` in the source; a bare statement wants no value."""

    block: Block
    mask: Mask
    node: ast.Call
    wants_value: bool

    @property
    def line(self) -> int:
        return self.node.lineno
