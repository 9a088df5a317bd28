"""What a collective costs, in one line each, where messages do not meet on links.

Every rank has one port that sends and one that receives; a message of m bytes between any two takes move(m),
which is alpha + m beta on a plain link. Thakur, Rabenseifner & Gropp, IJHPCA 19 (2005); where ranks are no
power of two, as `hpclab.schedules` do it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy


class Answer(NamedTuple):
    """Seconds of one call and how it would be done: "ring, LL128"."""

    seconds: float
    how: str


@dataclass(frozen=True)
class Case:
    """What a collective's formula is given: `p` ranks, `n` bytes as the field quotes them (nccl-tests: the
    whole vector; what one rank sends altogether in an all-to-all), and `move(m)`, the seconds of a message of
    m bytes between two ranks."""

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
        """Seconds of one message with the blocks, n/p bytes each, of `count` ranks."""
        return self.move(count * self.n / self.p)

    def whole(self, count: int = 1) -> float:
        """Seconds of `count` messages of all n bytes, one after the other."""
        return count * self.move(self.n)

    def halves(self) -> float:
        """Seconds of messages of n/2, n/4, ... bytes between 2^k ranks, then the same backwards."""
        return 2 * sum(self.move(self.n / (2 << s)) for s in range(self.power))


def _doubling(c: Case) -> float:
    """Seconds of an all-gather by recursive doubling, or a reduce-scatter by halving: ranks beyond a power of
    two give their block to a neighbour, which then counts twice, and get all the rest at the end."""
    ends = c.blocks() + c.blocks(c.p - 1) if c.extra else 0.0
    return ends + sum(c.blocks((1 << s) + min(1 << s, c.extra)) for s in range(c.power))


def _bruck(c: Case) -> float:
    """Seconds of Bruck's all-to-all: step s sends the blocks whose distance has bit s set."""
    slots = numpy.arange(c.p)
    return sum(c.blocks(int((slots >> bit & 1).sum())) for bit in range(c.log))


def _round(c: Case) -> float:
    """Seconds of p − 1 steps, in each of which every rank sends one block."""
    return (c.p - 1) * c.blocks()


FORMULAS: dict[tuple[str, str], Callable[[Case], float]] = {
    ("broadcast", "binomial_tree"): lambda c: c.whole(c.log),
    ("broadcast", "halving_doubling"): lambda c: c.halves() + c.whole(c.extra > 0),
    ("reduce", "binomial_tree"): lambda c: c.whole(c.log),
    ("reduce", "halving_doubling"): lambda c: c.halves() + c.whole(c.extra > 0),
    ("all_reduce", "binomial_tree"): lambda c: c.whole(2 * c.log),
    ("all_reduce", "ring"): lambda c: 2 * _round(c),
    ("all_reduce", "recursive_doubling"): lambda c: c.whole(c.power + 2 * (c.extra > 0)),
    ("all_reduce", "halving_doubling"): lambda c: c.halves() + c.whole(2 * (c.extra > 0)),
    ("all_gather", "ring"): _round,
    ("all_gather", "recursive_doubling"): _doubling,
    ("reduce_scatter", "ring"): _round,
    ("reduce_scatter", "recursive_halving"): _doubling,
    ("all_to_all", "pairwise"): _round,
    ("all_to_all", "bruck"): _bruck,
}


def in_network(c: Case) -> float:
    """Seconds of an all-reduce that switches add up at line rate (SHARP: Graham et al., COMHPC 2016): each
    rank sends n and receives n at once, whatever p is; the way down is a second latency. No published table
    has one."""
    return c.move(0) + c.whole()


def bus_factor(collective: str, ranks: int) -> float:
    """busbw / algbw: bytes on a link for each byte that the field quotes (nccl-tests, doc/PERFORMANCE.md).

    With it, figures of different collectives and rank counts can be held against one link's bandwidth.
    """
    share = (ranks - 1) / ranks
    return {"all_reduce": 2 * share, "broadcast": 1.0, "reduce": 1.0, "send_recv": 1.0}.get(collective, share)
