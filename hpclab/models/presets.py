"""Machines to try a collective on: topologies for any number of ranks, from one node to a dragonfly."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from hpclab import checks
from hpclab.machine import catalogue
from hpclab.models.mpi import Fabric, network_fabric
from hpclab.models.nccl import Job
from hpclab.models.nccl_links import NETWORKS, NVLINKS
from hpclab.models.network import MOST_RANKS, Topology
from hpclab.models.topologies import cluster, cube_mesh, dragonfly, single_node


@dataclass(frozen=True)
class Preset:
    """A machine to try: `build(ranks)` gives a topology of at least so many ranks, `joins(ranks)` the place
    that `communication.predict` takes, None without a model; `ranks_per_node` is how nodes are filled."""

    title: str
    ranks_per_node: int
    build: Callable[[int], Topology]
    joins: Callable[[int], Job | Fabric | None] = lambda _ranks: None

    def __call__(self, ranks: int) -> Topology:
        """The topology for `ranks` ranks, or some more where a node is not full."""
        return replace(self.build(checks.integer("ranks", ranks, 1, MOST_RANKS)), place=self.place(ranks))

    def place(self, ranks: int) -> Job | Fabric | None:
        """These ranks under the library that joins them; None: one rank, a node not full, or no model."""
        odd = ranks > self.ranks_per_node and ranks % self.ranks_per_node
        return None if ranks < 2 or odd else self.joins(ranks)


def _dgx(title: str, inside: str, nic: str, oversubscription: float = 1.0) -> Preset:
    """Nodes of 8 GPUs with a NIC each, on rails, or with `oversubscription` a leaf switch for each node."""

    def build(ranks: int) -> Topology:
        if ranks <= 8:
            return single_node(inside, ranks)
        how: Any = {"rails": True} if oversubscription == 1 else {"nodes_per_leaf": 1}
        return cluster(-(-ranks // 8), 8, inside, nic, 8, oversubscription, **how)

    def joins(ranks: int) -> Job:
        wire = 8 * catalogue.entry("link", nic).value("bandwidth") / oversubscription
        return Job(NVLINKS[inside], ranks, -(-ranks // 8), NETWORKS["rdma"], wire)

    return Preset(title, 8, build, joins)


def _flat(title: str, nic: str, transport: str = "rdma") -> Preset:
    """One rank a node, whose `nic` joins it to a fat tree."""
    build = partial(cluster, nic=nic, transport=transport)
    return Preset(title, 1, build, partial(network_fabric, nic))


PRESETS: dict[str, Preset] = {
    "dgx-h100": _dgx("8 GPUs a node: NVLink 4, NDR each", "nvlink4", "infiniband-ndr"),
    "dgx-a100": _dgx("8 GPUs a node: NVLink 3, HDR each", "nvlink3", "infiniband-hdr"),
    "dgx-h100-4:1": _dgx("the same, NDR uplinks 4:1", "nvlink4", "infiniband-ndr", 4.0),
    "shared-nic": Preset(
        "4 GPUs a node on PCIe 4, one HDR100", 4,
        lambda ranks: cluster(-(-ranks // 4), 4, "pcie4-x16", "infiniband-hdr100", 1),
    ),
    "hdr100": _flat("1 rank a node: InfiniBand HDR100", "infiniband-hdr100"),
    # A core of the host runs the protocol: a message's measured time holds that.
    "omni-path": _flat("1 rank a node: Omni-Path 100", "omni-path-100"),
    "roce-100g": _flat("1 rank a node: RoCE 100 Gb/s", "roce-100g"),
    "tcp-100g": _flat("1 rank a node: TCP on 100 Gb/s", "ethernet-100g", "tcp"),
    "tcp-25g": _flat("1 rank a node: TCP on 25 Gb/s", "ethernet-25g", "tcp"),
    "tcp-10g": _flat("1 rank a node: TCP on 10 Gb/s", "ethernet-10g", "tcp"),
    "dragonfly": Preset(
        "dragonfly: Slingshot 11, 4 nodes a router", 1, lambda ranks: dragonfly(-(-ranks // 16), 4, 4),
        partial(network_fabric, "slingshot-11"),
    ),
    "dgx-1": Preset(
        "DGX-1, at most 8: NVLink 2 cube mesh", 8, lambda _ranks: cube_mesh("nvlink2"),
        lambda ranks: Job(NVLINKS["nvlink2"], ranks) if ranks <= 8 else None,
    ),
}  # fmt: skip
