"""What a checkpoint costs, how often to make one, and what failures take all the same.

    cost, bound = write_time(size(181e9), ranks=384, rank=1e9, links=48 * 12.5e9, store=125e9)
    interval = daly(cost, mtbf=30 * 86400 / 48)         # a node fails every 30 days, and there are 48
    lost(interval, cost, mtbf=30 * 86400 / 48, restart=600).total

All times are in seconds, sizes in bytes. `mtbf` is the mean time between failures of the whole job: that of a
node divided by the nodes. What to notice: the best interval grows with the square root of both cost and mtbf,
and around it the curve is flat, so a guess within a factor of two costs little.
"""

import math
from dataclasses import dataclass

from hpclab import checks

BYTES_PER_PARAMETER = 14.0
"""Mixed-precision Adam: 2 of the weights as used, 4 of their float32 copy, 4 and 4 of Adam's two moments
(Rajbhandari et al., ZeRO, SC20, which also counts gradients, and these are not saved)."""


def size(parameters: float, bytes_per_parameter: float = BYTES_PER_PARAMETER) -> float:
    """Bytes of a checkpoint of so many parameters, without what a step counter and the like take."""
    checks.number("bytes_per_parameter", bytes_per_parameter, 0.1, 1000)
    return checks.number("parameters", parameters, 1, 1e18) * bytes_per_parameter


def write_time(size: float, ranks: int, rank: float, links: float, store: float) -> tuple[float, str]:
    """Seconds to write `size` bytes, and what bounds it: "ranks", "links" or "store".

    `ranks` that each make `rank` bytes/s, over links of `links` bytes/s together, into a store that
    takes `store`.
    """
    checks.number("size", size, 0, 1e21, "bytes")
    rates = {
        "ranks": checks.integer("ranks", ranks, 1, 10**7) * checks.number("rank", rank, 1, 1e18, "bytes/s")
    }
    rates["links"] = checks.number("links", links, 1, 1e18, "bytes/s")
    rates["store"] = checks.number("store", store, 1, 1e18, "bytes/s")
    bound = min(rates, key=rates.__getitem__)
    return size / rates[bound], bound


def young(cost: float, mtbf: float) -> float:
    """The best time between checkpoints that take `cost`, first order: sqrt(2 cost mtbf).

    J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974, 530-531.
    Good while `cost` is far below `mtbf`.
    """
    return math.sqrt(2 * _time("cost", cost) * _time("mtbf", mtbf))


def daly(cost: float, mtbf: float) -> float:
    """The same to a higher order: young · (1 + x/3 + x²/9) − cost with x² = cost / (2 mtbf), or mtbf where
    cost is 2 mtbf and more.

    J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future
    Generation Computer Systems 22(3), 2006, 303-312.
    """
    x = math.sqrt(_time("cost", cost) / (2 * _time("mtbf", mtbf)))
    return young(cost, mtbf) * (1 + x / 3 + x**2 / 9) - cost if cost < 2 * mtbf else mtbf


@dataclass(frozen=True, slots=True)
class Lost:
    """Shares of the time, from 0 to 1: in checkpoints, in work done again, in restarts."""

    checkpoints: float
    work: float
    restarts: float

    @property
    def total(self) -> float:
        return self.checkpoints + self.work + self.restarts


def lost(interval: float, cost: float, mtbf: float, restart: float = 0.0) -> Lost:
    """What is lost with a checkpoint after each `interval` of work, for failures at random (exponential).

    Daly's complete model (2006): a segment of `interval` + `cost` takes
    mtbf · exp(restart/mtbf) · (exp((interval + cost)/mtbf) − 1) until it has passed without a failure, and
    failures strike checkpoints and restarts too.
    """
    segment = _time("interval", interval) + _time("cost", cost)
    mtbf = _time("mtbf", mtbf)
    restart = checks.number("restart", restart, 0, 1e12, "seconds")
    failures = math.expm1(min(segment / mtbf, 300))  # in a segment; beyond 300 nothing ever ends
    again = max(failures * mtbf - segment, 0.0)
    restarts = failures * mtbf * math.expm1(min(restart / mtbf, 300))
    whole = segment + again + restarts
    return Lost(cost / whole, again / whole, restarts / whole)


def _time(name: str, seconds: float) -> float:
    return checks.number(name, seconds, 1e-6, 1e12, "seconds")
