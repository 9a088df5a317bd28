"""An emulated parallel file system: real server processes, real bytes, and rates that you state.

    with StripedStore((Server(50e6),) * 4, metadata=1000) as store:
        store.fill({"tokens/0": data}, stripes=4)              # nothing waits: preparing is not measured
        client = store.client(link=100e6)                      # an fsspec file system
        client.cat_file("tokens/0")

What goes through it is emulated: say `store.condition` beside the number. It has no cache, and holds in
memory what it is given.
"""

import math
import os
import secrets
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import hpclab
from hpclab import checks
from hpclab.models.storage import Server, Store
from hpclab.storage import server
from hpclab.storage.file_system import StripedFileSystem
from hpclab.units import format_bytes

MOST_SERVERS, MOST_MEMORY = 16, 10**9  # bytes in all
MOST_BANDWIDTH = 300e6  # B/s of all servers together that two cores can move beside their clients
MOST_OPERATIONS = 2000  # 1/s of one server
START = 20.0  # seconds for a server to start


class StripedStore:
    """An emulated striped store: `servers` with their rates (`models.storage.Server`), a metadata server of
    `metadata` opens/s, a `latency` in seconds for each open; each server holds `capacity` bytes. Starts them;
    ends with `close()`, its `with` block, or this process, whichever way that ends. What is faster than these
    programs cannot be emulated; operations and opens of math.inf come at Python's own rate, which is no
    number to report."""

    def __init__(
        self,
        servers: tuple[Server, ...] = (Server(50e6),) * 4,
        metadata: float = 1000.0,
        latency: float = 0.0,
        capacity: int = 2**27,
    ) -> None:
        self.model = Store(servers, metadata, latency=latency)
        rates, together = self.model.servers, sum(each.bandwidth for each in self.model.servers)
        checks.integer("The number of servers", len(rates), 1, MOST_SERVERS)
        for each in rates:
            checks.number("bandwidth of a server", each.bandwidth, 1e6, MOST_BANDWIDTH, "B/s")
        for name, rate in [("operations", each.operations) for each in rates] + [("metadata", metadata)]:
            if rate != math.inf:
                checks.number(f"{name} (if not math.inf)", rate, 1, MOST_OPERATIONS, "1/s")
        checks.number("The bandwidth of all servers together", together, 0, MOST_BANDWIDTH, "B/s")
        checks.integer("capacity", capacity, 1, MOST_MEMORY // len(rates), "bytes for each server")
        self.condition = condition(self.model)
        self._key, self._processes = secrets.token_hex(server.KEY // 2), list[Any]()
        try:
            for each in (*rates, Server(1e15, metadata)):
                self._processes.append(self._start(each, capacity))
            self._ports = tuple(map(_port, self._processes))
        except BaseException:
            self.close()
            raise

    def client(
        self, link: float = math.inf, stripes: int = 1, stripe_size: int = 2**20, limited: bool = True
    ) -> StripedFileSystem:
        """A machine with a link of `link` B/s (math.inf: as fast as it goes), as an fsspec file system. What
        it writes lies on `stripes` servers in stripes of `stripe_size` bytes. With ``limited=False``, for
        preparing and looking, no rate holds for it."""
        if link != math.inf:
            checks.number("link (if not math.inf)", link, 1e6, 1e12, "B/s")
        checks.integer("stripes", stripes, 1, len(self.model.servers))
        checks.integer("stripe_size", stripe_size, 2**12, 2**30, "bytes")
        if not self._processes:
            raise OSError("This striped store was closed: start another.")
        return StripedFileSystem(
            self._ports, self._key, link, self.model.latency, stripes, stripe_size, limited
        )

    def fill(self, files: Mapping[str, bytes], stripes: int = 1, stripe_size: int = 2**20) -> None:
        """Write these files at once and in this order, waiting for no rate. The n-th begins on server n."""
        client = self.client(stripes=stripes, stripe_size=stripe_size, limited=False)
        for name, content in files.items():
            client.pipe_file(name, content)

    def statistics(self) -> list[dict[str, int]]:
        """Counters by server, the metadata server last: rate-limited operations and bytes, and bytes free."""
        return self.client(limited=False).statistics()

    def close(self) -> None:
        for process in self._processes:
            with process:  # closes its pipes and waits for it
                process.kill()
        self._processes = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _start(self, rates: Server, capacity: int) -> subprocess.Popen[bytes]:
        numbers = (os.getpid(), rates.bandwidth, rates.operations, capacity)
        process = subprocess.Popen(
            [sys.executable, "-P", "-S", "-m", server.__name__, *map(str, numbers)], cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            env=os.environ | {"PYTHONPATH": str(Path(hpclab.__file__).parents[1])}, start_new_session=True,
        )  # fmt: skip
        process.stdin.write(self._key.encode())  # type: ignore[union-attr]
        return process


def _port(process: subprocess.Popen[bytes]) -> int:
    """The port that a server prints once it has started; OSError where it does not."""
    said: Any = process.stdout
    line = said.readline() if select.select([said], [], [], START)[0] else b""
    if not line:
        raise OSError(f"A storage server did not start within {START:g} s: is this machine out of memory?")
    return int(line)


def condition(store: Store) -> str:
    """Return the clause that describes an emulated `store` beside a number measured on it."""
    kinds = Counter(store.servers).items()
    parts = [
        f"{count} server{'s' * (count > 1)} at {_rate(kind.bandwidth)}"
        + f" and {kind.operations:,.0f} operations/s" * (kind.operations < math.inf)
        + " each" * (count > 1)
        for kind, count in kinds
    ]
    if store.metadata < math.inf:
        parts.append(f"a metadata server of {store.metadata:,.0f} opens/s")
    if store.latency:
        parts.append(f"{1e3 * store.latency:g} ms of latency for each open")
    if store.link < math.inf:
        parts.append(f"links of {_rate(store.link)}")
    return f"a striped store of {', '.join(parts)}"


def _rate(bandwidth: float) -> str:
    return f"{format_bytes(bandwidth, binary=False)}/s"
