"""Links, and which of them a message from one rank to another crosses: topology as data.

A link is one direction of a wire, a port, a bus or a copying core: it delays by `latency` and passes
`bandwidth` bytes per second, and flows that cross it at once share them. A topology says where two ranks
meet: in their node, at a leaf switch, at the spine. A message takes its source's links out to that level,
perhaps a link between, and its target's links in.

What to notice: a message is as fast as the narrowest link on its way and as late as all of them together.
`topologies.py` builds the usual ones; `collectives.py` times schedules on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

from hpclab import checks
from hpclab.machine import catalogue

MOST_RANKS = 65_536
Numbers = NDArray[numpy.int32]


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a link: `latency` in seconds for its first byte, `bandwidth` in bytes/s."""

    name: str
    latency: float
    bandwidth: float

    def __post_init__(self) -> None:
        checks.number(f"The latency of {self.name}", self.latency, 0, 10, "s")
        checks.number(f"The bandwidth of {self.name}", self.bandwidth, 1, 1e16, "bytes/s")

    @classmethod
    def named(cls, name: str) -> Link:
        """A link of the catalogue ("nvlink4", "infiniband-ndr"), with its sources there.

        Its bandwidth is the measured one where the catalogue has it, else what it is sold as less its
        headers; its latency is 0 where the catalogue has none. ValueError lists the names there are.
        """
        entry = catalogue.entry("link", name)
        figures = entry.figures
        latency = figures["latency"].value if "latency" in figures else 0.0
        sold = figures["bandwidth"].value * framing(name)
        return cls(
            entry.title,
            latency,
            figures["measured_bandwidth"].value if "measured_bandwidth" in figures else sold,
        )


def framing(name: str) -> float:
    """The share of a link's line rate that is data in packets of the usual size; 1 where none is known.

    InfiniBand: 2,048 bytes of data and 26 of headers (LRH 8, BTH 12, ICRC 4, VCRC 2; InfiniBand Architecture
    Specification 1.3, chapters 5 and 7). RoCE v2 in Ethernet frames of 1,500 bytes: 1,024 and 82 (preamble
    and gap 20, Ethernet 18, IP 20, UDP 8, BTH and ICRC 16; annex A17); Slingshot as much beside 2,048. TCP: 1,448
    and 90.
    """
    family = name.partition("-")[0]
    data, headers = {"infiniband": (2048, 26), "roce": (1024, 82), "slingshot": (2048, 82),
                     "ethernet": (1448, 90)}.get(family, (1, 0))  # fmt: skip
    return data / (data + headers)


@dataclass(frozen=True)
class Level:
    """Where two ranks can meet: those with the same number in `group`.

    `group` has shape (ranks,). `out` and `into`, shape (ranks, hops), are the numbers of the links a rank
    leaves and is reached over when it meets another here, in the order they are crossed, -1 where there are
    fewer. Where the way also depends on the pair (the wires of a mesh, the global links of a dragonfly),
    `across[group, part of source, part of target]` is the link between, -1 if these two cannot meet here
    after all; `part` has shape (ranks,). `latency` is that of the switches passed, in seconds.
    """

    name: str
    group: Numbers
    out: Numbers
    into: Numbers
    latency: float = 0.0
    part: Numbers = field(default_factory=lambda: numpy.zeros(0, "i4"))
    across: Numbers = field(default_factory=lambda: numpy.zeros((0, 0, 0), "i4"))


@dataclass(frozen=True)
class Topology:
    """`links` and the `levels` at which ranks meet, nearest first; ranks that share none are not connected.

    `levels` are what a fast program needs; `route` and `terms` are what a person needs. `place` is the same
    machine as `communication.predict` takes it, None where no published measurement holds for it.
    """

    name: str
    ranks: int
    links: tuple[Link, ...]
    levels: tuple[Level, ...]
    place: Any = None

    def __post_init__(self) -> None:
        checks.integer("A topology's ranks", self.ranks, 1, MOST_RANKS)
        checks.instances("A topology's links", self.links, Link)
        checks.instances("A topology's levels", self.levels, Level)
        for level in self.levels:
            shapes = {len(level.group), len(level.out), len(level.into)}
            used = [array for array in (level.out, level.into, level.across) if array.size]
            if shapes != {self.ranks} or any(a.max() >= len(self.links) or a.min() < -1 for a in used):
                raise ValueError(
                    f"The level {level.name} must give each of {self.ranks} ranks links from 0 to "
                    f"{len(self.links) - 1}, or -1 for none."
                )

    @cached_property
    def latency(self) -> NDArray[numpy.float64]:
        """Latency of each link in seconds, shape (links,)."""
        return numpy.array([link.latency for link in self.links])

    @cached_property
    def bandwidth(self) -> NDArray[numpy.float64]:
        """Bandwidth of each link in bytes/s, shape (links,)."""
        return numpy.array([link.bandwidth for link in self.links])

    def _meeting(self, source: int, target: int) -> tuple[Level, tuple[int, ...]]:
        source = checks.integer("source", source, 0, self.ranks - 1)
        target = checks.integer("target", target, 0, self.ranks - 1)
        for level in self.levels:
            if level.group[source] == level.group[target]:
                between: list[int] = []
                if level.across.size:
                    between = [level.across[level.group[source], level.part[source], level.part[target]]]
                    if between[0] < 0:
                        continue
                way = (*level.out[source], *between, *level.into[target])
                return level, tuple(int(link) for link in way if link >= 0)
        raise ValueError(f"No way leads from rank {source} to rank {target} in {self.name}.")

    def route(self, source: int, target: int) -> tuple[int, ...]:
        """The numbers of the links that a message from `source` to `target` crosses; none to itself."""
        return () if source == target else self._meeting(source, target)[1]

    def terms(self, source: int, target: int, size: float) -> list[tuple[str, float, float]]:
        """What a message of `size` bytes pays on its way, alone: (name, seconds of latency, seconds to pass).

        The latencies add up; of the times to pass only the longest counts, because the message streams
        through all links at once. Here is where TCP's copies and the way over host memory are seen.
        """
        size = checks.number("size", size, 0, 2**60, "bytes")
        if source == target:
            return []
        level, way = self._meeting(source, target)
        found = [(self.links[n].name, self.links[n].latency, size / self.links[n].bandwidth) for n in way]
        return [*found, (f"switches ({level.name})", level.latency, 0.0)] if level.latency else found

    def alpha_beta(self, source: int, target: int) -> tuple[float, float]:
        """Seconds of latency, and seconds per byte, from `source` to `target` when nothing else flows."""
        terms = self.terms(source, target, 1.0)
        return sum(latency for _, latency, _ in terms), max((beta for *_, beta in terms), default=0.0)


def with_slow_link(topology: Topology, source: int, target: int, factor: float = 10.0) -> Topology:
    """`topology` with the narrowest link from `source` to `target` `factor` times narrower, that way only.

    It is the link, not the pair, that is slow: everything else that crosses it is slowed too.
    """
    factor = checks.number("factor", factor, 1, 1e6, "times")
    way = checks.instance("topology", topology, Topology).route(source, target)
    if not way:
        raise ValueError("A rank needs no link to itself: name two different ranks for the slow link.")
    narrow = min(way, key=lambda number: topology.links[number].bandwidth)
    links = list(topology.links)
    old = links[narrow]
    links[narrow] = Link(f"{old.name}, {factor:g}× slower", old.latency, old.bandwidth / factor)
    return replace(topology, links=tuple(links), place=None)


def packed(topology: Topology) -> tuple[NDArray[numpy.int32], ...]:
    """The levels as arrays for compiled code: group, part, out, into (levels first), across and its shape.

    `group` and `part` have shape (levels, ranks), `out` and `into` (levels, ranks, hops) padded with -1;
    `across` holds all levels' links one after another, and `shape[level]` is (first, parts), parts 0 where
    the level has none.
    """
    count, levels = topology.ranks, topology.levels
    hops = max((array.shape[1] for level in levels for array in (level.out, level.into)), default=0)
    group = numpy.stack([level.group for level in levels]).astype("i4")
    part = numpy.zeros((len(levels), count), "i4")
    ways = numpy.full((2, len(levels), count, hops), -1, "i4")
    shape, across, first = numpy.zeros((len(levels), 2), "i4"), [numpy.zeros(0, "i4")], 0
    for number, level in enumerate(levels):
        ways[0, number, :, : level.out.shape[1]] = level.out
        ways[1, number, :, : level.into.shape[1]] = level.into
        if level.across.size:
            part[number] = level.part
            shape[number] = first, level.across.shape[1]
            across.append(level.across.reshape(-1).astype("i4"))
            first += level.across.size
    return group, part, ways[0], ways[1], numpy.concatenate(across), shape


def columns(*links: ArrayLike) -> Numbers:
    """Columns of link numbers, one a hop, as the (ranks, hops) array that a Level wants."""
    return numpy.stack([numpy.asarray(column, "i4") for column in links], axis=1)


def nothing(ranks: int) -> Numbers:
    """No links for any rank, shape (ranks, 0)."""
    return numpy.zeros((ranks, 0), "i4")


class Wiring:
    """Collects links while a topology is built, and hands out their numbers."""

    def __init__(self) -> None:
        self.links: list[Link] = []

    def add(self, kind: Link, name: str, *, share: float = 1.0, halves: int = 2) -> int:
        """A link like `kind` with `share` of its bandwidth and one of `halves` of its latency."""
        self.links.append(Link(name, kind.latency / halves, kind.bandwidth * share))
        return len(self.links) - 1

    def each(self, kind: Link, names: Sequence[str], *, share: float = 1.0, halves: int = 2) -> Numbers:
        """A link for each of `names`; their numbers."""
        return numpy.array([self.add(kind, name, share=share, halves=halves) for name in names], "i4")
