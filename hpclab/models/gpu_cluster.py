"""Clusters of GPUs to train on: the device, how GPUs of a node are joined, and what joins the nodes."""

from dataclasses import dataclass, field, replace

from hpclab import checks
from hpclab.machine import catalogue
from hpclab.models.device import Device, from_catalogue
from hpclab.models.nccl import Job
from hpclab.models.nccl_links import NETWORKS, NVLINKS, Network, NVLink


@dataclass(frozen=True)
class GpuCluster:
    """Nodes of `node_gpus` GPUs with `memory` bytes each; `network_bandwidth` is bytes/s out of a node.

    Its hash is that of its title and numbers, so that results can be kept by cluster.
    """

    gpu: Device = field(hash=False)
    memory: float
    nvlink: NVLink = field(hash=False)
    node_gpus: int
    network: Network
    network_bandwidth: float
    title: str

    def job(self, gpus: int, nodes: int = 1) -> Job:
        """The Job of one group of `gpus` on `nodes`, as many on each. It has only its share of the nodes'
        network cards, because the other GPUs communicate in their own groups at the same time."""
        share = self.network_bandwidth * gpus / nodes / self.node_gpus
        return Job(self.nvlink, gpus, nodes, self.network if nodes > 1 else None, share, self.node_gpus)

    def group(self, size: int, stride: int = 1) -> Job:
        """The Job of a group of `size` ranks, every `stride`-th one, ranks being counted node after node."""
        inside = min(size, max(1, self.node_gpus // stride))
        return self.job(size, -(-size // inside))


_NAMED = {  # GPU, NVLink, GPUs a node; network, cards and their link in a node; title
    "dgx-h100": ("h100-80gb", "nvlink4", 8, "rdma", 8, "infiniband-ndr", "DGX H100, 8× NDR a node"),
    "dgx-a100": ("a100-80gb", "nvlink3", 8, "rdma", 8, "infiniband-hdr", "DGX A100, 8× HDR a node"),
    "dgx-a100-40gb": ("a100-40gb", "nvlink3", 8, "rdma", 8, "infiniband-hdr", "DGX A100 40 GB, 8× HDR"),
    "a100-800g": ("a100-80gb", "nvlink3", 8, "rdma", 4, "infiniband-hdr", "8 A100 a node, 800 Gb/s"),
    "a100-omni-path": ("a100-80gb", "nvlink3", 8, "omni-path", 4, "omni-path-100", "8 A100, 4× Omni-Path"),
    "v100-omni-path": ("v100-16gb", "nvlink2", 4, "omni-path", 4, "omni-path-100", "4 V100, 4× Omni-Path"),
    "dgx-2": ("v100-16gb", "nvlink2", 16, "rdma", 8, "infiniband-edr", "DGX-2, 8× EDR a node"),
}  # fmt: skip


def named(name: str) -> GpuCluster:
    """The cluster `name` ("dgx-h100") with the catalogue's GPUs and links; ValueError lists the names."""
    known = _NAMED[checks.choice("The cluster's name", name, _NAMED)]
    gpu, nvlink, node_gpus, network, cards, link, title = known
    device, memory = from_catalogue(gpu), catalogue.entry("gpu", gpu).value("memory")
    if gpu == "a100-40gb":  # the same chip as with 80 GB, where products were measured
        device = replace(device, reached=from_catalogue("a100-80gb").reached)
    bandwidth = cards * catalogue.entry("link", link).value("bandwidth")
    return GpuCluster(device, memory, NVLINKS[nvlink], node_gpus, NETWORKS[network], bandwidth, title)
