"""What a collective costs, in one line each, where messages do not meet on links.

Every rank has one port that sends and one that receives; a message of m bytes between any two takes move(m),
which is alpha + m beta on a plain link. `n` is the size that the field quotes (nccl-tests' size: the whole
vector; what one rank sends altogether in an all-to-all), `p` the ranks. Thakur, Rabenseifner & Gropp,
"Optimization of Collective Communication Operations in MPICH", IJHPCA 19 (2005); where ranks are no power of
two, as the schedules in `hpclab.schedules` do it. A test holds the two together.

Notice alpha's factor and beta's: log p against p, and log p against about 2. Between them lies the crossover.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy


@dataclass(frozen=True)
class Case:
    """What a formula sees: ranks, bytes, and the seconds in which so many bytes move from rank to rank."""

    p: int
    n: float
    move: Callable[[float], float]

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

    def blocks(self, count: int = 1) -> float:
        """A move of so many ranks' parts."""
        return self.move(count * self.n / self.p)

    @property
    def whole(self) -> float:
        return self.move(self.n)


def _doubling(c: Case) -> float:
    """All-gather by recursive doubling, or reduce-scatter by halving: ranks beyond a power of two give their
    block to a neighbour, which then counts twice, and get all the rest at the end."""
    ends = c.blocks() + c.blocks(c.p - 1) if c.extra else 0.0
    return ends + sum(c.blocks((1 << s) + min(1 << s, c.extra)) for s in range(c.power))


def _halves(c: Case) -> float:
    """n/2 + n/4 + ... between 2^k ranks, then the same backwards."""
    return 2 * sum(c.move(c.n / (2 << s)) for s in range(c.power))


def _bruck(c: Case) -> float:
    """In step s the blocks whose distance has bit s set."""
    slots = numpy.arange(c.p)
    return sum(c.blocks(int((slots >> bit & 1).sum())) for bit in range(c.log))


FORMULAS: dict[tuple[str, str], Callable[[Case], float]] = {
    ("broadcast", "binomial_tree"): lambda c: c.log * c.whole,
    ("broadcast", "halving_doubling"): lambda c: _halves(c) + (c.whole if c.extra else 0.0),
    ("reduce", "binomial_tree"): lambda c: c.log * c.whole,
    ("reduce", "halving_doubling"): lambda c: _halves(c) + (c.whole if c.extra else 0.0),
    ("all_reduce", "binomial_tree"): lambda c: 2 * c.log * c.whole,
    ("all_reduce", "ring"): lambda c: 2 * (c.p - 1) * c.blocks(),
    ("all_reduce", "recursive_doubling"): lambda c: (c.power + (2 if c.extra else 0)) * c.whole,
    ("all_reduce", "halving_doubling"): lambda c: _halves(c) + (2 * c.whole if c.extra else 0.0),
    ("all_gather", "ring"): lambda c: (c.p - 1) * c.blocks(),
    ("all_gather", "recursive_doubling"): _doubling,
    ("reduce_scatter", "ring"): lambda c: (c.p - 1) * c.blocks(),
    ("reduce_scatter", "recursive_halving"): _doubling,
    ("all_to_all", "pairwise"): lambda c: (c.p - 1) * c.blocks(),
    ("all_to_all", "bruck"): _bruck,
}


def in_network(c: Case) -> float:
    """An all-reduce that switches add up at line rate (SHARP: Graham et al., COMHPC 2016): each rank sends n
    and receives n at once, whatever p is; the way down is a second latency. Unlike NVLS in `nccl.py` it is
    held against no published row."""
    return c.move(0) + c.whole


def bus_factor(collective: str, ranks: int) -> float:
    """busbw / algbw: bytes on a link for each byte that the field quotes (nccl-tests, doc/PERFORMANCE.md).

    With it, figures of different collectives and rank counts can be held against one link's bandwidth.
    """
    share = (ranks - 1) / ranks
    known = {"all_reduce": 2 * share, "broadcast": 1.0, "reduce": 1.0, "send_recv": 1.0}
    return known.get(collective, share)
