"""Binomial tree: in each step everyone who has the vector passes it on, so log2(p) steps reach all.

Few steps, so it suits short vectors; but each step moves the whole vector, so long ones travel log2(p) times
as long as they need. Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in
MPICH", IJHPCA 19 (2005), section 3.
"""

from __future__ import annotations

import numpy

from hpclab.schedules.messages import Counts, Messages, Shape, backwards, per_rank, rows, then
from hpclab.schedules.star import sent_reduce


def spread(order: Counts, elements: int) -> Messages:
    """The whole vector from ``order[0]`` to all ranks in `order`: the farthest first, then ever nearer."""
    count, parts = len(order), []
    steps = (count - 1).bit_length()
    for step in range(steps):
        distance = 1 << (steps - 1 - step)
        holder = numpy.arange(0, count - distance, 2 * distance)
        parts.append(rows(step, order[holder], order[holder + distance], 0, elements))
    return numpy.concatenate([then(), *parts])


def sent_spread(order: Counts, elements: int, ranks: int) -> Counts:
    """The place v in `order` has a child v + d for each power of two d that is below v's lowest set bit (any,
    for v = 0) and lands inside: n each."""
    place = numpy.arange(len(order))
    lowest = numpy.where(place == 0, len(order), place & -place)
    distance = 1 << numpy.arange(len(order).bit_length())[:, None]
    children = ((distance < lowest) & (place + distance < len(order))).sum(axis=0)
    return per_rank(ranks, order, children * elements)


def _order(shape: Shape) -> Counts:
    return numpy.roll(numpy.arange(shape.ranks), -shape.root)


def broadcast(shape: Shape) -> Messages:
    """From the root to all in ceil(log2(p)) steps."""
    return spread(_order(shape), shape.elements)


def sent_broadcast(shape: Shape) -> Counts:
    """The root ceil(log2(p)) n; half of the ranks nothing."""
    return sent_spread(_order(shape), shape.elements, shape.ranks)


def reduce(shape: Shape) -> Messages:
    """The same tree backwards, adding on the way."""
    return backwards(broadcast(shape))


def all_reduce(shape: Shape) -> Messages:
    """To rank 0 and back: 2 ceil(log2(p)) steps."""
    return then(reduce(shape), broadcast(shape))


def sent_all_reduce(shape: Shape) -> Counts:
    """Reduce and broadcast together: 2 n (p - 1) over all ranks, which is the least there is."""
    return sent_reduce(shape) + sent_broadcast(shape)
