"""Double binary tree: two trees at once, each with half of the vector, pipelined in chunks.

An inner rank of one tree is (almost always) a leaf of the other, so no rank sends more than in a ring, but
the path is about 2 log2(p) long, not 2 p. Sanders, Speck, Träff, "Two-tree algorithms
for full bandwidth broadcast, reduction and scan", Parallel Computing 35 (2009); NCCL builds its trees so
since 2.4 (Jeaugey, "Massively Scale Your Deep Learning Training with NCCL 2.4", 2019).
"""

import itertools

import numpy

from hpclab.schedules.messages import Counts, Messages, Shape, bounds, rows, together


def _parents(place: Counts, count: int) -> Counts:
    """Parent of each place in the tree of `count` places whose odd places are leaves; 0 for its root, 0.

    The place is a number; its lowest set bit says how high it hangs, and the parent is the next number that
    hangs one higher, or the nearest above it that there is.
    """
    lowest = place & -place
    parent = (place ^ lowest) | (lowest << 1)
    return numpy.where(parent < count, parent, place ^ lowest)


def trees(count: int) -> list[tuple[Counts, Counts, Counts]]:
    """The two trees on `count` places: children, their parents, and the children's depth (1 below the root).

    The second is the first in a mirror, or moved by one place where `count` is odd, so that leaves and inner
    places change roles. It is followed by nothing for its root, which has no parent: count - 1 edges each.
    """
    place = numpy.arange(1, count)
    parent, depth, above = _parents(place, count), numpy.ones(len(place), numpy.int64), place
    while len(above := _parents(above, count)) and above.any():
        depth += above > 0
    other = (count - 1 - numpy.arange(count)) if count % 2 == 0 else (numpy.arange(count) + 1) % count
    return [(place, parent, depth), (other[place], other[parent], depth)]


def _edges(shape: Shape) -> list[tuple[Counts, Counts, Counts]]:
    """For broadcast and reduce: both trees on the ranks from 1 on, and rank 0 above the roots of both."""
    found = []
    for child, parent, depth in trees(shape.ranks - 1):
        top = parent[depth == 1][0] if len(parent) else 0
        found.append((numpy.append(child, top) + 1, numpy.append(parent + 1, 0), numpy.append(depth + 1, 1)))
    return found


def _chunks(shape: Shape) -> tuple[Counts, Counts]:
    """Where the chunks of each half begin and how large they are, shape (2, chunks).

    As many as the two trees are deep: filling the pipe then takes about as long as what follows.
    """
    count = max(1, 2 * (shape.ranks - 1).bit_length())
    halves = bounds(shape.elements, 2)
    cuts = [begin + bounds(int(end - begin), count) for begin, end in itertools.pairwise(halves)]
    return numpy.array([cut[:-1] for cut in cuts]), numpy.array([numpy.diff(cut) for cut in cuts])


def broadcast(shape: Shape) -> Messages:
    """Chunk c reaches depth d in step c + d - 1, in both trees at once."""
    if shape.ranks == 1:
        return together()
    begin, size = _chunks(shape)
    chunk = numpy.arange(begin.shape[1])[:, None]
    return together(*(
        rows(chunk + depth - 1, parent, child, begin[tree][:, None], size[tree][:, None])
        for tree, (child, parent, depth) in enumerate(_edges(shape))
    ))  # fmt: skip


def all_reduce(shape: Shape) -> Messages:
    """Up each tree and down again; chunk c is at its root after c + depth steps, and turns there."""
    begin, size = _chunks(shape)
    chunk, parts = numpy.arange(begin.shape[1])[:, None], []
    for tree, (child, parent, depth) in enumerate(trees(shape.ranks)):
        deepest = int(depth.max(initial=0))
        place = begin[tree][:, None], size[tree][:, None]
        parts.append(rows(chunk + deepest - depth, child, parent, *place, reduce=True))
        parts.append(rows(chunk + deepest + depth - 1, parent, child, *place))
    return together(*parts)
