"""Reserves free TCP ports: forty starts at once on one machine take forty different blocks."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

_FIRST, _LAST = 10_000, 65_000


@dataclass
class ReservedPorts:
    """TCP ports, `numbers`, that nobody else can bind until `release` or the end of this process.

    Each is bound by a socket that never listens; a daemon of ours may still listen there, as both set
    SO_REUSEADDR. None is of the range from which the kernel picks ports.
    """

    numbers: tuple[int, ...]
    _claims: ExitStack = field(repr=False)

    @classmethod
    def reserve(cls, count: int) -> ReservedPorts:
        """Reserve `count` neighbouring ports; OSError where no such block is free."""
        try:
            words = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        except OSError:
            words = ["32768", "60999"]
        low, high = map(int, words)
        starts = [first for first in range(_FIRST, _LAST) if first + count <= low or first > high]
        random.shuffle(starts)
        for first in starts:
            numbers = tuple(range(first, first + count))
            with ExitStack() as claims:
                if all(_claim(number, claims) for number in numbers):
                    return cls(numbers, claims.pop_all())
        raise OSError(
            f"No {count} neighbouring TCP ports from {_FIRST} to {_LAST} are free: other programs on this "
            "machine have taken them (ss -tan lists their ports)."
        )

    def release(self) -> None:
        self._claims.close()


def _claim(port: int, claims: ExitStack) -> bool:
    """Return whether the port is free; keep it bound in `claims` if a daemon can then still listen there."""
    claim = claims.enter_context(socket.socket())
    try:
        claim.bind(("0.0.0.0", port))  # noqa: S104 - taken on every address, and never listened on
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        return False
    with socket.socket() as daemon:
        daemon.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            daemon.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
    return True
