"""The naive way: everything goes through one rank, whose link is then the price for all of them."""

from __future__ import annotations

import numpy

from hpclab.schedules.messages import Counts, Messages, Shape, backwards, per_rank, rows, then


def _others(shape: Shape) -> Counts:
    return numpy.delete(numpy.arange(shape.ranks), shape.root)


def broadcast(shape: Shape) -> Messages:
    """The root sends the whole vector to every other rank: one step."""
    return rows(0, shape.root, _others(shape), 0, shape.elements)


def sent_broadcast(shape: Shape) -> Counts:
    """The root (p - 1) n, the others nothing."""
    return per_rank(shape.ranks, shape.root, (shape.ranks - 1) * shape.elements)


def reduce(shape: Shape) -> Messages:
    """Every other rank sends its whole vector to the root: one step."""
    return backwards(broadcast(shape))


def sent_reduce(shape: Shape) -> Counts:
    """Every rank but the root n. So it is in every reduction that is a broadcast run backwards."""
    return per_rank(shape.ranks, _others(shape), shape.elements)


def all_reduce(shape: Shape) -> Messages:
    """To rank 0, and back from it: two steps."""
    return then(reduce(shape), broadcast(shape))


def sent_all_reduce(shape: Shape) -> Counts:
    """Rank 0 sends (p - 1) n, every other n."""
    return sent_reduce(shape) + sent_broadcast(shape)


def _gather(shape: Shape) -> Messages:
    others = _others(shape)
    return rows(0, others, shape.root, shape.bounds[others], shape.blocks[others])


def all_gather(shape: Shape) -> Messages:
    """All blocks to rank 0, which sends the whole vector to every other rank: two steps."""
    return then(_gather(shape), broadcast(shape))


def sent_all_gather(shape: Shape) -> Counts:
    """Rank 0 sends (p - 1) n, every other its block of n / p."""
    own = per_rank(shape.ranks, _others(shape), shape.blocks[_others(shape)])
    return own + sent_broadcast(shape)


def reduce_scatter(shape: Shape) -> Messages:
    """All vectors to rank 0, which adds them and hands out the blocks: two steps."""
    return then(reduce(shape), backwards(_gather(shape), reduce=False))


def sent_reduce_scatter(shape: Shape) -> Counts:
    """Rank 0 sends all blocks but its own, n (p - 1) / p; every other rank n."""
    handed_out = shape.elements - shape.blocks[shape.root]
    return sent_reduce(shape) + per_rank(shape.ranks, shape.root, handed_out)
