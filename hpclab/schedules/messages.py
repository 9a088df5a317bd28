"""The building blocks of schedules: rows of messages, parts after one another, a part run backwards."""

from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

from hpclab.schedules.schedule import FIELDS, MESSAGE

Messages = NDArray[Any]


def rows(
    step: ArrayLike, source: ArrayLike, target: ArrayLike, offset: ArrayLike, size: ArrayLike,
    target_offset: ArrayLike | None = None, reduce: bool = False,
) -> Messages:  # fmt: skip
    """Messages from arrays that are broadcast together, in their order, without those of no elements.

    `offset` is the place at both ends unless there is a `target_offset`.
    """
    ends = offset, offset if target_offset is None else target_offset
    columns = numpy.broadcast_arrays(step, source, target, *ends, size, reduce)
    made = numpy.empty(columns[0].size, MESSAGE)
    for name, column in zip(FIELDS, columns, strict=True):
        made[name] = column.ravel()
    kept = made["size"] > 0
    return made if kept.all() else made[kept]


def together(*parts: Messages) -> Messages:
    """The messages of all `parts`, which run at the same time, sorted by step."""
    made = numpy.concatenate([numpy.empty(0, MESSAGE), *parts])
    return made[numpy.argsort(made["step"], kind="stable")]


def concatenate(*parts: Messages) -> Messages:
    """One part after another, its steps after the last of the part before; each is sorted and begins at 0."""
    made = numpy.empty(sum(len(part) for part in parts), MESSAGE)
    begin = steps = 0
    for part in filter(len, parts):
        end = begin + len(part)
        for name in FIELDS:  # a column at a time: several times as fast as whole records
            made[name][begin:end] = part[name]
        made["step"][begin:end] += steps
        begin, steps = end, steps + int(part["step"][-1]) + 1
    return made


def backwards(messages: Messages, reduce: bool = True) -> Messages:
    """The messages from the last to the first, each from its target to its source.

    Run backwards, a broadcast is a reduction and an all-gather a reduce-scatter: where a part arrived exactly
    once at every rank, each rank now gives its sum away exactly once, and only after all that it is made of
    has arrived (Träff and others call the two duals).
    """
    made, last = numpy.empty(len(messages), MESSAGE), messages[::-1]
    made["step"] = last["step"].max(initial=0) - last["step"]
    made["source"], made["target"], made["size"] = last["target"], last["source"], last["size"]
    made["source_offset"], made["target_offset"] = last["target_offset"], last["source_offset"]
    made["reduce"] = reduce
    return made


def merged(messages: Messages) -> Messages:
    """The messages sorted, and pieces of one message that lie side by side at both ends joined to one row."""
    if not len(messages):
        return messages
    keys = ("source_offset", "reduce", "target", "source", "step")
    made = messages[numpy.lexsort([messages[key] for key in keys])]
    before, after = made[:-1], made[1:]
    joined = numpy.logical_and.reduce([before[key] == after[key] for key in keys[1:]])
    for end in ("source_offset", "target_offset"):
        joined &= before[end] + before["size"] == after[end]
    first = numpy.flatnonzero(numpy.concatenate([[True], ~joined]))
    whole = made[first]
    whole["size"] = numpy.add.reduceat(made["size"], first)
    return whole
