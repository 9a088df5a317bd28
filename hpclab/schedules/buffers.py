"""A rank's work buffer: where its input and its result lie, and what a schedule makes of all of them.

`replay` is what a schedule means: the reference that ranks, models and figures are held to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

from hpclab.schedules.messages import bounds
from hpclab.schedules.schedule import Schedule


@dataclass(frozen=True)
class Layout:
    """Slices of one rank's work buffer. Empty where a rank has no input (a broadcast's receivers) or gets no
    result (a reduction's senders)."""

    input: slice
    result: slice


def layout(schedule: Schedule, rank: int) -> Layout:
    """The places of `rank`.

    An all-gather's input is the rank's block where it will lie in the gathered vector, and a reduce-scatter's
    result where it lay in the whole one. Blocks are those of numpy.array_split. An all-to-all's result
    follows its input: the block of each source in turn, all of the size that block `rank` has.
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
    schedule: Schedule, buffers: Sequence[NDArray[Any]], after_step: Callable[[int], None] | None = None
) -> None:
    """Move the elements between `buffers`, one 1-D work buffer for each rank, in place.

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
        if after_step is not None:
            after_step(step)
