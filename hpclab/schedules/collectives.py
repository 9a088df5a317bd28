"""Which algorithm exists for which collective, and the one function that makes a Schedule of it."""

from __future__ import annotations

from collections.abc import Callable

from hpclab import checks
from hpclab.schedules import binomial_tree, double_tree, doubling, exchange, hierarchical, ring, star
from hpclab.schedules.messages import Messages, Shape
from hpclab.schedules.schedule import COLLECTIVES, Schedule

MOST_RANKS = 2048  # an all-to-all then has four million messages
MOST_ELEMENTS = 2**40
ROOTED = ("broadcast", "reduce")


Algorithm = Callable[[Shape], Messages]
"""Makes the rows; its docstring says what the algorithm does and what it costs."""
ALGORITHMS: dict[str, dict[str, Algorithm]] = {
    "broadcast": {
        "star": star.broadcast,
        "binomial_tree": binomial_tree.broadcast,
        "ring": ring.broadcast,
        "halving_doubling": doubling.broadcast,
        "double_binary_tree": double_tree.broadcast,
        "hierarchical": hierarchical.broadcast,
    },
    "reduce": {
        "star": star.reduce,
        "binomial_tree": binomial_tree.reduce,
        "ring": ring.reduce,
        "halving_doubling": doubling.reduce,
        "double_binary_tree": double_tree.reduce,
        "hierarchical": hierarchical.reduce,
    },
    "all_reduce": {
        "star": star.all_reduce,
        "binomial_tree": binomial_tree.all_reduce,
        "ring": ring.all_reduce,
        "recursive_doubling": doubling.recursive_doubling,
        "halving_doubling": doubling.halving_doubling,
        "double_binary_tree": double_tree.all_reduce,
        "hierarchical": hierarchical.all_reduce,
    },
    "all_gather": {
        "star": star.all_gather,
        "ring": ring.all_gather,
        "recursive_doubling": doubling.all_gather,
        "hierarchical": hierarchical.all_gather,
    },
    "reduce_scatter": {
        "star": star.reduce_scatter,
        "ring": ring.reduce_scatter,
        "recursive_halving": doubling.reduce_scatter,
        "hierarchical": hierarchical.reduce_scatter,
    },
    "all_to_all": {
        "direct": exchange.direct,
        "pairwise": exchange.pairwise,
        "bruck": exchange.bruck,
        "hierarchical": exchange.hierarchical,
    },
}


def collective(
    name: str, algorithm: str, ranks: int, elements: int, *, root: int = 0, ranks_per_node: int | None = None
) -> Schedule:
    """The messages of collective `name` by `algorithm` (a pair of the table ALGORITHMS) on `ranks` ranks.

    `elements` is n, the size the field quotes (see Schedule); it need not be a multiple of `ranks`, and may
    be 0. `root` is for broadcast and reduce; `ranks_per_node` for the hierarchical algorithms, which need it,
    and ignored by the others. ValueError for a pair that does not exist, and for a number that makes no
    sense.
    """
    known = ALGORITHMS[checks.choice("name", name, COLLECTIVES)]
    make = known[checks.choice(f"The algorithm of {name}", algorithm, known)]
    ranks = checks.integer("ranks", ranks, 1, MOST_RANKS)
    elements = checks.integer("elements", elements, 0, MOST_ELEMENTS)
    root = checks.integer("root", root, 0, ranks - 1 if name in ROOTED else 0)
    if ranks_per_node is not None:
        ranks_per_node = checks.integer("ranks_per_node", ranks_per_node, 1, MOST_RANKS)
    elif algorithm == "hierarchical":
        raise ValueError(f"{algorithm} {name} needs ranks_per_node: how many ranks share a node.")
    shape = Shape(ranks, elements, root, ranks_per_node or 1)
    messages, least = make(shape), elements
    if name == "all_to_all":
        least += ranks * int(shape.blocks.max())
    ends = [
        int((messages[end] + messages["size"]).max(initial=0)) for end in ("source_offset", "target_offset")
    ]
    return Schedule(name, algorithm, ranks, elements, max(least, *ends), messages, root)
