"""What a message between two processes costs over MPI: ping-pong latency and windowed bandwidth.

Small messages go *eagerly*: copied into the library's buffers, sent at once, copied out again. Large ones go
by *rendezvous*: a request, an answer, then the network card moves them untouched and a notice says that they
are there. The library takes what is faster. A stream of messages pays for the core that posts them and for
the wire.

Notice that on the large end everything is the line rate less its headers, which is arithmetic, and on the
small end everything is software, which is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from hpclab import checks


@dataclass(frozen=True)
class Host:
    """The sending and receiving core and its MPI library: the three numbers that are fitted, for all fabrics.

    `copy` in bytes/s: into and out of eager buffers, both copies and the card's own fetch together (a core
    copies about 10 GB/s). `gap` in seconds: between two messages that one core posts. `both` times that where
    it receives as many as it sends.
    """

    copy: float = 3.4e9
    gap: float = 0.154e-6
    both: float = 1.4

    def __post_init__(self) -> None:
        checks.number("copy", self.copy, 1, 1e15, "bytes/s")
        checks.number("gap", self.gap, 1e-12, 10, "s")
        checks.number("both", self.both, 0.1, 100)


@dataclass(frozen=True)
class Fabric:
    """`latency` of the smallest message in seconds, `bandwidth` of data in bytes/s once headers are paid."""

    name: str
    latency: float
    bandwidth: float
    host: Host = Host()

    def __post_init__(self) -> None:
        checks.number("latency", self.latency, 0, 10, "s")
        checks.number("bandwidth", self.bandwidth, 1, 1e15, "bytes/s")
        checks.instance("host", self.host, Host)

    def one_way(self, size: float) -> float:
        """Seconds from one process to the other, half of a ping-pong (osu_latency)."""
        size = checks.number("size", size, 0, 2**50, "bytes")
        eager = size / self.host.copy
        rendezvous = 3 * self.latency  # request, answer, notice
        return self.latency + size / self.bandwidth + min(eager, rendezvous)

    def stream(self, size: float) -> float:
        """Bytes/s of many messages under way at once, one direction (osu_bw)."""
        size = checks.number("size", size, 0, 2**50, "bytes")
        return size / (self.host.gap + size / self.bandwidth)

    def both_ways(self, size: float) -> float:
        """Bytes/s of both directions together (osu_bibw)."""
        size = checks.number("size", size, 0, 2**50, "bytes")
        return 2 * size / (self.host.gap * self.host.both + size / self.bandwidth)

    def exchange(self, size: float, ranks: int) -> float:
        """Seconds of an all-to-all, `size` bytes to each of `ranks` processes a node apart, in turn."""
        ranks = checks.integer("ranks", ranks, 1, 1_000_000)
        return (ranks - 1) * self.one_way(size) + size / self.host.copy  # the last is its own part


def framing(family: str) -> float:
    """The share of the line rate that is data in packets of the usual size.

    InfiniBand: 2,048 bytes of data and 26 of headers (LRH 8, BTH 12, ICRC 4, VCRC 2). RoCE v2 in Ethernet
    frames of 1,500 bytes: 1,024 and 82 (preamble and gap 20, Ethernet 18, IP 20, UDP 8, BTH and ICRC 16).
    TCP: 1,448 and 90. InfiniBand Architecture Specification 1.3, chapters 5, 7 and annex A17.
    """
    checks.instance("family", family, str, "the name of a network, such as infiniband")
    data, headers = {"infiniband": (2048, 26), "roce": (1024, 82), "tcp": (1448, 90)}.get(family, (1, 0))
    return data / (data + headers)
