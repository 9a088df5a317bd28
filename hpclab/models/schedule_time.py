"""What a Schedule costs on a Topology: an event simulation in which flows that cross a link at once share it.

Where no link is shared, `formulas.py` says the same in one line. Notice what the formulas cannot see: eight
GPUs behind one NIC, an uplink with half the bandwidth below it, one slow link that a ring waits for in every
step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from hpclab import checks
from hpclab.models.network import Topology
from hpclab.schedules.schedule import Schedule

Seconds = NDArray[numpy.float64]


@dataclass(frozen=True)
class ScheduleTime:
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


def simulate(schedule: Schedule, topology: Topology, itemsize: float = 4) -> ScheduleTime:
    """Time `schedule` of elements of `itemsize` bytes on the first ranks of `topology`; all start together.

    A message begins when its source and its target have ended their earlier steps, waits for the latencies on
    its way, then flows over all its links at once, which it shares max-min fair with whatever else flows
    there. Nothing else is synchronised. Adding up, and copies inside a rank, cost nothing. The first call of
    a session compiles (seconds).
    """
    if schedule.ranks > topology.ranks:
        raise ValueError(
            f"The schedule has {schedule.ranks} ranks, {topology.name} only {topology.ranks}: "
            "build a larger one."
        )
    from hpclab.models import contention  # compiled code: Numba is loaded when it is first needed

    messages, ranks = schedule.messages, schedule.ranks
    step, source, target = (messages[name].astype("i8") for name in ("step", "source", "target"))
    # Rows of one step from one rank to one other are one message.
    key, member = numpy.unique((step * ranks + source) * ranks + target, return_inverse=True)
    step, pair = numpy.divmod(key, ranks**2)
    source, target = numpy.divmod(pair, ranks)
    size = numpy.bincount(member, messages["size"], len(key)) * itemsize * (source != target)
    pairs, which = numpy.unique(pair, return_inverse=True)
    ways, met = topology.ways(*numpy.divmod(pairs, ranks))
    # A last number for -1: no link, no level.
    latency, slow = (numpy.array([*(one.latency for one in them), 0.0])
                     for them in (topology.links, topology.levels))  # fmt: skip
    delay = (latency[ways].sum(axis=1) + slow[met])[which]
    bandwidth = numpy.array([*(link.bandwidth for link in topology.links), numpy.inf])
    moves = step, source, target
    shared = contention.links_are_shared(*moves, ways[which], len(topology.links))
    if shared:
        ends = numpy.stack((source, target), axis=1).ravel()
        order = numpy.argsort(ends, kind="stable")  # each rank's messages by step, one to itself twice
        first = numpy.searchsorted(ends[order], numpy.arange(ranks + 1))
        times = contention.shared_times(*moves, size, delay, ways[which], bandwidth, order // 2, first)
    else:
        narrowest = bandwidth[ways].min(axis=1)[which]
        times = contention.exclusive_times(*moves, delay + size / narrowest, ranks)
    begin, end, finish = times
    return ScheduleTime(schedule, topology, itemsize, begin[member], end[member], finish, shared)


def crossover(one: Callable[[float], float], other: Callable[[float], float]) -> float | None:
    """The size in bytes, to 16 GiB, at which two times as functions of size are equal, or None.

    Found by bisection on the logarithm, to 0.1 %: below it the one that is faster for 1 byte wins, above it
    the other. Where they cross more than once, one of the places.
    """
    for time in (one, other):
        checks.instance("A time as a function of size", time, Callable, "a function")

    def one_wins(size: float) -> bool:
        ours, theirs = (checks.number("A time", time(size), 0, 1e12, "s") for time in (one, other))
        return ours < theirs

    low, high = 1.0, 2.0**34
    first = one_wins(low)
    if first == one_wins(high):
        return None
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if one_wins(middle) == first else (low, middle)
    return (low * high) ** 0.5
