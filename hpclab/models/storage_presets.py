"""Stores to try the storage model on: named file systems over named drives, from the catalogue.

A node-local drive is a Store whose servers grow with the clients, read with as many files.
"""

import math

from hpclab import checks
from hpclab.machine import catalogue
from hpclab.models.storage import Server, Store

SHARES = {"hdd": 0.25, "ssd": 0.65, "nvme": 0.65}
"""What clients get of the sequential bandwidth of a server's drives in large transfers: parity and the file
system take some, and heads of disks seek where many streams meet. Found with IO500 (docs/validation.md)."""


def server(drive: str, drives: float = 1, port: float = math.inf, writing: bool = False) -> Server:
    """One server with `drives` of the catalogue's `drive` behind a network `port` in B/s, read or written."""
    entry = catalogue.entry("drive", drive)
    checks.number("drives of a server", drives, 1e-3, 1e5)
    rate, operations = ("write", "writes") if writing else ("read", "reads")
    share = SHARES[drive.partition("-")[0]]
    each = entry.value(operations) if operations in entry.figures else math.inf
    return Server(min(port, drives * share * entry.value(rate)), drives * each)


def preset(
    name: str, servers: int = 4, drive: str = "nvme-pcie4", drives: int = 8,
    network: str = "infiniband-hdr", writing: bool = False,
) -> Store:  # fmt: skip
    """The catalogue's file system `name` on `servers`, each with `drives` of its `drive`.

    Servers and clients have a port of the `network` each, a link of the catalogue. "nvme" is one node's own
    drives with no network, "nfs" one server.
    """
    entry = catalogue.entry("file_system", name)
    servers = 1 if name in ("nvme", "nfs") else checks.integer("servers", servers, 1, 4096)
    port = math.inf if name == "nvme" else catalogue.entry("link", network).value("bandwidth")
    opens = entry.value("metadata") if "metadata" in entry.figures else math.inf
    return Store((server(drive, drives, port, writing),) * servers, opens, port, entry.value("latency"))


def examples() -> dict[str, Store]:
    """A few common stores by title."""
    return {"Lustre, 4 × 8 NVMe": preset("lustre"), "NFS, one server": preset("nfs"),
            "Storage Scale, 8 servers": preset("gpfs", 8)}  # fmt: skip
