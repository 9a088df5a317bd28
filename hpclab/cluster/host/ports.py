"""Free TCP ports that stay ours: forty starts at once on one machine take forty different blocks."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass, field
from pathlib import Path

from hpclab import checks

_FIRST, _LAST, _BLOCK = 10_000, 65_000, 80


@dataclass
class Ports:
    """`numbers`: TCP ports kept for this process until `release`, which also happens when it ends.

    Two starts at the same moment would both find the same port free. So a block of ports is first claimed by
    an abstract Unix socket of that name, which only one process on the machine can hold, and then each port
    is tried. Ports that the kernel hands out by itself are left alone.
    """

    numbers: tuple[int, ...]
    _claim: socket.socket = field(repr=False)

    @classmethod
    def reserve(cls, count: int) -> Ports:
        count = checks.integer("The number of ports", count, 1, _BLOCK)
        low, high = _ephemeral()
        blocks = [start for start in range(_FIRST, _LAST, _BLOCK) if start + _BLOCK <= low or start > high]
        random.shuffle(blocks)
        for start in blocks:
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            numbers = tuple(range(start, start + count))
            try:
                claim.bind(f"\0hpclab-ports-{start}")
            except OSError:
                claim.close()
                continue
            if all(map(_is_free, numbers)):
                return cls(numbers, claim)
            claim.close()
        raise OSError(f"No {count} neighbouring TCP ports are free on this machine.")

    def release(self) -> None:
        self._claim.close()


def _ephemeral() -> tuple[int, int]:
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(low), int(high)
    except (OSError, ValueError):
        return 32_768, 60_999


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - only tried, and closed at once
        except OSError:
            return False
    return True
