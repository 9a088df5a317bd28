"""What a message between two processes costs over MPI: latency, and bandwidth one way and both.

Small messages go *eagerly*: copied into the library's buffers, sent at once, copied out again. Large ones go
by *rendezvous*: a request, an answer, then the network card moves them untouched and a notice says that they
are there. The library takes what is faster. A stream of messages is as fast as the slower of two that work at
the same time: the core that posts them, and the card (or copy engine) that takes one after another. Notice
that on the large end everything is the line rate less its headers, and on the small end software: a library
that also takes GPU memory asks the driver with every message whose memory it is.
"""

from dataclasses import dataclass

from hpclab.models.formulas import FORMULAS, Answer, Case
from hpclab.models.network import Link, framing

TESTS = ("ping_pong", "stream", "both_ways")
CACHE = 2**20  # bytes of a Grace core's second cache (NVIDIA Grace CPU Superchip, data sheet)
INJECT = 192  # libfabric's CXI provider, CXIP_INJECT_SIZE: bytes that a core writes into the card itself


@dataclass(frozen=True)
class Host:
    """The cores and the MPI library, in seconds and bytes/s: fitted, the first three to all fabrics without a
    GPU, the others to GH200."""

    copy: float = 3.2e9  # into and out of eager buffers, both copies and the card's own fetch together
    post: float = 0.1e-6  # what a core spends on one message, sent or received
    gap: float = 0.154e-6  # between two messages in the card, and so the most that copying one for it costs
    query: float = 0.87e-6  # asking whose memory a buffer is, where the library takes GPU memory
    start: float = 3.8e-6  # a copy engine's own time for a copy between GPUs
    near: float = 74e9  # what a core copies from its cache
    far: float = 23.6e9  # and from beyond it


@dataclass(frozen=True)
class Fabric:
    """Processes that are all as far from each other, in seconds and bytes/s."""

    latency: float  # of the smallest message
    bandwidth: float  # of data
    ranks: int = 2  # that take part in a collective
    host: Host = Host()
    call: float = 0.0  # that a core spends on each message besides posting it
    gap: float = Host.gap  # between two messages on the wire
    staging: float = 0.0  # more of `call`, up to INJECT bytes
    shared: bool = False  # no card between them, a core copies

    def wire(self, size: float) -> float:
        """Seconds to move the bytes alone; a core that copies them is faster while they are in its cache."""
        if not self.shared:
            return size / self.bandwidth
        near = min(1.0, CACHE / (2 * size)) if size else 1.0
        return size * (near / self.host.near + (1 - near) / self.bandwidth)

    def core(self, size: float) -> float:
        """Seconds that a core spends on one message of `size` bytes that it sends, or receives."""
        copied = 0.0 if self.shared else min(size / (2 * self.host.copy), self.host.gap)
        return self.host.post + copied + self._calls(size)

    def _calls(self, size: float) -> float:
        """Seconds that a core spends on one message of `size` bytes besides posting and copying it."""
        return self.call + (self.staging if size <= INJECT else 0.0)

    def one_way(self, size: float) -> float:
        """Seconds from one process to the other, half of a ping-pong (osu_latency)."""
        eager, rendezvous = size / self.host.copy, 3 * self.latency  # request, answer, notice
        software = 2 * self._calls(size) + (0.0 if self.shared else min(eager, rendezvous))
        return self.latency + software + self.wire(size)

    def stream(self, size: float, ways: int = 1) -> float:
        """Seconds for each of many messages under way at once, in one direction (osu_bw) or one each way
        (osu_bibw): each core then posts two, while each direction has a wire of its own."""
        core = ways * self.core(size)
        return core + self.wire(size) if self.shared else max(core, self.gap + self.wire(size))


def predict(what: str, size: float, place: Fabric) -> Answer:
    """The time of one message (`what` of TESTS) or of a collective of `size` bytes on `place`.

    A collective is done by the fastest way that `formulas` knows for ranks without a hierarchy.
    """
    if what in TESTS:
        ways = TESTS.index(what)
        return Answer(place.stream(size, ways) if ways else place.one_way(size), "a message")
    case = Case(place.ranks, size, place.one_way)
    times = {name: float(cost(case)) for (of, name), cost in FORMULAS.items() if of == what}
    if not times:
        raise ValueError(f"{what!r:.40} is no collective or test of MPI that has a model here.")
    how = min(times, key=lambda name: times[name])
    own = size / place.ranks / place.host.copy if what == "all_to_all" else 0.0
    return Answer(times[how] + own, how.replace("_", " "))


def network_fabric(
    link: str, ranks: int = 2, *, rate: float = 0.0, gpu_aware: bool = False, gpus: bool = False
) -> Fabric:
    """The Fabric of `ranks` processes, one a node, joined by the network `link` of the catalogue.

    `rate`: the line rate in bytes/s, 0 for the catalogue's. `gpu_aware`: the library also takes GPU memory;
    `gpus`: the messages are in it, where the card reads it. "ethernet-..." is the kernel's TCP: its latency
    and its copying core come on top.
    """
    host, known = Host(), Link.named(link)
    latency, bandwidth = known.latency, rate * framing(link) if rate else known.bandwidth
    if link.startswith("ethernet"):
        kernel = Link.named("kernel-tcp")
        latency, bandwidth = latency + kernel.latency, min(bandwidth, kernel.bandwidth)
    call, staging = host.query * (gpu_aware or gpus), 0.0
    if gpus and link.startswith("slingshot"):
        # What a core writes into the card itself it must first have: a whole copy out of the GPU's memory.
        staging = Link.named("host-staging").latency + host.start
    return Fabric(latency, bandwidth, ranks, call=call, staging=staging)


def node_fabric(gpu_bandwidth: float = 0.0, *, gpu_aware: bool = False) -> Fabric:
    """The Fabric of two processes of one node with Grace processors, or whose GPUs NVLink joins at
    `gpu_bandwidth` bytes/s.

    Between host memories a core of the receiver copies (XPMEM), between GPUs a copy engine (CUDA IPC), which
    a core has to start each time.
    """
    host = Host()
    if not gpu_bandwidth:
        return Fabric(2 * host.post, host.far, call=host.query * gpu_aware, shared=True)
    call = Link.named("host-staging").latency + host.query
    return Fabric(2 * host.post + host.start, gpu_bandwidth, call=call, gap=host.start)
