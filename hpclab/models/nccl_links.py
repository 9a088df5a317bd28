"""NVLink and networks as NCCL meets them: what its source says, and at most three fitted numbers each.

Fitted are only the fields named in FITTED, physical quantities all, by `tests/validation/test_refit.py`,
which also leaves one source out and says how wrong the rest then is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

HOPS = {"LL": 0.6e-6, "LL128": 1.9e-6, "Simple": 3.4e-6}  # tuning.cc, hwLat, ring, NVLink: s a step
NETWORK_HOP = {"LL": 2.7e-6, "LL128": 4.0e-6, "Simple": 14e-6}  # the same over a network
TREE_HOP = 5.0e-6  # the same for a tree, LL
NVLS_BASE = 25e-6  # hwLat, NVLS
PCIE = 12e9  # topo.h, PCI_BW: bytes/s where no ring of NVLinks closes
CUBE_MESH_RINGS = (0, 0, 1, 2, 4, 2, 2, 4, 6)
"""How many rings the NVLinks of a DGX-1 form at once through so many of its GPUs, each link one each way:
counted over all ways to pack rings on `topologies.CUBE_MESH`, as NCCL searches (src/graph/search.cc). Through
five they close only where a GPU passes on for GPU 4, which knows one of the others (paths.cc, PATH_NVB)."""


class Tuning(NamedTuple):
    """What NCCL expects (tuning.cc): `base`, by protocol, seconds before the first step; `ll_share`, the
    bandwidth of LL, its low-latency protocol, over that of Simple."""

    base: Mapping[str, float]
    ll_share: float


NCCL_2_12 = Tuning({"LL": 3.6e-6, "LL128": 10e-6, "Simple": 8.4e-6}, 0.25)
NCCL_2_28 = Tuning({"LL": 6.6e-6, "LL128": 14e-6, "Simple": 8.4e-6}, 0.5)


@dataclass(frozen=True)
class NVLink:
    """One generation of NVLink, in seconds and bytes/s, and NCCL's view of it."""

    nccl: Tuning
    links: int  # of a GPU
    nccl_link: float  # what NCCL reckons a link with (topo.h, SM70_NVLINK_BW and so on)
    link_bandwidth: float  # what a ring gets of one (NVLink 2: 25 GB/s are sold; headers take about a tenth)
    channels: int  # that a ring is cut into
    pair_channels: int  # for sends and receives (ncclTopoComputeP2pChannels)
    ll_limits: tuple[float, float, float]  # of LL on one, two and more nodes (llMaxBws; the latter for Intel)
    launch: float  # a kernel started on every GPU, as the program of that measurement starts it
    ll128_share: float = 120 / 128  # bandwidth of LL128 over that of Simple; at most this, the flags' share
    exposed_chunk: float = 0.0  # the part of a chunk whose transfer a ring does not hide, each time round
    nvls_share: float = 0.0  # what NCCL believes of NVLS (nvlsEfficiency)
    nvls_tree: tuple[float, float] = (0.0, 0.0)  # its limit a GPU on two and more nodes (perChMaxNVLSTreeBws)
    tree_channels: int = 0  # of that
    nvls_bandwidth: float = 0.0  # what a GPU sends while the NVSwitch adds
    nvls_round: float = 0.0  # adding and spreading one round of chunks and telling each other so
    cube_mesh: bool = False  # eight GPUs of a node are wired so, without a switch

    @property
    def channel(self) -> float:
        """Bytes/s that one channel, a block of threads that copies, moves: a ring's over its channels."""
        return self.links * self.link_bandwidth / self.channels

    def ll_most(self, nodes: int) -> float:
        """NCCL's limit for the protocol LL on `nodes` nodes, in bytes/s."""
        return self.ll_limits[min(nodes, 3) - 1]

    def has_switch(self, node_gpus: int) -> bool:
        """Whether an NVSwitch joins the GPUs of a node, which then can add (NVLS): not on boards of four (HGX
        A100 and H100 4-GPU, four V100 or GH200 in a node), nor in a DGX-1."""
        return node_gpus != 4 and not (self.cube_mesh and node_gpus == 8)

    def rings(self, gpus: int, node_gpus: int) -> tuple[int, bool]:
        """How many rings pass through `gpus` of a node at once, and whether a GPU relays for another.

        On a board of four a GPU has a third of its links to each of the others.
        """
        if self.has_switch(node_gpus):
            return self.links, False
        if node_gpus == 4:
            return (gpus - 1) * (self.links // 3), False
        return CUBE_MESH_RINGS[gpus], gpus == 5

    def ring(self, gpus: int, node_gpus: int) -> float:
        """Bytes/s around all rings through `gpus` of a node of `node_gpus`."""
        count, relayed = self.rings(gpus, node_gpus)
        one = in_turn(self.link_bandwidth, self.link_bandwidth) if relayed else self.link_bandwidth
        return max(count * one, PCIE)

    def expected(self, gpus: int, node_gpus: int) -> float:
        """Bytes/s of all rings that NCCL expects when it chooses an algorithm."""
        return max(self.rings(gpus, node_gpus)[0] * self.nccl_link, PCIE)


@dataclass(frozen=True)
class Network:
    """What NCCL gets between nodes."""

    share: float  # of the line rate that is data
    hop: float  # seconds from a GPU to the next node's


def in_turn(one: float, other: float, slots: int = 4) -> float:
    """Bytes/s through two stages, `one` and `other`, irregular in time, with `slots` slices between them.

    Two exponential servers in line, the buffer between them blocking the first (Hunt, Operations Research 4,
    1956): of two equal rates 5/6 is left, of unequal ones nearly all of the slower. NCCL's buffer between two
    GPUs holds four slices of a ring (NCCL_STEPS 8, two a slice), eight of a send (sendrecv.h).
    """
    ratio = min(one, other) / max(one, other)
    if ratio > 1 - 1e-6:
        return min(one, other) * (slots + 1) / (slots + 2)
    return min(one, other) * (1 - ratio ** (slots + 1)) / (1 - ratio ** (slots + 2))


NVLINKS = {
    "nvlink2": NVLink(  # V100
        NCCL_2_12, 6, 20e9, 22.5e9, 12, 16, (39e9, 39e9, 20.4e9), 20.2e-6,
        ll128_share=0.57, cube_mesh=True,
    ),
    "nvlink3": NVLink(  # A100
        NCCL_2_12, 12, 235e9 / 12, 20e9, 24, 32, (87.7e9, 39e9, 20.4e9), 33.8e-6,
        ll128_share=0.9, exposed_chunk=0.54,
    ),
    "nvlink4": NVLink(  # H100, H200
        NCCL_2_28, 18, 20.6e9, 20.6e9, 16, 32, (141e9, 39e9, 20.4e9), 5.6e-6,
        nvls_share=0.85, nvls_tree=(57.7e9, 45.5e9), tree_channels=16,
        nvls_bandwidth=336e9, nvls_round=4.2e-6,
    ),
    "nvlink5": NVLink(  # B200
        NCCL_2_28, 18, 40.1e9, 40.1e9, 24, 32, (282e9, 39e9, 20.4e9), 16.8e-6,
        nvls_share=0.74, nvls_tree=(96e9, 43.1e9), tree_channels=32,
        nvls_bandwidth=675e9, nvls_round=9.4e-6,
    ),
}  # fmt: skip
# Slingshot's packets are a shorter part data than InfiniBand's (`network.framing`); all else is as there.
NETWORKS = {
    "rdma": Network(0.977, 12.5e-6),  # InfiniBand, RoCE or EFA with GPUDirect
    "slingshot": Network(0.951, 12.5e-6),  # through libfabric's plugin
    "omni-path": Network(0.15, 14e-6),  # through host memory
    "tcp": Network(0.94, 50e-6),  # Ethernet through the kernel
}
FITTED = {
    "nvlink2": ("launch", "link_bandwidth", "ll128_share"),
    "nvlink3": ("launch", "exposed_chunk", "ll128_share"),
    "nvlink4": ("launch", "nvls_bandwidth", "nvls_round"),
    "nvlink5": ("launch", "nvls_bandwidth", "nvls_round"),
    "rdma": ("share", "hop"),
    "omni-path": ("share",),
}
# Seconds that all_reduce takes more when it is called and timed one by one from Python than in nccl-tests:
# fitted to the H200 rows together with nvlink4. It belongs to the program that measures, not to a fabric.
TORCH_CALL = 19e-6
