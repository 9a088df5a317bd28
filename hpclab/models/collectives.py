"""What a Schedule costs on a Topology: an event simulation in which flows that cross a link at once share it.

Where no link is shared, `formulas.py` says the same in one line, and a test holds the two together. Notice
what the formulas cannot see: eight GPUs behind one NIC, an uplink with half the bandwidth below it, one slow
link that a ring waits for in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import numpy
from numpy.typing import NDArray

from hpclab import checks
from hpclab.models.network import Topology, packed
from hpclab.results import Origin
from hpclab.schedules.schedule import Schedule
from hpclab.trace import Event, Trace

Seconds = NDArray[numpy.float64]
_MOST_MESSAGES = 20_000_000
_MOST_EVENTS = 20_000


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way a library moves a message: `latency` more seconds, `round_trips` before the data may go, and
    the share of the bytes on the wire that are data (`efficiency`)."""

    name: str
    latency: float = 0.0
    round_trips: float = 0.0
    efficiency: float = 1.0

    def __post_init__(self) -> None:
        checks.number(f"The latency of {self.name}", self.latency, 0, 10, "s")
        checks.number(f"The round trips of {self.name}", self.round_trips, 0, 10)
        checks.number(f"The efficiency of {self.name}", self.efficiency, 1e-6, 1)


PLAIN = (Protocol("plain"),)

# A library takes what is fastest for the message, and so does simulate(). Bytes: LL sends a 4-byte flag with
# every 4 bytes, LL128 8 in every 128. Latency over that of the wire: NCCL 2.20, src/graph/tuning.cc, hwLat,
# ring, NVLink: LL 0.6, LL128 1.9, Simple 3.4 microseconds, less the first, which is taken as the wire's.
NCCL = (
    Protocol("LL", 0.0, efficiency=0.5),
    Protocol("LL128", 1.3e-6, efficiency=120 / 128),
    Protocol("Simple", 2.8e-6),
)


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

    def trace(self) -> Trace:
        """Send and receive events for a timeline; at most 20,000 events are made into objects."""
        messages = self.schedule.messages
        if 2 * len(messages) > _MOST_EVENTS:
            raise ValueError(
                f"{len(messages)} messages are too many for a Trace, which takes {_MOST_EVENTS // 2}: "
                "use the arrays begin, end and finish, or fewer ranks."
            )
        events = []
        for message, begin, end in zip(messages, self.begin.tolist(), self.end.tolist(), strict=True):
            source, target = int(message["source"]), int(message["target"])
            if source != target:
                size = round(int(message["size"]) * self.itemsize)
                label = f"step {message['step']}: {source} to {target}"
                for kind, rank in (("send", source), ("receive", target)):
                    events.append(Event(rank, kind, begin, end - begin, size, label, Origin.MODELLED))
        return Trace(tuple(events), self.schedule.ranks, 0.0, self.time)


def simulate(
    schedule: Schedule,
    topology: Topology,
    itemsize: float = 4,
    *,
    protocols: Sequence[Protocol] = PLAIN,
    reduce_bandwidth: float = inf,
) -> Timing:
    """Time `schedule` of elements of `itemsize` bytes on the first ranks of `topology`; all start together.

    A schedule of few large elements (a figure's) takes as long as one of many small ones: `itemsize` is any
    number of bytes.

    A message begins when its source and its target have ended their earlier steps, waits for the latencies on
    its way, then flows over all its links at once, which it shares max-min fair with whatever else flows
    there. It takes the fastest of `protocols`. A rank adds what arrives at `reduce_bandwidth` bytes/s, one
    message after another. Copies inside a rank cost nothing. The first call of a session compiles (seconds).

    Notice that nothing here is synchronised: a rank that is done with a step goes on, and one that waits for
    a slow link makes those wait that wait for it.
    """
    itemsize = checks.number("itemsize", itemsize, 1e-6, 2**50, "bytes")
    speed = inf if reduce_bandwidth == inf else checks.number("reduce_bandwidth", reduce_bandwidth, 1, 1e16)
    checks.instance("schedule", schedule, Schedule)
    checks.instance("topology", topology, Topology)
    if schedule.ranks > topology.ranks:
        raise ValueError(
            f"The schedule has {schedule.ranks} ranks, {topology.name} only {topology.ranks}: "
            "build a larger one."
        )
    if not checks.instances("protocols", protocols, Protocol):
        raise ValueError("protocols must name at least one Protocol, such as collectives.PLAIN.")
    messages, ranks = schedule.messages, schedule.ranks
    checks.integer("The messages of a schedule", len(messages), 0, _MOST_MESSAGES)
    from hpclab.models import contention, flows  # compiled code: Numba is loaded when it is first needed

    step, source, target = (messages[name].copy() for name in ("step", "source", "target"))
    size = messages["size"] * float(itemsize)
    adds = numpy.where(messages["reduce"] & (source != target), size / speed, 0.0)
    count, member = flows.joined(step, source, target, size, adds)
    step, source, target, size, adds = (column[:count] for column in (step, source, target, size, adds))
    levels = packed(topology)
    delay, wire, passing, begin, end = (numpy.empty(count) for _ in range(5))
    finish = numpy.zeros(ranks)
    choices = numpy.array([(p.latency, p.round_trips, p.efficiency) for p in protocols])
    waits = numpy.array([level.latency for level in topology.levels])
    bandwidth = topology.bandwidth
    found = flows.costs(
        step, source, target, size, levels, bandwidth, topology.latency, waits, choices, delay, wire, passing
    )
    if found == flows.NO_WAY:
        raise ValueError(f"Some ranks of the schedule are not connected in {topology.name}.")
    if found:
        way = flows.ways(source, target, levels)
        contention.crowded(step, source, target, adds, way, bandwidth, delay, wire, begin, end, finish)
    else:
        flows.alone(step, source, target, adds, delay, passing, begin, end, finish)
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
