"""Clusters of GPUs to train on: the device, how GPUs of a node are joined, and what joins the nodes.

    cluster = named("dgx-h100")
    cluster.job(8, 8)           # nccl.Job of a data-parallel group, one GPU in each of eight nodes

Notice what `job` does with the network: GPUs of a node that belong to different groups communicate at the
same time, so a group has only its share of the node's network cards.
"""

from dataclasses import dataclass, field, replace

from hpclab import checks
from hpclab.machine import catalogue
from hpclab.models.device import Device, from_catalogue
from hpclab.models.nccl import Job
from hpclab.models.nccl_links import NETWORKS, NVLINKS, Network, NVLink


@dataclass(frozen=True)
class GpuCluster:
    """Nodes of `node_gpus` GPUs with `memory` bytes each; `network_bandwidth` is bytes/s out of a node.

    `network` None: there is one node. Its hash is that of its title and numbers, so that results can be kept
    by cluster.
    """

    gpu: Device = field(hash=False)
    memory: float
    nvlink: NVLink = field(hash=False)
    node_gpus: int
    network: Network | None
    network_bandwidth: float
    title: str

    def __post_init__(self) -> None:
        checks.number("memory", self.memory, 1, 1e15, "bytes")
        checks.integer("node_gpus", self.node_gpus, 1, 1024)
        checks.number("network_bandwidth", self.network_bandwidth, 0, 1e15, "bytes/s")

    def job(self, gpus: int, nodes: int = 1) -> Job:
        """`gpus` on `nodes`, as many on each, while the nodes' other GPUs do the same in their groups."""
        if nodes > 1 and self.network is None:
            raise ValueError(f"{self.title} is one node: {gpus} GPUs do not fit into it.")
        share = self.network_bandwidth * gpus / nodes / self.node_gpus
        return Job(self.nvlink, gpus, nodes, self.network if nodes > 1 else None, share, self.node_gpus)

    def group(self, size: int, stride: int = 1) -> Job:
        """A group of every `stride`-th rank, ranks being counted node after node."""
        inside = min(size, max(1, self.node_gpus // stride))
        return self.job(size, -(-size // inside))


def of(gpu: str, nvlink: str, node_gpus: int, network: str, bandwidth: float, title: str) -> GpuCluster:
    """A cluster of a catalogue GPU; `network` is one of NETWORKS, `bandwidth` its bytes/s out of a node."""
    memory, device = catalogue.entry("gpu", gpu).value("memory"), from_catalogue(gpu)
    if gpu == "a100-40gb":  # the same chip as with 80 GB, where products were measured
        device = replace(device, reached=from_catalogue("a100-80gb").reached)
    return GpuCluster(
        device, memory, NVLINKS[nvlink], node_gpus, NETWORKS[network], bandwidth, title
    )


def _cards(count: int, link: str) -> float:
    return count * catalogue.entry("link", link).value("bandwidth")


_NAMED = {
    "dgx-h100": lambda: of(
        "h100-80gb", "nvlink4", 8, "rdma", _cards(8, "infiniband-ndr"), "DGX H100, 8× NDR"
    ),
    "dgx-a100": lambda: of(
        "a100-80gb", "nvlink3", 8, "rdma", _cards(8, "infiniband-hdr"), "DGX A100, 8× HDR"
    ),
    "a100-800g": lambda: of("a100-80gb", "nvlink3", 8, "rdma", 100e9, "8 A100 a node, 800 Gb/s"),
    "a100-1600g": lambda: of("a100-80gb", "nvlink3", 8, "rdma", 200e9, "8 A100 a node, 1600 Gb/s RoCE"),
    "a100-40gb-1600g": lambda: of(
        "a100-40gb", "nvlink3", 8, "rdma", 200e9, "8 A100 40 GB a node, 1600 Gb/s RoCE"
    ),
    "a100-omni-path": lambda: of(
        "a100-80gb", "nvlink3", 8, "omni-path", _cards(4, "omni-path-100"), "8 A100 a node, 4× Omni-Path"
    ),
    "v100-omni-path": lambda: of(
        "v100-16gb", "nvlink2", 4, "omni-path", _cards(4, "omni-path-100"), "4 V100 a node, 4× Omni-Path"
    ),
    "dgx-a100-40gb": lambda: of(
        "a100-40gb", "nvlink3", 8, "rdma", _cards(8, "infiniband-hdr"), "DGX A100 40 GB, 8× HDR"
    ),
    "dgx-2": lambda: of("v100-16gb", "nvlink2", 16, "rdma", _cards(8, "infiniband-edr"), "DGX-2, 8× EDR"),
}


def named(name: str) -> GpuCluster:
    """One of `names()`; ValueError lists them."""
    return _NAMED[checks.choice("The cluster's name", name, _NAMED)]()


def names() -> tuple[str, ...]:
    return tuple(_NAMED)
