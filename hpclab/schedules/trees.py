"""Trees: a star, of depth one, the binomial tree, of depth log2(p), and the double binary tree.

Star and binomial tree move the whole vector: few steps, so they suit short ones (Thakur, Rabenseifner, Gropp,
IJHPCA 19 (2005), section 3). The double binary tree is two at once, each with half of the vector in chunks,
and nearly every inner rank of one is a leaf of the other: no rank sends more than in a ring, but the path is
about 2 log2(p) long, not 2 p. Sanders, Speck, Träff, Parallel Computing 35 (2009); NCCL builds its trees so
since 2.4 (Jeaugey, "Massively Scale Your Deep Learning Training with NCCL 2.4", 2019).
"""

import itertools

import numpy

from hpclab.schedules.messages import Messages, backwards, concatenate, rows, together
from hpclab.schedules.schedule import Counts, Shape, bounds


def star(shape: Shape) -> Messages:
    """Broadcast: rank 0 sends the whole vector to every other rank, one step."""
    return rows(0, 0, numpy.arange(1, shape.ranks), 0, shape.elements)


def _to_root(shape: Shape) -> Messages:
    """Gather: every other rank sends its block to rank 0, one step."""
    return rows(0, numpy.arange(1, shape.ranks), 0, shape.bounds[1:-1], shape.blocks[1:])


def star_all_gather(shape: Shape) -> Messages:
    """All blocks to rank 0, which sends the whole vector to every other rank: two steps."""
    return concatenate(_to_root(shape), star(shape))


def star_reduce_scatter(shape: Shape) -> Messages:
    """All vectors to rank 0, which adds them and hands out the blocks: two steps."""
    return concatenate(backwards(star(shape)), backwards(_to_root(shape), reduce=False))


def binomial(shape: Shape) -> Messages:
    """Broadcast: from rank 0 to all in ceil(log2(p)) steps, in each from everyone who has the vector."""
    return tree_over(numpy.arange(shape.ranks), shape.elements)


def tree_over(order: Counts, elements: int) -> Messages:
    """Broadcast from ``order[0]`` to the ranks in `order` by a binomial tree, the farthest first."""
    parts, steps = [], (len(order) - 1).bit_length()
    for step in range(steps):
        distance = 1 << (steps - 1 - step)
        holder = numpy.arange(0, len(order) - distance, 2 * distance)
        parts.append(rows(step, order[holder], order[holder + distance], 0, elements))
    return together(*parts)


def _parents(place: Counts, count: int) -> Counts:
    """Parent of each place in the tree of `count` places whose odd places are leaves; 0 for its root, 0.

    A parent has its child's lowest set bit cleared and the next higher bit set: 2 for 1 and 3, 4 for 2 and 6.
    Where there is no such place, the bit is only cleared.
    """
    lowest = place & -place
    parent = (place ^ lowest) | (lowest << 1)
    return numpy.where(parent < count, parent, place ^ lowest)


def _two_trees(count: int) -> list[tuple[Counts, Counts, Counts]]:
    """Of both trees on `count` places: children, their parents, and the children's depth (1 below the root).

    The second is the first in a mirror, or moved by one place where `count` is odd, so that leaves and inner
    places change roles. A root has no parent, so each has count - 1 edges.
    """
    place = numpy.arange(1, count)
    parent, depth, above = _parents(place, count), numpy.ones(len(place), numpy.int64), place
    while len(above := _parents(above, count)) and above.any():
        depth += above > 0
    other = (count - 1 - numpy.arange(count)) if count % 2 == 0 else (numpy.arange(count) + 1) % count
    return [(place, parent, depth), (other[place], other[parent], depth)]


def _chunks(shape: Shape) -> list[tuple[Counts, Counts, Counts]]:
    """Of each half of the vector the numbers of its chunks, where they begin and how large they are: columns.

    As many as the two trees are deep: filling the pipe then takes about as long as what follows.
    """
    count = max(1, 2 * (shape.ranks - 1).bit_length())
    cuts = [
        begin + bounds(end - begin, count) for begin, end in itertools.pairwise(bounds(shape.elements, 2))
    ]
    return [(numpy.arange(count)[:, None], cut[:-1, None], numpy.diff(cut)[:, None]) for cut in cuts]


def double_tree_broadcast(shape: Shape) -> Messages:
    """Both trees on the ranks from 1 on, under rank 0: chunk c reaches depth d in step c + d - 1."""
    parts, pairs = [], zip(_two_trees(shape.ranks - 1), _chunks(shape), strict=True)
    for (child, parent, depth), (chunk, begin, size) in pairs if shape.ranks > 1 else ():
        root = parent[depth == 1][0] if len(parent) else 0
        below, above = numpy.append(child, root) + 1, numpy.append(parent + 1, 0)
        parts.append(rows(chunk + numpy.append(depth, 0), above, below, begin, size))
    return together(*parts)


def double_tree_all_reduce(shape: Shape) -> Messages:
    """Up each tree and down again; chunk c is at its root after c + depth steps, and turns there."""
    parts = []
    for (child, parent, depth), (chunk, begin, size) in zip(
        _two_trees(shape.ranks), _chunks(shape), strict=True
    ):
        deepest = int(depth.max(initial=0))
        parts.append(rows(chunk + deepest - depth, child, parent, begin, size, reduce=True))
        parts.append(rows(chunk + deepest + depth - 1, parent, child, begin, size))
    return together(*parts)
