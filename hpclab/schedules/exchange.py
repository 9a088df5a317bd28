"""All-to-all: every rank has a block for every other one, and no tree can spare any of them.

Bruck sends each block up to log2(p) times and so needs few steps: good for small blocks. Pairwise and direct
send each once. Bruck and others, IEEE TPDS 8 (1997); Thakur and others, IJHPCA 19 (2005), section 3.4.

The work buffer begins with the n elements of the input, block j for rank j; the blocks received follow in the
order of their sources, and then what is on its way.
"""

import numpy

from hpclab.schedules.hierarchical import carrier
from hpclab.schedules.messages import Messages, concatenate, merged, rows, together
from hpclab.schedules.schedule import Counts, Shape


def _result(shape: Shape, source: Counts, target: Counts) -> Counts:
    """Offset in the work buffer of `target` at which the block of `source` comes to lie."""
    return shape.elements + source * shape.blocks[target]


def _send(shape: Shape, step: Counts, source: Counts, target: Counts) -> Messages:
    """In `step` each `source` sends its `target` the block for it."""
    return rows(
        step, source, target, shape.bounds[target], shape.blocks[target], _result(shape, source, target)
    )


def direct(shape: Shape) -> Messages:
    """Every block at once, in one step: what NCCL's grouped sends do."""
    source, target = numpy.ogrid[: shape.ranks, : shape.ranks]
    return _send(shape, numpy.zeros(1, int), source, target)


def pairwise(shape: Shape) -> Messages:
    """In step s - 1 each rank sends to the one s further on: p - 1 steps of one send and one receive."""
    distance, source = numpy.ogrid[: shape.ranks, : shape.ranks]
    return _send(shape, numpy.maximum(distance - 1, 0), source, (source + distance) % shape.ranks)


def bruck(shape: Shape) -> Messages:
    """Slot i holds what still has to go i ranks further; in step s the slots with bit s set go 2^s further.

    Two local copies around it put the blocks into slots and the slots into the order of their sources.
    """
    ranks, slot_size = shape.ranks, int(shape.blocks.max())
    rank, slot = numpy.ogrid[:ranks, :ranks]
    place, target = shape.elements + slot * slot_size, (rank + slot) % ranks
    parts = [rows(0, rank, rank, shape.bounds[target], shape.blocks[target], place)]
    for bit in range((ranks - 1).bit_length()):
        moving = slot[:, slot[0] >> bit & 1 == 1]
        target = (rank + (moving >> bit << bit)) % ranks  # where it has to go: the lower bits are travelled
        at = shape.elements + moving * slot_size
        parts.append(rows(0, rank, (rank + (1 << bit)) % ranks, at, shape.blocks[target]))
    parts.append(rows(0, rank, rank, place, shape.blocks[rank], _result(shape, (rank - slot) % ranks, rank)))
    return concatenate(*parts)


def hierarchical(shape: Shape) -> Messages:
    """Blocks go inside the node to the rank on the target's rail, which sends the target its whole node's:
    messages between nodes are `ranks_per_node` times as large as in pairwise, and as many times fewer."""
    source, target = numpy.divmod(numpy.arange(shape.ranks**2), shape.ranks)
    node, there = source // shape.ranks_per_node, target // shape.ranks_per_node
    hop, size = carrier(shape, node, target % shape.ranks_per_node), shape.blocks[target]
    order = numpy.lexsort([source, target, hop])  # blocks of one message side by side at the hop
    crossing = (node != there)[order]
    before = numpy.cumsum(size[order] * crossing) - size[order] * crossing
    own = numpy.searchsorted(hop[order], hop[order])  # the first block at the same hop
    transit = numpy.empty_like(size)
    transit[order] = shape.elements + shape.ranks * int(shape.blocks.max()) + before - before[own]
    home = _result(shape, source, target)
    inside = rows(0, source, hop, shape.bounds[target], size, numpy.where(node == there, home, transit))
    between = rows((there - node) % shape.nodes, hop, target, transit, size * (node != there), home)
    between["step"] -= 1
    return concatenate(merged(inside), merged(together(between)))
