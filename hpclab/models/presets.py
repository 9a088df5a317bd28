"""Machines to try a collective on: topologies for any number of ranks, from one node to a dragonfly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpclab import checks
from hpclab.models.network import MOST_RANKS, Topology
from hpclab.models.topologies import cluster, dragonfly, single_node


@dataclass(frozen=True)
class Preset:
    """`ranks_per_node` is how nodes are filled; `build(ranks)` gives a topology of at least that many."""

    title: str
    ranks_per_node: int
    build: Callable[[int], Topology]

    def __call__(self, ranks: int) -> Topology:
        """The topology for `ranks` ranks; it may have some more where a node is not full."""
        return self.build(checks.integer("ranks", ranks, 1, MOST_RANKS))


def _nodes(ranks: int, per: int) -> int:
    return -(-ranks // per)


def _dgx(inside: str, nic: str, oversubscription: float = 1.0) -> Callable[[int], Topology]:
    """Nodes of 8 GPUs with a NIC each, on rails; four nodes a leaf where uplinks are to be seen."""

    def build(ranks: int) -> Topology:
        if ranks <= 8:
            return single_node(inside, ranks)
        if oversubscription == 1:
            return cluster(_nodes(ranks, 8), 8, inside, nic, 8, rails=True)
        return cluster(_nodes(ranks, 8), 8, inside, nic, 8, oversubscription, nodes_per_leaf=1)

    return build


def _flat(nic: str, transport: str = "rdma") -> Callable[[int], Topology]:
    return lambda ranks: cluster(ranks, 1, nic=nic, transport=transport)


PRESETS: dict[str, Preset] = {
    "dgx-h100": Preset("8 GPUs a node: NVLink 4, NDR each", 8, _dgx("nvlink4", "infiniband-ndr")),
    "dgx-a100": Preset("8 GPUs a node: NVLink 3, HDR each", 8, _dgx("nvlink3", "infiniband-hdr")),
    "dgx-h100-4:1": Preset(
        "the same, NDR uplinks 4:1", 8, _dgx("nvlink4", "infiniband-ndr", oversubscription=4.0)
    ),
    "shared-nic": Preset(
        "4 GPUs a node on PCIe 4, one HDR100", 4,
        lambda ranks: cluster(_nodes(ranks, 4), 4, "pcie4-x16", "infiniband-hdr100", 1),
    ),
    "hdr100": Preset("1 rank a node: InfiniBand HDR100", 1, _flat("infiniband-hdr100")),
    "omni-path": Preset("1 rank a node: Omni-Path 100", 1, _flat("omni-path-100")),
    "roce-100g": Preset("1 rank a node: RoCE 100 Gb/s", 1, _flat("roce-100g")),
    "tcp-100g": Preset("1 rank a node: TCP on 100 Gb/s", 1, _flat("ethernet-100g", "tcp")),
    "tcp-25g": Preset("1 rank a node: TCP on 25 Gb/s", 1, _flat("ethernet-25g", "tcp")),
    "tcp-10g": Preset("1 rank a node: TCP on 10 Gb/s", 1, _flat("ethernet-10g", "tcp")),
    "dragonfly": Preset(
        "dragonfly: Slingshot 11, 4 nodes a router", 1, lambda ranks: dragonfly(_nodes(ranks, 16), 4, 4)
    ),
    "dgx-1": Preset(
        "DGX-1, at most 8: NVLink 2 cube mesh", 8, lambda ranks: single_node("nvlink2", 8, "cube mesh")
    ),
}  # fmt: skip
