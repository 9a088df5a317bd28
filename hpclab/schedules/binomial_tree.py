"""Binomial tree: in each step everyone who has the vector passes it on, so log2(p) steps reach all.

Few steps, so it suits short vectors; but each step moves the whole vector, so long ones travel log2(p) times
as long as they need. Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in
MPICH", IJHPCA 19 (2005), section 3.
"""

from __future__ import annotations

import numpy

from hpclab.schedules.messages import Counts, Messages, Shape, backwards, rows, then


def spread(order: Counts, elements: int) -> Messages:
    """The whole vector from ``order[0]`` to all ranks in `order`: the farthest first, then ever nearer."""
    count, parts = len(order), []
    steps = (count - 1).bit_length()
    for step in range(steps):
        distance = 1 << (steps - 1 - step)
        holder = numpy.arange(0, count - distance, 2 * distance)
        parts.append(rows(step, order[holder], order[holder + distance], 0, elements))
    return numpy.concatenate([then(), *parts])


def _order(shape: Shape) -> Counts:
    return numpy.roll(numpy.arange(shape.ranks), -shape.root)


def broadcast(shape: Shape) -> Messages:
    """From the root to all in ceil(log2(p)) steps."""
    return spread(_order(shape), shape.elements)


def reduce(shape: Shape) -> Messages:
    """The same tree backwards, adding on the way."""
    return backwards(broadcast(shape))


def all_reduce(shape: Shape) -> Messages:
    """To rank 0 and back: 2 ceil(log2(p)) steps."""
    return then(reduce(shape), broadcast(shape))
