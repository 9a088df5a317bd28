"""Which algorithm exists for which collective, and the one function that makes a Schedule of it."""

from collections.abc import Callable

from hpclab import checks
from hpclab.schedules import doubling, exchange, hierarchical, ring, trees
from hpclab.schedules.messages import Messages, backwards, concatenate
from hpclab.schedules.schedule import COLLECTIVES, Schedule, Shape

MOST_RANKS = 2048  # an all-to-all then has four million messages
MOST_ELEMENTS = 2**40

Algorithm = Callable[[Shape], Messages]


def _dual(make: Algorithm) -> Algorithm:
    """Return `make` run backwards: of a broadcast it makes a reduction, of an all-gather a reduce-scatter."""
    return lambda shape: backwards(make(shape))


def _reduce_then_broadcast(broadcast: Algorithm) -> Algorithm:
    """Return an all-reduce: a reduction to rank 0, which is `broadcast` run backwards, then `broadcast`."""
    return lambda shape: concatenate(backwards(broadcast(shape)), broadcast(shape))


_BROADCAST: dict[str, Algorithm] = {
    "star": trees.star,
    "binomial_tree": trees.binomial,
    "ring": ring.broadcast,
    "halving_doubling": doubling.broadcast,
    "double_binary_tree": trees.double_tree_broadcast,
    "hierarchical": hierarchical.broadcast,
}
ALGORITHMS: dict[str, dict[str, Algorithm]] = {
    "broadcast": _BROADCAST,
    "reduce": {name: _dual(make) for name, make in _BROADCAST.items()}
    | {"halving_doubling": doubling.reduce},
    "all_reduce": {
        "star": _reduce_then_broadcast(trees.star),
        "binomial_tree": _reduce_then_broadcast(trees.binomial),
        "ring": ring.all_reduce,
        "recursive_doubling": doubling.recursive_doubling,
        "halving_doubling": doubling.halving_doubling,
        "double_binary_tree": trees.double_tree_all_reduce,
        "hierarchical": hierarchical.all_reduce,
    },
    "all_gather": {
        "star": trees.star_all_gather,
        "ring": ring.all_gather,
        "recursive_doubling": doubling.all_gather,
        "hierarchical": hierarchical.all_gather,
    },
    "reduce_scatter": {
        "star": trees.star_reduce_scatter,
        "ring": ring.reduce_scatter,
        "recursive_halving": _dual(doubling.all_gather),
        "hierarchical": _dual(hierarchical.all_gather),
    },
    "all_to_all": {
        "direct": exchange.direct,
        "pairwise": exchange.pairwise,
        "bruck": exchange.bruck,
        "hierarchical": exchange.hierarchical,
    },
}


def collective(
    name: str, algorithm: str, ranks: int, elements: int, *, ranks_per_node: int | None = None
) -> Schedule:
    """The messages of collective `name` by `algorithm` (a pair of the table ALGORITHMS) on `ranks` ranks.

    `elements` (see Schedule) need not be a multiple of `ranks`. `ranks_per_node` is for the hierarchical
    algorithms, which need it, and ignored by the others.
    """
    known = ALGORITHMS[checks.choice("name", name, COLLECTIVES)]
    make = known[checks.choice(f"The algorithm of {name}", algorithm, known)]
    ranks = checks.integer("ranks", ranks, 1, MOST_RANKS)
    elements = checks.integer("elements", elements, 0, MOST_ELEMENTS)
    if ranks_per_node is not None:
        ranks_per_node = checks.integer("ranks_per_node", ranks_per_node, 1, MOST_RANKS)
    elif algorithm == "hierarchical":
        raise ValueError(f"{algorithm} {name} needs ranks_per_node: how many ranks share a node.")
    shape = Shape(ranks, elements, ranks_per_node or 1)
    messages, least = make(shape), elements
    if name == "all_to_all":
        least += ranks * int(shape.blocks.max())
    ends = ("source_offset", "target_offset")
    buffer = max(least, *(int((messages[end] + messages["size"]).max(initial=0)) for end in ends))
    return Schedule(name, algorithm, ranks, elements, buffer, messages)
