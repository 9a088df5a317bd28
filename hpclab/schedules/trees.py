"""Trees that move the whole vector: a star, of depth one, and the binomial tree, of depth log2(p).

The star is the naive way: everything goes through one rank, whose link is then the price for all of them. In
the binomial tree everyone who has the vector passes it on in each step. Few steps, so both suit short
vectors; long ones travel log2(p) times as long as they need. Thakur, Rabenseifner, Gropp, "Optimization of
Collective Communication Operations in MPICH", IJHPCA 19 (2005), section 3.
"""

import numpy

from hpclab.schedules.messages import Counts, Messages, Shape, backwards, concatenate, rows


def star(shape: Shape) -> Messages:
    """Broadcast: rank 0 sends the whole vector to every other rank, one step."""
    return rows(0, 0, numpy.arange(1, shape.ranks), 0, shape.elements)


def _to_root(shape: Shape) -> Messages:
    return rows(0, numpy.arange(1, shape.ranks), 0, shape.bounds[1:-1], shape.blocks[1:])


def star_all_gather(shape: Shape) -> Messages:
    """All blocks to rank 0, which sends the whole vector to every other rank: two steps."""
    return concatenate(_to_root(shape), star(shape))


def star_reduce_scatter(shape: Shape) -> Messages:
    """All vectors to rank 0, which adds them and hands out the blocks: two steps."""
    return concatenate(backwards(star(shape)), backwards(_to_root(shape), reduce=False))


def binomial(shape: Shape) -> Messages:
    """Broadcast: from rank 0 to all in ceil(log2(p)) steps."""
    return spread(numpy.arange(shape.ranks), shape.elements)


def spread(order: Counts, elements: int) -> Messages:
    """The whole vector from ``order[0]`` to all ranks in `order`: the farthest first, then ever nearer."""
    count, parts = len(order), []
    steps = (count - 1).bit_length()
    for step in range(steps):
        distance = 1 << (steps - 1 - step)
        holder = numpy.arange(0, count - distance, 2 * distance)
        parts.append(rows(step, order[holder], order[holder + distance], 0, elements))
    return numpy.concatenate([concatenate(), *parts])
