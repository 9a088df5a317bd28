"""A collective as data: who sends which part of its buffer to whom, in which step; timed, drawn, executed."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy
from numpy.typing import ArrayLike, NDArray

COLLECTIVES = ("broadcast", "reduce", "all_reduce", "all_gather", "reduce_scatter", "all_to_all")
FIELDS = ("step", "source", "target", "source_offset", "target_offset", "size", "reduce")
MESSAGE = numpy.dtype(list(zip(FIELDS, ("i4", "i4", "i4", "i8", "i8", "i8", "?"), strict=True)), align=True)
Counts = NDArray[numpy.int64]


@dataclass(frozen=True)
class Schedule:
    """The messages of one collective.

    A rank begins its messages of step s when those of its own earlier steps are done, and within a step all
    it sends is read before anything that arrives is written; `reduce` adds what arrives to what is there,
    else it overwrites. A message to its own source is a local copy. Rows of one step from one rank to one
    other are pieces of a single message, which costs one latency. Rank 0 is the root.
    """

    collective: str
    algorithm: str
    ranks: int
    # n, the size that the field quotes (nccl-tests' count): the whole or gathered vector, or what one rank
    # sends altogether in an all-to-all
    elements: int
    buffer: int  # elements of a rank's work buffer, in which offsets and sizes count
    messages: NDArray[Any]  # rows of MESSAGE, sorted by step

    @property
    def steps(self) -> int:
        """Number of steps."""
        return int(self.messages["step"][-1]) + 1 if len(self.messages) else 0

    @cached_property
    def bounds(self) -> Counts:
        """Where each step's messages begin in `messages`, and the end of the last: steps + 1 places."""
        return numpy.searchsorted(self.messages["step"], numpy.arange(self.steps + 1))

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """The messages step by step."""
        return (self.messages[begin:end] for begin, end in itertools.pairwise(self.bounds))


@dataclass(frozen=True)
class Shape:
    """The arguments of an algorithm: `ranks` p, `elements` n, and `ranks_per_node` for hierarchical ones."""

    ranks: int
    elements: int
    ranks_per_node: int = 1

    @cached_property
    def bounds(self) -> Counts:
        """Where each rank's block of the n elements begins, and the end: p + 1 places."""
        return bounds(self.elements, self.ranks)

    @cached_property
    def blocks(self) -> Counts:
        """The size of each rank's block, shape (p,)."""
        return numpy.diff(self.bounds)

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return -(-self.ranks // self.ranks_per_node)


def bounds(elements: int, parts: int) -> Counts:
    """The parts + 1 places where `elements` are cut into even `parts`, the first ones larger by one where
    needed (as numpy.array_split and torch.tensor_split cut)."""
    place = numpy.arange(parts + 1, dtype=numpy.int64)
    return place * (elements // parts) + numpy.minimum(place, elements % parts)


class Layout(NamedTuple):
    """Slices of one rank's work buffer; empty where it has no input (a broadcast's receivers) or result."""

    input: slice
    result: slice


def layout(schedule: Schedule, rank: int) -> Layout:
    """Where the input and the result of `rank` lie in its work buffer.

    An all-gather's input is the rank's block where it will lie in the gathered vector, and a reduce-scatter's
    result where it lay in the whole one. Blocks are those of `bounds`. An all-to-all's result follows its
    input: the block of each source in turn, all of the size that block `rank` has.
    """
    begin, end = (int(place) for place in bounds(schedule.elements, schedule.ranks)[rank : rank + 2])
    whole, none, block = slice(0, schedule.elements), slice(0, 0), slice(begin, end)
    at_root = whole if rank == 0 else none
    received = slice(schedule.elements, schedule.elements + schedule.ranks * (end - begin))
    return {
        "broadcast": Layout(at_root, whole),
        "reduce": Layout(whole, at_root),
        "all_reduce": Layout(whole, whole),
        "all_gather": Layout(block, whole),
        "reduce_scatter": Layout(whole, block),
        "all_to_all": Layout(whole, received),
    }[schedule.collective]


def place(schedule: Schedule, rank: int, values: ArrayLike) -> NDArray[Any]:
    """A work buffer of `schedule.buffer` elements with the rank's input in its place, zero elsewhere."""
    given, where = numpy.asarray(values), layout(schedule, rank).input
    if given.shape != (where.stop - where.start,):
        raise ValueError(
            f"Rank {rank} of this {schedule.collective} has {where.stop - where.start} elements of input, "
            f"not an array of shape {given.shape}."
        )
    buffer = numpy.zeros(schedule.buffer, given.dtype)
    buffer[where] = given
    return buffer


def result(schedule: Schedule, rank: int, buffer: Any) -> Any:
    """The part of `rank`'s work buffer that holds its result: a view, of an array or a tensor."""
    return buffer[layout(schedule, rank).result]


def replay(
    schedule: Schedule, buffers: Sequence[NDArray[Any]], after_step: Callable[[int], None] = lambda step: None
) -> None:
    """Move the elements between `buffers`, one 1-D work buffer for each rank, in place.

    This is what a schedule means: the reference that ranks, models and figures are held to.
    `after_step(step)` is called after each step, with the buffers as they are then.
    """
    for step, messages in enumerate(schedule):
        parcels = [
            buffers[message["source"]][message["source_offset"] :][: message["size"]].copy()
            for message in messages
        ]
        for message, parcel in zip(messages, parcels, strict=True):
            target = buffers[message["target"]][message["target_offset"] :][: message["size"]]
            target[:] = target + parcel if message["reduce"] else parcel
        after_step(step)
