"""What checkpoints and failures cost of a job's time, from how often it saves.

What to notice: the best interval grows with the square root of what a checkpoint takes and of the time
between failures, and the curve is flat around it, so that a guess within a factor of two costs little.
"""

import math

from hpclab import checks


def lost(interval: float, cost: float, mtbf: float) -> float:
    """The share of the time that goes into saving after each `interval` of work, and into work done again.

    Seconds: a checkpoint takes `cost`, and failures come at random (exponential) every `mtbf` on average, one
    node's divided by the number of nodes. Restarts take no time. Until `interval` and `cost` have passed
    without a failure it takes mtbf · (exp((interval + cost)/mtbf) − 1): Daly, Future Generation Computer
    Systems 22(3), 2006.
    """
    for name, seconds in (("interval", interval), ("cost", cost), ("mtbf", mtbf)):
        checks.number(name, seconds, 1e-6, 1e12, "seconds")
    segment = interval + cost
    whole = max(mtbf * math.expm1(min(segment / mtbf, 300)), segment)  # with 300 it never ends
    return 1 - interval / whole
