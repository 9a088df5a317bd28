"""What is written down while a block executes: accesses, branches, barriers, each with its step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from hpclab.kernels.tracer.lanes import Dim3, Mask, Threads
from hpclab.kernels.tracer.memory import Access
from hpclab.models.gpu_memory import WARP, Barrier, Branch, Request

MOST = 4_000_000  # lane accesses in one trace: about 300 MB of Requests


class TooMuch(Exception):
    """The trace would not fit into memory."""


class Recorder:
    """The steps of one trace, in order; `work` and `waste` count operations of warps, all and saveable."""

    def __init__(self, threads: Threads, blocks: Sequence[Dim3]) -> None:
        self.threads = threads
        self.blocks = blocks
        self.steps = 0
        self.accesses: list[Access] = []
        self.branches: list[Branch] = []
        self.barriers: list[Barrier] = []
        self.work = 0
        self.waste: dict[int, int] = {}
        self._saved: dict[int, tuple[Mask, Mask, int]] = {}  # of each line: the last masks, warps saveable
        self._fenced: dict[int, int] = {}  # of each block the step of its last fence
        self._published: dict[int, int] = {}  # the same, where an atomic followed
        self._informed: dict[int, int] = {}  # the step of its first atomic
        self.lanes = 0  # accesses so far, lane by lane

    def access(self, made: Access) -> None:
        self.lanes += made.mask.count
        if self.lanes > MOST:
            raise TooMuch
        self.steps += len(made.mask.warps)
        self.accesses.append(made)

    def branch(self, block: int, line: int, mask: Mask, taken: Mask) -> None:
        """A Branch for each warp whose active lanes part."""
        if not 0 < taken.count < mask.count:
            return
        left = mask.without(taken)
        for warp in numpy.flatnonzero(taken.by_warp.any(axis=1) & left.by_warp.any(axis=1)).tolist():
            ways = (tuple(numpy.flatnonzero(way.by_warp[warp]).tolist()) for way in (taken, left))
            self.branches.append(Branch(self.steps, self.blocks[block], warp, line, *ways))
            self.steps += 1

    def barrier(self, block: int, line: int, mask: Mask, epoch: int) -> None:
        for warp, lanes, _ in mask.warps:
            self.barriers.append(Barrier(self.steps, self.blocks[block], warp, line, lanes, epoch))
            self.steps += 1

    def fence(self, block: int) -> None:
        """cuda.threadfence(): what the block has written can be announced, by an atomic."""
        self._fenced[block] = self.steps

    def atomic_met(self, block: int) -> None:
        """An atomic on global memory: how blocks tell one another that something is ready."""
        self._informed.setdefault(block, self.steps)
        if block in self._fenced:
            self._published[block] = self._fenced[block]

    def has_told(self, access: Access) -> bool:
        """Whether its block announced it to the others: by a fence and then an atomic."""
        return access.step < self._published.get(access.block, 0)

    def has_asked(self, access: Access) -> bool:
        """Whether its block came to an atomic before, and so may know what others announced."""
        return access.step >= self._informed.get(access.block, self.steps)

    def part_of_warps(self, line: int, whole: Mask, part: Mask, operations: int) -> None:
        """`part` of the lanes executed `operations` while the rest of their warps stood by.

        What is wasted is what packing those lanes into full warps would have saved. A boundary check, which
        leaves one stretch of threads, wastes nothing that could be saved.
        """
        if not operations or not 0 < part.count < whole.count:
            return
        seen = self._saved.get(line)
        if seen is None or seen[0] is not part or seen[1] is not whole:  # a loop asks the same again
            seen = self._saved[line] = part, whole, self._saveable(whole, part)
        self.waste[line] = self.waste.get(line, 0) + seen[2] * operations

    def _saveable(self, whole: Mask, part: Mask) -> int:
        """How many warps fewer would do, if the lanes of `part` were packed."""
        if self.threads.is_box(part, whole):
            return 0
        split = part.by_warp.any(axis=1) & (whole.by_warp & ~part.by_warp).any(axis=1)
        return int(split.sum()) - -(-int(part.by_warp[split].sum()) // WARP)

    def requests(self) -> tuple[Request, ...]:
        return tuple(r for access in self.accesses for r in access.requests(self.blocks[access.block]))
