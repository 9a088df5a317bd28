"""Links, and which of them a message from one rank to another crosses: topology as data.

A link is one direction of a wire, a port, a bus or a copying core: it delays by `latency` and passes
`bandwidth` bytes per second, and flows that cross it at once share them. A topology says where two ranks
meet: in their node, at a leaf switch, at the spine. A message takes its source's links out to that level,
perhaps a link between, and its target's links in: it is as fast as the narrowest of them and as late as all
of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab import checks
from hpclab.machine import catalogue

MOST_RANKS = 65_536
Numbers = NDArray[numpy.integer[Any]]


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a link: `latency` in seconds for its first byte, `bandwidth` in bytes/s."""

    name: str
    latency: float
    bandwidth: float

    @classmethod
    def named(cls, name: str) -> Link:
        """A link of the catalogue ("nvlink4", "infiniband-ndr"): its bandwidth is the measured one where that
        is known, else what it is sold as less its headers; its latency is 0 where the catalogue has none."""
        entry = catalogue.entry("link", name)
        value = {key: figure.value for key, figure in entry.figures.items()}
        bandwidth = value.get("measured_bandwidth") or value["bandwidth"] * framing(name)
        return cls(entry.title, value.get("latency", 0.0), bandwidth)


def framing(name: str) -> float:
    """The share of a link's line rate that is data in packets of the usual size; 1 where none is known.

    Headers of InfiniBand: LRH 8, BTH 12, ICRC 4, VCRC 2 (InfiniBand Architecture Specification 1.3, chapters
    5 and 7); of RoCE v2: preamble and gap 20, Ethernet 18, IP 20, UDP 8, BTH and ICRC 16 (annex A17).
    """
    packets = {"infiniband": (2048, 26), "roce": (1024, 82), "slingshot": (2048, 82), "ethernet": (1448, 90)}
    data, headers = packets.get(name.partition("-")[0], (1, 0))
    return data / (data + headers)


@dataclass(frozen=True)
class Level:
    """Where two ranks can meet; arrays by rank, of links' numbers for each hop in the order it is crossed.

    Where the way also depends on the pair (the wires of a mesh, the global links of a dragonfly),
    `across[group, part of source, part of target]` is the link between, -1 if these two cannot meet here.
    """

    name: str
    group: Numbers  # ranks with the same one meet here
    out: Sequence[Numbers]  # what each leaves over
    into: Sequence[Numbers]  # and is reached over
    latency: float = 0.0  # of the switches passed, in seconds
    part: Numbers | None = None
    across: Numbers | None = None


@dataclass(frozen=True)
class Topology:
    """A machine's network: its `links`, and the `levels` at which ranks meet, nearest first; ranks that share
    no level are not connected.

    `place` is the same machine as `communication.predict` takes it, None where no published measurement holds
    for it.
    """

    name: str
    ranks: int
    links: tuple[Link, ...]
    levels: tuple[Level, ...]
    place: Any = None

    def ways(self, source: Numbers, target: Numbers) -> tuple[Numbers, Numbers]:
        """The links from ``source[i]`` to ``target[i]``, both ranks, in the order they are crossed, -1 where
        there are fewer, shape (pairs, hops); and the numbers of the levels where each pair meets, -1 in a
        rank itself. ValueError where two ranks are not connected."""
        hops = max(len(level.out) + len(level.into) + 1 for level in self.levels)
        way, met = numpy.full((len(source), hops), -1, "i4"), numpy.full(len(source), -1)
        for number, level in enumerate(self.levels):
            here = (met < 0) & (source != target) & (level.group[source] == level.group[target])
            links = [column[source] for column in level.out]
            if level.part is not None and level.across is not None:
                links.append(level.across[level.group[source], level.part[source], level.part[target]])
                here &= links[-1] >= 0
            links += [column[target] for column in level.into]
            way[here, : len(links)] = numpy.stack(links, axis=1)[here]
            met[here] = number
        for apart in numpy.flatnonzero((met < 0) & (source != target))[:1]:
            raise ValueError(f"No way leads from rank {source[apart]} to {target[apart]} in {self.name}.")
        return way, met

    def route(self, source: int, target: int) -> tuple[int, ...]:
        """The numbers of the links that a message from `source` to `target` crosses; none to itself."""
        return self._way(source, target)[0]

    def _way(self, source: int, target: int) -> tuple[tuple[int, ...], int]:
        """The links of the way, and the number of the level where it turns round."""
        ends = (checks.integer(*end, 0, self.ranks - 1) for end in (("source", source), ("target", target)))
        way, met = self.ways(*(numpy.array([rank]) for rank in ends))
        return tuple(int(link) for link in way[0] if link >= 0), met[0]

    def terms(self, source: int, target: int, size: float) -> list[tuple[str, float, float]]:
        """What a message of `size` bytes pays on its way, alone: (name, seconds of latency, seconds to pass).

        The latencies add up; of the times to pass only the longest counts, because the message streams
        through all links at once.
        """
        size = checks.number("size", size, 0, 2**60, "bytes")
        way, met = self._way(source, target)
        links, level = [self.links[number] for number in way], self.levels[met]
        switches = [(f"switches ({level.name})", level.latency, 0.0)] * bool(links and level.latency)
        return [(link.name, link.latency, size / link.bandwidth) for link in links] + switches

    def alpha_beta(self, source: int, target: int) -> tuple[float, float]:
        """Seconds of latency, and seconds per byte, from `source` to `target` when nothing else flows."""
        terms = self.terms(source, target, 1.0)
        return sum(latency for _, latency, _ in terms), max((beta for *_, beta in terms), default=0.0)


def with_slow_link(topology: Topology, source: int, target: int, factor: float = 10.0) -> Topology:
    """`topology` with the narrowest link from `source` to `target` `factor` times narrower, that way only.

    It is the link, not the pair, that is slow: everything else that crosses it is slowed too.
    """
    way, links = topology.route(source, target), list(topology.links)
    if not way:
        raise ValueError("A rank needs no link to itself: name two different ranks for the slow link.")
    narrow = min(way, key=lambda number: links[number].bandwidth)
    old = links[narrow]
    links[narrow] = Link(f"{old.name}, {factor:g}× slower", old.latency, old.bandwidth / factor)
    return replace(topology, links=tuple(links), place=None)
