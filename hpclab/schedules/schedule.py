"""A collective as data: which rank sends which part of its buffer to whom, in which step.

One description serves three uses: the model times it, the figure animates it, the ranks execute it. Messages
are rows of one structured array, because a thousand ranks send millions of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy
from numpy.typing import NDArray

COLLECTIVES = ("broadcast", "reduce", "all_reduce", "all_gather", "reduce_scatter", "all_to_all")

MESSAGE = numpy.dtype(
    [("step", "i4"), ("source", "i4"), ("target", "i4"), ("source_offset", "i8"), ("target_offset", "i8"),
     ("size", "i8"), ("reduce", "?")],
    align=True,
)  # fmt: skip


@dataclass(frozen=True)
class Schedule:
    """The messages of one collective on `ranks` ranks.

    Offsets and sizes count elements of each rank's work buffer, which holds `buffer` elements; `elements` is
    n, the size that the field quotes for the collective (nccl-tests' count: the whole vector of an
    all-reduce, the gathered vector of an all-gather, what one rank sends altogether in an all-to-all).
    `messages` is sorted by `step`. Order is by data: a rank begins its messages of step s when those of its
    own earlier steps are done, and within a step all it sends is read before anything that arrives is
    written; `reduce` adds what arrives to what is there, else it overwrites. A message whose source is its
    target is a local copy. Rows of one step from one rank to one other are pieces of a single message: they
    travel together and cost one latency. Rank 0 is the root of a broadcast and of a reduction. Where input
    and result lie in the buffers is said by `buffers.layout`.
    """

    collective: str
    algorithm: str
    ranks: int
    elements: int
    buffer: int
    messages: NDArray[Any]

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return int(self.messages["step"][-1]) + 1 if len(self.messages) else 0

    @cached_property
    def bounds(self) -> NDArray[numpy.int64]:
        """Where each step's messages begin in `messages`, and the end of the last: steps + 1 places."""
        return numpy.searchsorted(self.messages["step"], numpy.arange(self.steps + 1))

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """The messages step by step."""
        for begin, end in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            yield self.messages[begin:end]
