"""What a Schedule costs on a Topology: an event simulation in which flows that cross a link at once share it.

Where no link is shared, `formulas.py` says the same in one line, and a test holds the two together. Notice
what the formulas cannot see: eight GPUs behind one NIC, an uplink with half the bandwidth below it, one slow
link that a ring waits for in every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from hpclab import checks
from hpclab.models.network import Topology, packed
from hpclab.schedules.schedule import Schedule

Seconds = NDArray[numpy.float64]


@dataclass(frozen=True)
class Timing:
    """When each message of `schedule` began and ended, and each rank was done: seconds from the common start.

    `begin` and `end` have shape (messages,): from when both ends were ready until the last byte arrived;
    `finish` has shape (ranks,). `shared` says whether any two messages could meet on a link.
    """

    schedule: Schedule
    topology: Topology
    itemsize: float
    begin: Seconds
    end: Seconds
    finish: Seconds
    shared: bool

    @property
    def time(self) -> float:
        """Seconds until the last rank is done."""
        return float(self.finish.max(initial=0.0))


def simulate(schedule: Schedule, topology: Topology, itemsize: float = 4) -> Timing:
    """Time `schedule` of elements of `itemsize` bytes on the first ranks of `topology`; all start together.

    A schedule of few large elements (a figure's) takes as long as one of many small ones: `itemsize` is any
    number of bytes.

    A message begins when its source and its target have ended their earlier steps, waits for the latencies on
    its way, then flows over all its links at once, which it shares max-min fair with whatever else flows
    there. Adding up, and copies inside a rank, cost nothing. The first call of a session compiles (seconds).

    Notice that nothing here is synchronised: a rank that is done with a step goes on, and one that waits for
    a slow link makes those wait that wait for it.
    """
    itemsize = checks.number("itemsize", itemsize, 1e-6, 2**50, "bytes")
    if schedule.ranks > topology.ranks:
        raise ValueError(
            f"The schedule has {schedule.ranks} ranks, {topology.name} only {topology.ranks}: "
            "build a larger one."
        )
    messages, ranks = schedule.messages, schedule.ranks
    from hpclab.models import contention, flows  # compiled code: Numba is loaded when it is first needed

    step, source, target = (messages[name].copy() for name in ("step", "source", "target"))
    size = messages["size"] * (float(itemsize) * (source != target))
    count, member = flows.joined(step, source, target, size)
    step, source, target, size = (column[:count] for column in (step, source, target, size))
    levels = packed(topology)
    delay, passing, begin, end = (numpy.empty(count) for _ in range(4))
    finish = numpy.zeros(ranks)
    waits = numpy.array([level.latency for level in topology.levels])
    found = flows.costs(
        step, source, target, size, levels, topology.bandwidth, topology.latency, waits, delay, passing
    )
    if found == flows.NO_WAY:
        raise ValueError(f"Some ranks of the schedule are not connected in {topology.name}.")
    if found:
        way = flows.ways(source, target, levels)
        contention.crowded(step, source, target, way, topology.bandwidth, delay, size, begin, end, finish)
    else:
        flows.alone(step, source, target, delay, passing, begin, end, finish)
    return Timing(schedule, topology, itemsize, begin[member], end[member], finish, bool(found))


def crossover(
    one: Callable[[float], float], other: Callable[[float], float], low: float = 1.0, high: float = 2.0**34
) -> float | None:
    """The size in bytes from `low` to `high` at which two times as functions of size are equal, or None.

    Found by bisection on the logarithm, to 0.1 %: below it the one that is faster at `low` wins, above it the
    other. Where they cross more than once, one of the places.
    """
    low = checks.number("low", low, 1e-3, 2**60, "bytes")
    high = checks.number("high", high, low, 2**60, "bytes")
    for function in (one, other):
        checks.instance("A time as a function of size", function, Callable, "a function")

    def one_wins(size: float) -> bool:
        ours, theirs = (checks.number("A time", time(size), 0, 1e12, "s") for time in (one, other))
        return ours < theirs

    first = one_wins(low)
    if first == one_wins(high):
        return None
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if one_wins(middle) == first else (low, middle)
    return (low * high) ** 0.5
