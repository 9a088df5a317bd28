"""What a collective of NCCL costs: the algorithm and protocol that NCCL would take, and the time that takes.

NCCL picks of several ways to do one collective the one that its own table of latencies and bandwidths expects
to be fastest (`src/graph/tuning.cc`). That table is right about the order and not about the time, so here it
only chooses; the time comes from the parts below. Notice four things that no straight line has:

- a switch of protocol: LL answers soonest and wastes half of every line, Simple fills the link and waits;
- NVLS, where the NVSwitch adds: each GPU sends S (1 + 1/n) bytes instead of 2 S (n − 1)/n, in chunks that
  NCCL makes larger as the message grows, so that the bandwidth rises in steps;
- where GPUs are wired to each other, the number of rings depends on how many take part;
- a send gets one to sixteen channels, each as fast as a block of threads copies, whatever the link.

Steps, bus factors: NVIDIA/nccl-tests, doc/PERFORMANCE.md. Constants of NCCL: v2.12.12 for V100 and A100,
v2.28.3 for what is newer (tuning.cc, topo.h, enqueue.cc, nvls.cc). What is fitted is in `nccl_links.py`.
"""

from dataclasses import dataclass
from math import ceil, log2

from hpclab import checks
from hpclab.models.formulas import Answer, bus_factor
from hpclab.models.nccl_links import HOPS, NETWORK_HOP, NVLS_BASE, TREE_HOP, Network, NVLink, in_turn

COPY = "copy"  # what a GPU writes into another's memory, as p2pBandwidthLatencyTest does
COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "reduce", "send_recv")
_LL_BYTES = 8 * 512  # bytes each must have times a channel's threads, per rank, before a further one opens
Way = tuple[float, float]
"""A way to do a collective: seconds that NCCL expects, and those that it takes without the launch."""


@dataclass(frozen=True)
class Job:
    """Where the ranks of NCCL are: `gpus` on `nodes`, as many on each, and what joins them."""

    nvlink: NVLink
    gpus: int
    nodes: int = 1
    network: Network | None = None  # where there are several nodes
    network_bandwidth: float = 0.0  # bytes/s out of each
    node_gpus: int = 8  # that there are in a node
    host: float = 0.0  # seconds that the calling program adds to each call
    nvls: bool = True  # False as NCCL_NVLS_ENABLE=0

    @property
    def per_node(self) -> int:
        """GPUs of each node that take part."""
        return self.gpus // self.nodes

    @property
    def wire(self) -> float:
        """Bytes/s out of a node that NCCL gets from the network; infinite on one node."""
        return self.network_bandwidth * self.network.share if self.network else float("inf")

    @property
    def hop(self) -> float:
        """Seconds from a GPU to one of the next node; 0 on one node."""
        return self.network.hop if self.network else 0.0

    def ring_bandwidth(self, steps: int) -> float:
        """Bytes/s around the rings in a collective of `steps`: NVLink less the exposed part of a chunk, the
        network, or both in turn."""
        if self.per_node == 1:
            return self.wire
        inside = self.nvlink.ring(self.per_node, self.node_gpus)
        inside /= 1 + self.nvlink.exposed_chunk / max(steps, 1)
        return inside if self.nodes == 1 else in_turn(inside, self.wire)


def predict(collective: str, size: float, job: Job) -> Answer:
    """The time of one collective of `size` bytes (as nccl-tests counts them) and the way it is done."""
    checks.choice("collective", collective, (*COLLECTIVES, COPY))
    if collective == COPY:
        return Answer(size / (job.nvlink.link_bandwidth * job.nvlink.links), "a copy")
    if collective in ("all_to_all", "send_recv"):
        return Answer(_pairs(collective, size, job), "pairs, Simple")
    # LL128 needs links from GPU to GPU, and across nodes GPU and network card behind one PCIe switch, which
    # no row says (tuning.cc).
    direct = job.nodes == 1 and not job.nvlink.rings(job.gpus, job.node_gpus)[1]
    protocols = [name for name in HOPS if direct or name != "LL128"]
    ways = {f"ring, {name}": _ring(collective, size, job, name) for name in protocols}
    if collective == "all_reduce":
        ways["tree, LL"] = _tree(size, job)
        added = job.nvls and job.nvlink.nvls_share and job.nvlink.has_switch(job.node_gpus)
        if job.per_node > 2 and added:
            ways["NVLS"] = _nvls(size, job) if job.nodes == 1 else _nvls_tree(size, job)
    how = min(ways, key=lambda way: ways[way][0])
    return Answer(job.nvlink.launch + job.host + ways[how][1], how)


def _ring(collective: str, size: float, job: Job, protocol: str) -> Way:
    """Any other collective around the rings with this protocol; an all-reduce goes round twice."""
    rounds = 2 if collective == "all_reduce" else 1
    steps, across = rounds * (job.gpus - 1), rounds * (job.nodes - 1)  # of these over the network
    nvlink, table = job.nvlink, job.nvlink.nccl
    moved = bus_factor(collective, job.gpus) * size
    bandwidth = job.ring_bandwidth(steps)
    expected = min(nvlink.expected(job.per_node, job.node_gpus), job.wire)
    waits = (steps - across) * HOPS[protocol]
    believed, real = {
        "LL": (min(nvlink.ll_most(job.nodes), expected * table.ll_share), _ll(size, job, bandwidth)),
        "LL128": (expected * 0.92, bandwidth * nvlink.ll128_share),
        "Simple": (expected, bandwidth),
    }[protocol]
    belief = table.base[protocol] + waits + across * NETWORK_HOP[protocol]
    hop = (job.hop if protocol == "Simple" else NETWORK_HOP[protocol]) * across
    return belief + moved / believed, waits + hop + moved / real


def _ll(size: float, job: Job, bandwidth: float) -> float:
    """Bytes/s of LL: a further channel is opened only once the message is large enough for it."""
    channels = min(max(1, ceil(size / (_LL_BYTES * job.gpus))), job.nvlink.channels)
    most = job.nvlink.ll_most(job.nodes) * channels / job.nvlink.channels
    return min(most, bandwidth * job.nvlink.nccl.ll_share)


def _tree(size: float, job: Job) -> Way:
    """All-reduce with LL: up a double binary tree of the nodes, a chain inside each, and down again."""
    waits = 2 * ((job.per_node - 1) * HOPS["LL"] + ceil(log2(job.nodes)) * TREE_HOP)
    bandwidth = job.ring_bandwidth(2 * (job.gpus - 1))
    believed = min(bandwidth * 0.92 / 3.8, job.nvlink.ll_most(job.nodes)) / 2
    return job.nvlink.nccl.base["LL"] + waits + size / believed, waits + size * 2 / _ll(size, job, bandwidth)


def _nvls(size: float, job: Job) -> Way:
    """An all-reduce on one node, which the NVSwitch adds and multicasts, a round of chunks after another: one
    for each channel and GPU.

    Two rounds more fill and drain the pipeline (adding, spreading).
    """
    nvlink, at_once = job.nvlink, job.nvlink.channels * job.gpus
    # A smaller chunk where the message is less than so many rounds of the larger one (enqueue.cc).
    chunk = _chunk(131072, ((65536, 64), (32768, 8), (16384, 2)), size / at_once)
    believed = nvlink.expected(job.gpus, job.node_gpus) * nvlink.nvls_share * (job.gpus - 1) / job.gpus
    per_round = _added(at_once * chunk, job)
    return NVLS_BASE + size / believed, (size / (at_once * chunk) + 2) * per_round


def _nvls_tree(size: float, job: Job) -> Way:
    """An all-reduce on several nodes: each adds in its NVSwitch and a double binary tree joins them, a round
    on each of its levels.

    The network carries each byte once each way between two nodes, twice among more, where half of the nodes
    have two below them.
    """
    nvlink, two = job.nvlink, job.nodes == 2
    at_once, levels = nvlink.tree_channels * job.per_node, ceil(log2(job.nodes))
    chunk = _chunk(65536 if job.nodes >= 4 else 131072, ((65536, 4), (32768, 1)), size / at_once)
    factor = bus_factor("all_reduce", job.gpus)
    limit = nvlink.nvls_tree[not two] * job.per_node / factor
    wire = job.wire if two else job.wire / 2
    heads = (job.per_node - 1) / job.per_node
    inside = 2 * nvlink.expected(job.per_node, job.node_gpus) * nvlink.nvls_share * heads
    believed = min(limit, min(inside, job.wire * (2 if two else 1)) / factor)
    belief = NVLS_BASE + 2 * int(log2(job.nodes)) * NETWORK_HOP["Simple"] + size / believed
    per_round = max(_added(at_once * chunk, job), at_once * chunk / min(wire, limit))
    return belief, 2 * levels * job.hop + (size / (at_once * chunk) + 2 * levels + 2) * per_round


def _chunk(largest: int, smaller: tuple[tuple[int, int], ...], share: float) -> int:
    """Bytes of a chunk, for a message of which `share` bytes fall to each channel and GPU."""
    for size, rounds in smaller:
        if share < rounds * largest and largest > size:
            largest = size
    return largest


def _added(at_once: int, job: Job) -> float:
    """Seconds of a round of `at_once` bytes in the NVSwitch; each GPU sends 1 + 1/n of them."""
    return job.nvlink.nvls_round + at_once * (1 + 1 / job.per_node) / job.nvlink.nvls_bandwidth


def _pairs(collective: str, size: float, job: Job) -> float:
    """Seconds of an all-to-all, or a send from each GPU to the next: its links, channels, share of the wire.

    Channels of one send: over several nodes two, and one where all ranks' would be more than four times those
    there are, four a GPU and its network card (paths.cc, ncclTopoGetNchannels; connect.cc). Within a node a
    fair part of all, doubled while each has more than 16 MiB to move (enqueue.cc, addP2pToPlan): a send of
    128 MiB can take as long as one of 64.
    """
    n, inside, nvlink = job.gpus, job.per_node, job.nvlink
    near, far, part = inside - 1, n - inside, size / n
    if collective == "send_recv":
        near, far, part = int(inside > 1), int(job.nodes > 1), size
    opened = min(4 * inside, nvlink.channels)
    each = 2 if 2 * n <= 4 * opened else 1
    if job.nodes == 1:
        most = 2 ** int(log2(nvlink.channels))
        each = max(1, min(most, 2 ** int(log2(nvlink.pair_channels / n))))
        while part / each > 2**24 and each <= most / 2:
            each *= 2
    time = nvlink.launch + job.host + max(near, 1) * HOPS["Simple"]
    links = nvlink.ring(max(inside, 2), job.node_gpus)
    over_nvlink = near * part / min(links, max(near, 1) * each * nvlink.channel)
    if not far or job.network is None:
        return time + over_nvlink
    copied = min(far * each, opened) * nvlink.channel
    wire = in_turn(copied, job.wire / inside, slots=8)
    return time + (job.nodes - 1) * job.hop + max(over_nvlink, far * part / wire)
