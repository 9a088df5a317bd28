"""Hierarchical: inside a node where links are fast, between nodes only what must cross.

Ranks r and r + 1 share a node unless a multiple of `ranks_per_node` lies between them; the last node may be
smaller. All-gather, reduce-scatter and all-reduce run on rails: rail l holds the blocks of local rank l of
every node and is moved by that rank, so every rank's own link carries its share of what crosses. Where the
last node has no local rank l, rank l modulo its size moves rail l there. As in Horovod's hierarchical
all-reduce and in DeepSpeed's and Tutel's two-step all-to-all (Hwang and others, "Tutel", MLSys 2023).
"""

import numpy

from hpclab.schedules.messages import Messages, backwards, concatenate, merged, rows, together
from hpclab.schedules.schedule import Counts, Shape
from hpclab.schedules.trees import tree_over


def broadcast(shape: Shape) -> Messages:
    """A binomial tree over one rank of each node, then one inside each node."""
    leaders = numpy.arange(0, shape.ranks, shape.ranks_per_node)
    inside = (tree_over(node, shape.elements) for node in numpy.split(numpy.arange(shape.ranks), leaders[1:]))
    return concatenate(tree_over(leaders, shape.elements), together(*inside))


def carrier(shape: Shape, node: Counts, local: Counts) -> Counts:
    """The rank that moves rail `local` in `node`."""
    width = shape.ranks_per_node
    return node * width + local % numpy.minimum(width, shape.ranks - node * width)


def _rails(shape: Shape, values: Counts) -> Counts:
    """`values`, one for each rank, as (nodes, rails), 0 where there is no such rank."""
    width = min(shape.ranks_per_node, shape.ranks)
    return numpy.pad(values, (0, shape.nodes * width - shape.ranks)).reshape(-1, width)


def _gather(shape: Shape, starts: Counts, sizes: Counts) -> Messages:
    """All-gather of a block of each rank: ``sizes[rank]`` elements from ``starts[rank]`` on."""
    start, size = _rails(shape, starts), _rails(shape, sizes)
    nodes, rails = size.shape
    step, node, rail = numpy.ogrid[: nodes - 1, :nodes, :rails]
    block = (node - step) % nodes
    between = rows(
        step, carrier(shape, node, rail), carrier(shape, (node + 1) % nodes, rail),
        start[block, rail], size[block, rail],
    )  # fmt: skip
    node, rail, local, block = numpy.ogrid[:nodes, :rails, :rails, :nodes]
    source, target = carrier(shape, node, rail), carrier(shape, node, local)
    wanted = (local == target % shape.ranks_per_node) & (source != target)
    inside = rows(0, source, target, start[block, rail], size[block, rail] * wanted)
    return concatenate(between, merged(inside))


def all_gather(shape: Shape) -> Messages:
    """A ring between nodes on each rail, then each rank gives its rail to the others in its node."""
    return _gather(shape, shape.bounds[:-1], shape.blocks)


def all_reduce(shape: Shape) -> Messages:
    """Reduce-scatter inside nodes, a ring all-reduce between nodes on each rail, all-gather inside nodes."""
    by_rail = numpy.argsort(numpy.arange(shape.ranks) % shape.ranks_per_node, kind="stable")
    place = numpy.argsort(by_rail)  # an order of blocks that makes each rail one stretch
    gather = _gather(shape, shape.bounds[place], shape.blocks[place])
    return concatenate(backwards(gather), gather)
