"""Ring: every rank sends to the next one only, and all links are busy all the time.

In an all-reduce each rank sends 2 n (p - 1) / p elements, the least possible, in 2 (p - 1) steps, the most:
good for long vectors and few ranks. Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters
of workstations", JPDC 69 (2009).
"""

import numpy

from hpclab.schedules.messages import Messages, concatenate, rows, together
from hpclab.schedules.schedule import Shape


def _pass_blocks(shape: Shape, first: int, reduce: bool) -> Messages:
    """In step s each rank r sends block r + `first` - s to the next rank: p - 1 steps."""
    step, rank = numpy.ogrid[: shape.ranks - 1, : shape.ranks]
    block = (rank + first - step) % shape.ranks
    after = (rank + 1) % shape.ranks
    return rows(step, rank, after, shape.bounds[block], shape.blocks[block], reduce=reduce)


def all_gather(shape: Shape) -> Messages:
    """In step s rank r passes on the block r - s, which began s ranks before it: p - 1 steps."""
    return _pass_blocks(shape, 0, reduce=False)


def reduce_scatter(shape: Shape) -> Messages:
    """In step s rank r passes on the block r - 1 - s with all that was added to it so far: p - 1 steps."""
    return _pass_blocks(shape, -1, reduce=True)


def all_reduce(shape: Shape) -> Messages:
    """Reduce-scatter, then all-gather: 2 (p - 1) steps."""
    return concatenate(reduce_scatter(shape), all_gather(shape))


def broadcast(shape: Shape) -> Messages:
    """Down the chain from rank 0 in p pieces that follow each other: 2 p - 2 steps."""
    place, chunk = numpy.ogrid[: shape.ranks - 1, : shape.ranks]
    return together(rows(place + chunk, place, place + 1, shape.bounds[:-1], shape.blocks))
