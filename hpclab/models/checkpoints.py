"""What a checkpoint takes, how often to make one, and what failures cost all the same.

    size = 181e9 * BYTES_PER_PARAMETER
    cost, bound = write_time(size, ranks=256, rank=0.55e9, links=64 * 12.5e9, store=150e9)
    mtbf = 30 * 86400 / 64                              # a node fails every 30 days, and there are 64
    lost(daly(cost, mtbf), cost, mtbf).total

Times are in seconds; `mtbf` is the mean time between failures of the whole job, a node's over the nodes.
What to notice: the best interval grows with the square root of both, and the curve is flat around it, so that
a guess within a factor of two costs little.
"""

import math
from dataclasses import dataclass

from hpclab import checks

BYTES_PER_PARAMETER = 14.0
"""Of mixed-precision Adam: 2 of the weight as used, 4 of its float32 copy, 4 and 4 of Adam's moments
(Rajbhandari et al., ZeRO, SC20; gradients are not saved)."""


def write_time(size: float, ranks: int, rank: float, links: float, store: float) -> tuple[float, str]:
    """Seconds to write `size` bytes, and what bounds it: "ranks", "links" or "store".

    Each of `ranks` makes `rank` bytes/s; `links` (all together) and `store` are in bytes/s, too.
    """
    checks.number("size", size, 0, 1e21, "bytes")
    checks.integer("ranks", ranks, 1, 10**7)
    for name, rate in (("rank", rank), ("links", links), ("store", store)):
        checks.number(name, rate, 1, 1e18, "bytes/s")
    rates = {"ranks": ranks * rank, "links": links, "store": store}
    bound = min(rates, key=rates.__getitem__)
    return size / rates[bound], bound


def young(cost: float, mtbf: float) -> float:
    """The best time between two checkpoints that take `cost` each, to first order: sqrt(2 cost mtbf).

    J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974, 530-531.
    """
    return math.sqrt(2 * _time("cost", cost) * _time("mtbf", mtbf))


def daly(cost: float, mtbf: float) -> float:
    """The same to a higher order: young · (1 + x/3 + x²/9) − cost with x² = cost / (2 mtbf); mtbf if x ≥ 1.

    J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future
    Generation Computer Systems 22(3), 2006, 303-312.
    """
    x = math.sqrt(_time("cost", cost) / (2 * _time("mtbf", mtbf)))
    return young(cost, mtbf) * (1 + x / 3 + x**2 / 9) - cost if x < 1 else mtbf


@dataclass(frozen=True, slots=True)
class Lost:
    """Shares of the time, from 0 to 1: in checkpoints, and in work done again."""

    checkpoints: float
    work: float

    @property
    def total(self) -> float:
        return self.checkpoints + self.work


def lost(interval: float, cost: float, mtbf: float) -> Lost:
    """What is lost with a checkpoint after each `interval` of work, if failures come at random (exponential).

    Daly's complete model (2006), with restarts that take no time: failures strike work and checkpoints alike,
    and until `interval` and `cost` have passed without one it takes mtbf · (exp((interval + cost)/mtbf) − 1).
    """
    segment, mtbf = _time("interval", interval) + _time("cost", cost), _time("mtbf", mtbf)
    whole = max(mtbf * math.expm1(min(segment / mtbf, 300)), segment)  # with 300 it never ends
    return Lost(cost / whole, (whole - segment) / whole)


def _time(name: str, seconds: float) -> float:
    return checks.number(name, seconds, 1e-6, 1e12, "seconds")
