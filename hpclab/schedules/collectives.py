"""Which algorithm exists for which collective, and the one function that makes a Schedule of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpclab import checks
from hpclab.schedules import binomial_tree, double_tree, doubling, exchange, hierarchical, ring, star
from hpclab.schedules.messages import Counts, Messages, Shape
from hpclab.schedules.schedule import COLLECTIVES, Schedule

MOST_RANKS = 2048  # an all-to-all then has four million messages
MOST_ELEMENTS = 2**40
ROOTED = ("broadcast", "reduce")


@dataclass(frozen=True)
class Algorithm:
    """`messages` makes the rows, `sent` is the formula of the elements each rank sends, shape (ranks,).

    Their docstrings say what the algorithm does and what it costs. `pipelined`: it takes `chunks`;
    `by_node`: it needs `ranks_per_node`.
    """

    messages: Callable[[Shape], Messages]
    sent: Callable[[Shape], Counts]
    pipelined: bool = False
    by_node: bool = False


ALGORITHMS: dict[str, dict[str, Algorithm]] = {
    "broadcast": {
        "star": Algorithm(star.broadcast, star.sent_broadcast),
        "binomial_tree": Algorithm(binomial_tree.broadcast, binomial_tree.sent_broadcast),
        "ring": Algorithm(ring.broadcast, ring.sent_broadcast, pipelined=True),
        "halving_doubling": Algorithm(doubling.broadcast, doubling.sent_broadcast),
        "double_binary_tree": Algorithm(double_tree.broadcast, double_tree.sent_broadcast, pipelined=True),
        "hierarchical": Algorithm(hierarchical.broadcast, hierarchical.sent_broadcast, by_node=True),
    },
    "reduce": {
        "star": Algorithm(star.reduce, star.sent_reduce),
        "binomial_tree": Algorithm(binomial_tree.reduce, star.sent_reduce),
        "ring": Algorithm(ring.reduce, star.sent_reduce, pipelined=True),
        "halving_doubling": Algorithm(doubling.reduce, doubling.sent_reduce),
        "double_binary_tree": Algorithm(double_tree.reduce, star.sent_reduce, pipelined=True),
        "hierarchical": Algorithm(hierarchical.reduce, star.sent_reduce, by_node=True),
    },
    "all_reduce": {
        "star": Algorithm(star.all_reduce, star.sent_all_reduce),
        "binomial_tree": Algorithm(binomial_tree.all_reduce, binomial_tree.sent_all_reduce),
        "ring": Algorithm(ring.all_reduce, ring.sent_all_reduce),
        "recursive_doubling": Algorithm(doubling.recursive_doubling, doubling.sent_recursive_doubling),
        "halving_doubling": Algorithm(doubling.halving_doubling, doubling.sent_halving_doubling),
        "double_binary_tree": Algorithm(double_tree.all_reduce, double_tree.sent_all_reduce, pipelined=True),
        "hierarchical": Algorithm(hierarchical.all_reduce, hierarchical.sent_all_reduce, by_node=True),
    },
    "all_gather": {
        "star": Algorithm(star.all_gather, star.sent_all_gather),
        "ring": Algorithm(ring.all_gather, ring.sent_all_gather),
        "recursive_doubling": Algorithm(doubling.all_gather, doubling.sent_all_gather),
        "hierarchical": Algorithm(hierarchical.all_gather, hierarchical.sent_all_gather, by_node=True),
    },
    "reduce_scatter": {
        "star": Algorithm(star.reduce_scatter, star.sent_reduce_scatter),
        "ring": Algorithm(ring.reduce_scatter, ring.sent_reduce_scatter),
        "recursive_halving": Algorithm(doubling.reduce_scatter, ring.sent_reduce_scatter),
        "hierarchical": Algorithm(hierarchical.reduce_scatter, ring.sent_reduce_scatter, by_node=True),
    },
    "all_to_all": {
        "direct": Algorithm(exchange.direct, exchange.sent_once),
        "pairwise": Algorithm(exchange.pairwise, exchange.sent_once),
        "bruck": Algorithm(exchange.bruck, exchange.sent_bruck),
        "hierarchical": Algorithm(exchange.hierarchical, exchange.sent_hierarchical, by_node=True),
    },
}


def collective(
    name: str,
    algorithm: str,
    ranks: int,
    elements: int,
    *,
    root: int = 0,
    ranks_per_node: int | None = None,
    chunks: int | None = None,
) -> Schedule:
    """The messages of collective `name` by `algorithm` (a pair of the table ALGORITHMS) on `ranks` ranks.

    `elements` is n, the size the field quotes (see Schedule); it need not be a multiple of `ranks`, and may
    be 0. `root` is for broadcast and reduce; `ranks_per_node` for the hierarchical algorithms, which need it,
    and ignored by the others; `chunks` for the pipelined ones, which choose where it is None. ValueError for
    a pair that does not exist, and for a number that makes no sense.
    """
    known, shape = _checked(name, algorithm, ranks, elements, root, ranks_per_node, chunks)
    messages = known.messages(shape)
    least = shape.elements
    if name == "all_to_all":
        least += shape.ranks * int(shape.blocks.max())
    ends = [
        int((messages[end] + messages["size"]).max(initial=0)) for end in ("source_offset", "target_offset")
    ]
    return Schedule(name, algorithm, shape.ranks, shape.elements, max(least, *ends), messages, shape.root)


def sent(name: str, algorithm: str, ranks: int, elements: int, **options: int | None) -> Counts:
    """The formula of the elements that each rank sends to others, shape (ranks,); times the element size it
    is bytes. What it takes is what `collective` takes, and ``collective(...).sent()`` counts the same."""
    known, shape = _checked(name, algorithm, ranks, elements, **options)
    return known.sent(shape)


def _checked(
    name: str,
    algorithm: str,
    ranks: int,
    elements: int,
    root: int | None = 0,
    ranks_per_node: int | None = None,
    chunks: int | None = None,
) -> tuple[Algorithm, Shape]:
    known = ALGORITHMS[checks.choice("name", name, COLLECTIVES)]
    found = known[checks.choice(f"The algorithm of {name}", algorithm, known)]
    ranks = checks.integer("ranks", ranks, 1, MOST_RANKS)
    elements = checks.integer("elements", elements, 0, MOST_ELEMENTS)
    root = checks.integer("root", root, 0, ranks - 1 if name in ROOTED else 0)
    if ranks_per_node is not None:
        ranks_per_node = checks.integer("ranks_per_node", ranks_per_node, 1, MOST_RANKS)
    elif found.by_node:
        raise ValueError(f"{algorithm} {name} needs ranks_per_node: how many ranks share a node.")
    if chunks is not None:
        if not found.pipelined:
            raise ValueError(f"{algorithm} {name} is not pipelined: leave chunks out.")
        chunks = checks.integer("chunks", chunks, 1, 4096)
    return found, Shape(ranks, elements, root, ranks_per_node or 1, chunks)
