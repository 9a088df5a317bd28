"""The naive way: everything goes through one rank, whose link is then the price for all of them."""

from __future__ import annotations

import numpy

from hpclab.schedules.messages import Counts, Messages, Shape, backwards, rows, then


def _others(shape: Shape) -> Counts:
    return numpy.delete(numpy.arange(shape.ranks), shape.root)


def broadcast(shape: Shape) -> Messages:
    """The root sends the whole vector to every other rank: one step."""
    return rows(0, shape.root, _others(shape), 0, shape.elements)


def reduce(shape: Shape) -> Messages:
    """Every other rank sends its whole vector to the root: one step."""
    return backwards(broadcast(shape))


def all_reduce(shape: Shape) -> Messages:
    """To rank 0, and back from it: two steps."""
    return then(reduce(shape), broadcast(shape))


def _gather(shape: Shape) -> Messages:
    others = _others(shape)
    return rows(0, others, shape.root, shape.bounds[others], shape.blocks[others])


def all_gather(shape: Shape) -> Messages:
    """All blocks to rank 0, which sends the whole vector to every other rank: two steps."""
    return then(_gather(shape), broadcast(shape))


def reduce_scatter(shape: Shape) -> Messages:
    """All vectors to rank 0, which adds them and hands out the blocks: two steps."""
    return then(reduce(shape), backwards(_gather(shape), reduce=False))
