"""NVLink and networks as NCCL meets them: what its source says, and at most three fitted numbers each.

Fitted are only the fields named in FITTED, by `tests/validation/test_refit.py`, which also leaves one source
out and says how wrong the rest then is. Each is a physical quantity:

- `launch`, seconds: a kernel started on every GPU, as the program of that measurement starts it;
- `link_bandwidth`, bytes/s of one NVLink 2 (25 GB/s are sold; headers take about a tenth);
- `ll128_share`: bandwidth of LL128 over that of Simple; at most 120/128, the flags' share;
- `exposed_chunk`: the part of a chunk whose transfer a ring does not hide, 0 to 1, each time round;
- `nvls_bandwidth`, bytes/s a GPU sends while the NVSwitch adds, below the 450 or 900 GB/s of its links;
- `nvls_round`, seconds: adding and spreading one round of chunks and telling each other so;
- of a network `share` of the line rate that is data, `hop` seconds from a GPU to the next node's, and
  `one_peer_share` of it that a single pair of GPUs gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpclab import checks
from hpclab.models.topologies import CUBE_MESH

HOPS = {"LL": 0.6e-6, "LL128": 1.9e-6, "Simple": 3.4e-6}  # tuning.cc, hwLat, ring, NVLink: s a step
PCIE = 12e9  # topo.h, PCI_BW: bytes/s where no ring of NVLinks closes


@dataclass(frozen=True)
class Table:
    """NCCL's own expectations (tuning.cc): seconds before the first step, seconds a step over the network."""

    base: Mapping[str, float]
    ll_share: float
    network_hop: Mapping[str, float]


_NETWORK_HOP = {"LL": 2.7e-6, "LL128": 4.0e-6, "Simple": 14e-6}
TREE_HOP = 5.0e-6  # the same for a tree, LL
NVLS_BASE = 25e-6  # hwLat, NVLS
NCCL_2_12 = Table({"LL": 3.6e-6, "LL128": 10e-6, "Simple": 8.4e-6}, 0.25, _NETWORK_HOP)
NCCL_2_28 = Table({"LL": 6.6e-6, "LL128": 14e-6, "Simple": 8.4e-6}, 0.5, _NETWORK_HOP)


@dataclass(frozen=True)
class NVLink:
    """One generation: `links` a GPU, `link_bandwidth` bytes/s of each that a ring gets, and NCCL's view.

    `nccl_link` is what NCCL reckons with (topo.h, SM70_NVLINK_BW and so on), `channels` how many it opens,
    `ll_limits` its limits of LL in bytes/s on one, two and more nodes (llMaxBws; the latter for Intel).
    `nvls_share` is what it believes of NVLS (nvlsEfficiency), `nvls_tree` its limit of that on two and on
    more nodes, bytes/s a GPU (perChMaxNVLSTreeBws), over `tree_channels`. `mesh`: GPUs wired to each other.
    """

    name: str
    nccl: Table
    links: int
    nccl_link: float
    link_bandwidth: float
    channels: int
    ll_limits: tuple[float, float, float]
    launch: float
    ll128_share: float = 120 / 128
    exposed_chunk: float = 0.0
    nvls_share: float = 0.0
    nvls_tree: tuple[float, float] = (0.0, 0.0)
    tree_channels: int = 0
    nvls_bandwidth: float = 0.0
    nvls_round: float = 0.0
    mesh: bool = False

    def __post_init__(self) -> None:
        checks.instance("nccl", self.nccl, Table)
        for name in ("links", "channels"):
            checks.integer(name, getattr(self, name), 1, 1024)
        checks.integer("tree_channels", self.tree_channels, 0, 1024)
        for name, count in (("ll_limits", 3), ("nvls_tree", 2)):
            if len(checks.numbers(f"one of {name}", getattr(self, name), 0, 1e15, "bytes/s")) != count:
                raise ValueError(f"{name} must be {count} numbers, not {checks.shown(getattr(self, name))}.")
        for name in ("nccl_link", "link_bandwidth", *["nvls_bandwidth"] * bool(self.nvls_share)):
            checks.number(name, getattr(self, name), 1, 1e15, "bytes/s")
        for value in (self.launch, self.exposed_chunk, self.nvls_share, self.nvls_round):
            checks.number(f"A time or share of {self.name}", value, 0, 10)
        checks.number("ll128_share", self.ll128_share, 0.01, 1)

    def ll_most(self, nodes: int) -> float:
        """NCCL's limit of LL on so many nodes, in bytes/s."""
        return self.ll_limits[min(nodes, 3) - 1]

    def ring(self, gpus: int, node_gpus: int) -> float:
        """Bytes/s around all rings through `gpus` of a node of `node_gpus`."""
        return max(self._links(gpus, node_gpus) * self.link_bandwidth, PCIE)

    def expected(self, gpus: int, node_gpus: int) -> float:
        """The same as NCCL expects it, for its choice."""
        return max(self._links(gpus, node_gpus) * self.nccl_link, PCIE)

    def _links(self, gpus: int, node_gpus: int) -> int:
        return mesh_rings(gpus) if self.mesh and node_gpus == 8 and gpus <= 8 else self.links


@dataclass(frozen=True)
class Network:
    """What NCCL gets between nodes: see `share`, `hop` and `one_peer_share` above."""

    name: str
    share: float
    hop: float
    one_peer_share: float = 1.0

    def __post_init__(self) -> None:
        checks.number("hop", self.hop, 0, 10, "s")
        for name in ("share", "one_peer_share"):
            checks.number(name, getattr(self, name), 0.001, 1.001)


def mesh_rings(gpus: int) -> int:
    """How many rings can pass through the first `gpus` of a DGX-1 at once, each link carrying one each way.

    A ring comes to a GPU over one neighbour's link and leaves over another neighbour's, so a GPU carries no
    more rings than it has links, nor than twice those that are not to its best neighbour. Two GPUs: 1, four:
    4, eight: 6; five: none, because GPU 4 knows only one of the others.
    """
    gpus = checks.integer("gpus", gpus, 1, len(CUBE_MESH))
    links = CUBE_MESH[:gpus, :gpus]
    if gpus == 2:
        return int(links[0, 1])
    of_gpu = links.sum(axis=1)
    return int(min(6, of_gpu.min(), 2 * (of_gpu - links.max(axis=1)).min()))


NVLINKS = {
    "nvlink2": NVLink(
        "NVLink 2 (V100)", NCCL_2_12, 6, 20e9, 22.5e9, 12, (39e9, 39e9, 20.4e9), 20.2e-6,
        ll128_share=0.57, mesh=True,
    ),
    "nvlink3": NVLink(
        "NVLink 3 (A100)", NCCL_2_12, 12, 235e9 / 12, 20e9, 24, (87.7e9, 39e9, 20.4e9), 33.8e-6,
        ll128_share=0.9, exposed_chunk=0.54,
    ),
    "nvlink4": NVLink(
        "NVLink 4 (H100, H200)", NCCL_2_28, 18, 20.6e9, 20.6e9, 16, (141e9, 39e9, 20.4e9), 5.6e-6,
        nvls_share=0.85, nvls_tree=(57.7e9, 45.5e9), tree_channels=16,
        nvls_bandwidth=336e9, nvls_round=4.2e-6,
    ),
    "nvlink5": NVLink(
        "NVLink 5 (B200)", NCCL_2_28, 18, 40.1e9, 40.1e9, 24, (282e9, 39e9, 20.4e9), 16.8e-6,
        nvls_share=0.74, nvls_tree=(96e9, 43.1e9), tree_channels=32,
        nvls_bandwidth=675e9, nvls_round=9.4e-6,
    ),
}  # fmt: skip
NETWORKS = {
    "rdma": Network("InfiniBand, RoCE or EFA with GPUDirect", 0.977, 12.5e-6, 0.835),
    "omni-path": Network("Omni-Path, through host memory", 0.15, 14e-6),
    "tcp": Network("Ethernet through the kernel", 0.94, 50e-6),
}
FITTED = {
    "nvlink2": ("launch", "link_bandwidth", "ll128_share"),
    "nvlink3": ("launch", "exposed_chunk", "ll128_share"),
    "nvlink4": ("launch", "nvls_bandwidth", "nvls_round"),
    "nvlink5": ("launch", "nvls_bandwidth", "nvls_round"),
    "rdma": ("share", "hop", "one_peer_share"),
    "omni-path": ("share",),
}
# Seconds that all_reduce takes more when it is called and timed one by one from Python than in nccl-tests:
# fitted to the H200 rows together with nvlink4. It belongs to the program that measures, not to a fabric.
TORCH_CALL = 19e-6
