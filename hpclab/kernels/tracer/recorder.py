"""What is written down while a block executes: accesses, branches, barriers, each with its step."""

from collections.abc import Sequence

import numpy

from hpclab.kernels.tracer.lanes import Dim3, Mask, Threads
from hpclab.kernels.tracer.memory import Access
from hpclab.kernels.tracer.source import Unsupported
from hpclab.models.gpu_memory import WARP, Barrier, Branch, Request

MOST = 4_000_000  # lane accesses in one trace: about 300 MB of Requests


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
        self.lanes = 0  # accesses so far, lane by lane
        # Of each block the steps of its last fence, of the last fence before an atomic, of its first atomic.
        self.fenced, self.told = numpy.zeros((2, len(blocks)), numpy.int64)
        self.asked = numpy.full(len(blocks), numpy.iinfo(numpy.int64).max)

    def access(self, made: Access) -> None:
        self.lanes += made.mask.count
        if self.lanes > MOST:
            raise Unsupported(
                "This launch makes more requests than a trace can hold: trace fewer blocks (blocks=[0]) or a "
                "smaller problem."
            )
        self.steps += len(made.mask.warps)
        self.accesses.append(made)
        if made.kind == "atomic" and made.memory.space == "global":  # how blocks hear from one another
            self.told[made.block] = self.fenced[made.block]
            self.asked[made.block] = min(self.asked[made.block], self.steps)

    def branch(self, block: int, line: int, mask: Mask, taken: Mask) -> None:
        """A Branch for each warp whose active lanes part."""
        if not 0 < taken.count < mask.count:
            return
        left = mask.without(taken)
        for warp in numpy.flatnonzero(taken.by_warp.any(axis=1) & left.by_warp.any(axis=1)).tolist():
            ways = (tuple(numpy.flatnonzero(way.by_warp[warp]).tolist()) for way in (taken, left))
            self.branches.append(Branch(self.steps, self.blocks[block], warp, line, *ways))
            self.steps += 1

    def barrier(self, block: int, line: int, mask: Mask) -> None:
        for warp, lanes, _ in mask.warps:
            self.barriers.append(Barrier(self.steps, self.blocks[block], warp, line, lanes))
            self.steps += 1

    def fence(self, block: int) -> None:
        """cuda.threadfence(): what the block has written can be announced, by an atomic."""
        self.fenced[block] = self.steps

    def part_of_warps(self, line: int, whole: Mask, part: Mask, operations: int) -> None:
        """`part` of the lanes executed `operations` while the rest of their warps stood by.

        What is wasted is what packing those lanes into full warps would have saved. A boundary check, which
        leaves one stretch of threads, wastes nothing that could be saved.
        """
        if not operations or not 0 < part.count < whole.count:
            return
        if not self.threads.is_box(part, whole):
            split = part.by_warp.any(axis=1) & (whole.by_warp & ~part.by_warp).any(axis=1)
            saved = int(split.sum()) - -(-int(part.by_warp[split].sum()) // WARP)
            self.waste[line] = self.waste.get(line, 0) + saved * operations

    def requests(self) -> tuple[Request, ...]:
        return tuple(r for access in self.accesses for r in access.requests(self.blocks[access.block]))
