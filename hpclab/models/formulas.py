"""What a collective costs, in one line each, where messages do not meet on links.

Every rank has one port that sends and one that receives; a message of m bytes between any two takes
alpha + m beta seconds, and adding its bytes up at its target m gamma more. `n` is the size that the field
quotes (nccl-tests' size: the whole vector; what one rank sends altogether in an all-to-all), `p` the ranks.
Thakur, Rabenseifner & Gropp, "Optimization of Collective Communication Operations in MPICH", IJHPCA 19
(2005); where ranks are no power of two, as the schedules in `hpclab.schedules` do it. A test holds the two
together.

Notice alpha's factor and beta's: log p against p, and log p against about 2. Between them lies the crossover.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy

from hpclab import checks
from hpclab.schedules import double_tree
from hpclab.schedules.collectives import ALGORITHMS, MOST_RANKS
from hpclab.schedules.schedule import COLLECTIVES


@dataclass(frozen=True)
class Case:
    """What a formula sees: ranks, bytes, alpha in s, beta and gamma in s/byte, pieces of a pipeline, ranks
    of a node, and alpha and beta inside it."""

    p: int
    n: float
    alpha: float
    beta: float
    gamma: float = 0.0
    chunks: int | None = None
    g: int = 1
    alpha_inside: float = 0.0
    beta_inside: float = 0.0

    @property
    def log(self) -> int:
        """The steps of a tree: log2(p), rounded up."""
        return (self.p - 1).bit_length()

    @property
    def power(self) -> int:
        """The steps of recursive doubling: log2(p), rounded down."""
        return self.p.bit_length() - 1

    @property
    def extra(self) -> int:
        """Ranks beyond a power of two, which hand in before and get the result after."""
        return self.p - (1 << self.power)

    def move(self, size: float) -> float:
        return self.alpha + size * self.beta if self.p > 1 else 0.0

    def add(self, size: float) -> float:
        """Move and add up."""
        return self.move(size) + size * self.gamma if self.p > 1 else 0.0


def time(
    collective: str,
    algorithm: str,
    ranks: int,
    size: float,
    alpha: float,
    beta: float,
    gamma: float = 0.0,
    *,
    chunks: int | None = None,
    ranks_per_node: int | None = None,
    inside: tuple[float, float] | None = None,
) -> float:
    """Seconds that `collective` by `algorithm` (a pair of ``schedules.ALGORITHMS``) takes for `size` bytes.

    `chunks` is for the pipelined algorithms; `ranks_per_node`, which must divide `ranks`, and alpha and beta
    `inside` a node for the hierarchical ones. Blocks are taken as equal: `size` / `ranks`. Exact on a switch,
    but for double_binary_tree: an upper bound there, as if every step were as full as the fullest. ValueError
    for a pair that does not exist.
    """
    collective = checks.choice("collective", collective, COLLECTIVES)
    algorithm = checks.choice(f"The algorithm of {collective}", algorithm, ALGORITHMS[collective])
    ranks = checks.integer("ranks", ranks, 1, MOST_RANKS)
    size = checks.number("size", size, 0, 2**60, "bytes")
    numbers = {"alpha": alpha, "beta": beta, "gamma": gamma}
    if inside is not None:
        if len(checks.instance("inside", inside, tuple | list, "(alpha, beta) of a node")) != 2:
            raise ValueError(f"inside must be (alpha, beta) of a node, not {checks.shown(inside)}.")
        numbers |= dict(zip(("alpha inside", "beta inside"), inside, strict=True))
    numbers = {name: checks.number(name, value, 0, 10) for name, value in numbers.items()}
    chunks = None if chunks is None else checks.integer("chunks", chunks, 1, 2**16)
    case = Case(ranks, size, numbers["alpha"], numbers["beta"], numbers["gamma"], chunks)
    if algorithm == "hierarchical":
        if ranks_per_node is None or inside is None:
            raise ValueError(
                "A hierarchical formula needs ranks_per_node and inside, (alpha, beta) of a node."
            )
        width = checks.integer("ranks_per_node", ranks_per_node, 1, ranks)
        if ranks % width:
            raise ValueError(
                f"{width} ranks a node must divide {ranks} ranks: the nodes must be equally full."
            )
        case = replace(
            case, g=width, alpha_inside=numbers["alpha inside"], beta_inside=numbers["beta inside"]
        )
    return FORMULAS[collective, algorithm](case)


def _doubling(c: Case, add: bool) -> float:
    """All-gather by recursive doubling, or, adding, reduce-scatter by halving: ranks beyond a power of two
    give their block to a neighbour, which then counts twice, and get all the rest at the end."""
    move = c.add if add else c.move
    ends = move(c.n / c.p) + move(c.n * (c.p - 1) / c.p) if c.extra else 0.0
    blocks = [(1 << s) + min(1 << s, c.extra) for s in range(c.power)]
    return ends + sum(move(block * c.n / c.p) for block in blocks)


def _halves(c: Case, add: bool) -> float:
    """n/2 + n/4 + ... between 2^k ranks, or the same backwards."""
    move = c.add if add else c.move
    return sum(move(c.n / (2 << s)) for s in range(c.power))


def _gather(c: Case, add: bool) -> float:
    """A ring between nodes on each rail, and in each node everybody to everybody."""
    gamma, nodes = c.gamma if add else 0.0, c.p // c.g
    between = (nodes - 1) * (c.alpha + c.n / c.p * (c.beta + gamma))
    whole = (c.g - 1) / c.g * c.n
    return between + (c.alpha_inside + whole * (c.beta_inside + gamma) if c.g > 1 else 0.0)


def _two_trees(c: Case, add: bool) -> float:
    """Binomial trees: over one rank of each node, then in each node."""
    gamma = c.gamma if add else 0.0
    over = (c.p // c.g - 1).bit_length() * (c.alpha + c.n * (c.beta + gamma))
    within = (c.g - 1).bit_length() * (c.alpha_inside + c.n * (c.beta_inside + gamma))
    return over + within


def _chain(c: Case, add: bool) -> float:
    """A pipeline through all ranks."""
    pieces = c.chunks or c.p
    return (c.p - 2 + pieces) * (c.add if add else c.move)(c.n / pieces) if c.p > 1 else 0.0


def _double_tree(c: Case, both_ways: bool, add: bool) -> float:
    """Sanders, Speck & Träff, Parallel Computing 35 (2009): two trees, each with half of the vector.

    Cut into k chunks. A rank inside one tree is a leaf of the other: its port takes two of n/2k in a step of
    a broadcast, four in one of an all-reduce: n beta and 2 n beta in all, beside the steps to fill the pipe.
    """
    if c.p == 1:
        return 0.0
    depth = max(int(d.max(initial=0)) for _, _, d in double_tree.trees(c.p if both_ways else c.p - 1))
    pieces = c.chunks or max(1, 2 * c.log)
    steps = pieces + (2 * depth - 1 if both_ways else depth)
    load = (2 if both_ways else 1) * c.n / pieces
    return steps * (c.alpha + load * c.beta + (load * c.gamma if add else 0.0))


def _star_reduce(c: Case) -> float:
    return c.add((c.p - 1) * c.n)


def _bruck(c: Case) -> float:
    """In step s the blocks whose distance has bit s set."""
    slots = numpy.arange(c.p)
    return sum(c.move(int((slots >> bit & 1).sum()) * c.n / c.p) for bit in range(c.log))


FORMULAS: dict[tuple[str, str], Callable[[Case], float]] = {
    ("broadcast", "star"): lambda c: c.move((c.p - 1) * c.n),
    ("broadcast", "binomial_tree"): lambda c: c.log * c.move(c.n),
    ("broadcast", "ring"): lambda c: _chain(c, False),
    ("broadcast", "halving_doubling"): lambda c: 2 * _halves(c, False) + (c.move(c.n) if c.extra else 0.0),
    ("broadcast", "double_binary_tree"): lambda c: _double_tree(c, False, False),
    ("broadcast", "hierarchical"): lambda c: _two_trees(c, False),
    ("reduce", "star"): _star_reduce,
    ("reduce", "binomial_tree"): lambda c: c.log * c.add(c.n),
    ("reduce", "ring"): lambda c: _chain(c, True),
    ("reduce", "halving_doubling"): lambda c: (
        _halves(c, True) + _halves(c, False) + (c.add(c.n) if c.extra else 0.0)
    ),
    ("reduce", "double_binary_tree"): lambda c: _double_tree(c, False, True),
    ("reduce", "hierarchical"): lambda c: _two_trees(c, True),
    ("all_reduce", "star"): lambda c: _star_reduce(c) + c.move((c.p - 1) * c.n),
    ("all_reduce", "binomial_tree"): lambda c: c.log * (c.add(c.n) + c.move(c.n)),
    ("all_reduce", "ring"): lambda c: (c.p - 1) * (c.add(c.n / c.p) + c.move(c.n / c.p)),
    ("all_reduce", "recursive_doubling"): lambda c: (
        c.power * c.add(c.n) + (c.add(c.n) + c.move(c.n) if c.extra else 0.0)
    ),
    ("all_reduce", "halving_doubling"): lambda c: (
        _halves(c, True) + _halves(c, False) + (c.add(c.n) + c.move(c.n) if c.extra else 0.0)
    ),
    ("all_reduce", "double_binary_tree"): lambda c: _double_tree(c, True, True),
    ("all_reduce", "hierarchical"): lambda c: _gather(c, True) + _gather(c, False),
    ("all_gather", "star"): lambda c: c.move((c.p - 1) * c.n / c.p) + c.move((c.p - 1) * c.n),
    ("all_gather", "ring"): lambda c: (c.p - 1) * c.move(c.n / c.p),
    ("all_gather", "recursive_doubling"): lambda c: _doubling(c, False),
    ("all_gather", "hierarchical"): lambda c: _gather(c, False),
    ("reduce_scatter", "star"): lambda c: _star_reduce(c) + c.move((c.p - 1) * c.n / c.p),
    ("reduce_scatter", "ring"): lambda c: (c.p - 1) * c.add(c.n / c.p),
    ("reduce_scatter", "recursive_halving"): lambda c: _doubling(c, True),
    ("reduce_scatter", "hierarchical"): lambda c: _gather(c, True),
    ("all_to_all", "direct"): lambda c: c.move((c.p - 1) * c.n / c.p),
    ("all_to_all", "pairwise"): lambda c: (c.p - 1) * c.move(c.n / c.p),
    ("all_to_all", "bruck"): _bruck,
    ("all_to_all", "hierarchical"): lambda c: (
        (c.p // c.g - 1) * (c.alpha + c.n * c.g / c.p * c.beta)
        + (c.alpha_inside + (c.g - 1) / c.g * c.n * c.beta_inside if c.g > 1 else 0.0)
    ),
}


def bus_factor(collective: str, ranks: int) -> float:
    """busbw / algbw: bytes on a link for each byte that the field quotes (nccl-tests, doc/PERFORMANCE.md).

    With it, figures of different collectives and rank counts can be held against one link's bandwidth.
    """
    collective = checks.choice("collective", collective, COLLECTIVES)
    ranks = checks.integer("ranks", ranks, 1, 1_000_000)
    share = (ranks - 1) / ranks
    return {"all_reduce": 2 * share, "broadcast": 1.0, "reduce": 1.0}.get(collective, share)


def in_network(
    collective: str, ranks: int, size: float, alpha: float, beta: float, kind: str = "sharp"
) -> float:
    """Seconds where switches add and copy: up and down through them, all ranks' ports at once.

    "sharp": the switches of the fabric add what all send and send everybody the sum (Graham and others,
    "SHArP", COMHPC 2016): 2 alpha + n beta for an all-reduce, half of a ring's 2 n. "nvls": each GPU reads
    its part of the sum from the NVSwitch, then writes it to all (Ishii & Foley, "The NVLink-Network Switch",
    Hot Chips 34, 2022): n + n/p each way. Modelled only; all_gather, reduce_scatter, broadcast and reduce
    need one of the two passes.
    """
    allowed = [name for name in COLLECTIVES if name != "all_to_all"]
    collective = checks.choice("collective", collective, allowed)
    kind = checks.choice("kind", kind, ("sharp", "nvls"))
    ranks = checks.integer("ranks", ranks, 1, MOST_RANKS)
    size = checks.number("size", size, 0, 2**60, "bytes")
    alpha, beta = checks.number("alpha", alpha, 0, 10), checks.number("beta", beta, 0, 10)
    if ranks == 1:
        return 0.0
    if collective != "all_reduce":
        return 2 * alpha + size * beta
    return 2 * alpha * (2 if kind == "nvls" else 1) + size * beta * (1 + 1 / ranks if kind == "nvls" else 1)
