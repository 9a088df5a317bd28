"""How long a kernel takes on a device, and what bounds it: bytes, operations, latency or its launch.

The roofline: no kernel does more operations a second than the units can, nor than memory can feed them,
which is its arithmetic intensity (operations per byte of device memory) times the bandwidth. Where the two
lines meet is the ridge; today's lie at tens to hundreds of operations per byte, so that almost everything but
matrix multiplication waits for memory. Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009; Little's
law for bytes in flight: Volkov, Better Performance at Lower Occupancy, GTC 2010.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from hpclab import checks
from hpclab.models.device import PRECISIONS, Device, Roof
from hpclab.models.occupancy import Occupancy, occupancy
from hpclab.units import format_bytes, format_flops, format_seconds

BOUNDS = ("memory", "cache", "compute", "latency", "launch")

TURNAROUND = 1.8
"""Memory latencies that pass from a thread's start to its end when it loads once, works and stores. Together
with the exponent in `predict` it is fitted to Ernst's gpu-stream over gpu-latency (te42kyfo/gpu-benches
@1c36d509ee71): V100, both A100, H100 PCIe and H200, 105 points, 7 % off on average."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a kernel has to do: `bytes` to and from device memory (what the caches do not spare it), `flops`
    operations (a fused multiply-add is two) in `precision`. `cache_bytes` is what the multiprocessors ask of
    the last cache in whole sectors, as the tracer counts them; 0 where not counted."""

    bytes: float
    flops: float
    precision: str = "fp32"
    name: str = ""
    cache_bytes: float = 0.0

    def __post_init__(self) -> None:
        checks.number("bytes of a kernel", self.bytes, 1, 1e18)
        checks.number("flops of a kernel", self.flops, 0, 1e24)
        checks.number("cache_bytes of a kernel", self.cache_bytes, 0, 1e20)
        checks.choice("precision", self.precision, PRECISIONS)

    @property
    def intensity(self) -> float:
        """Arithmetic intensity in operations per byte; 0 for a kernel that only moves data."""
        return self.flops / self.bytes


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel's launch: `blocks` of `threads` threads, `registers` each and `shared_memory` bytes a block;
    `in_flight` are the bytes that one thread asks for before it waits (two float32 loads and a store: 12)."""

    blocks: int
    threads: int
    registers: int = 32
    shared_memory: int = 0
    in_flight: float = 8.0

    def __post_init__(self) -> None:
        checks.integer("blocks", self.blocks, 1, 2**31 - 1)
        checks.integer("threads per block", self.threads, 1, 1024)
        checks.number("bytes in flight per thread", self.in_flight, 1, 4096)


@dataclass(frozen=True, repr=False)
class KernelTime:
    """A kernel's predicted `seconds`, its `bound`, one of BOUNDS, and `parts`, the seconds that each would
    cost alone: those of moving bytes under "memory", or under "latency" where too few bytes are in flight."""

    work: Work
    roof: Roof
    seconds: float
    bound: str
    parts: Mapping[str, float]
    occupancy: Occupancy | None = None

    @property
    def bandwidth(self) -> float:
        """Bytes per second, launch included."""
        return self.work.bytes / self.seconds

    @property
    def rate(self) -> float:
        """FLOP per second, launch included."""
        return self.work.flops / self.seconds

    def __str__(self) -> str:
        work, roof, size = self.work, self.roof, partial(format_bytes, binary=False)
        reason = {
            "memory": f"{size(work.bytes)} at {size(roof.bandwidth)}/s",
            "compute": f"{format_flops(work.flops)} at {format_flops(roof.rate, per_second=True)}",
            "cache": f"{size(work.cache_bytes)} in sectors from the last cache",
            "latency": "too few bytes are in flight to keep memory busy",
            "launch": "the launch takes longer than the work",
        }[self.bound]
        return f"{work.name or 'kernel'}: {format_seconds(self.seconds)}, {self.bound}-bound ({reason})"

    __repr__ = __str__


def predict(
    work: Work, device: Device, launch: Launch | None = None, basis: str = "achievable"
) -> KernelTime:
    """Seconds and bound of `work` on `device`, modelled.

    time = launch overhead + max(flops / rate, bytes / bandwidth, cache bytes / cache bandwidth). With
    `launch`, on an NVIDIA GPU, Little's law limits the bandwidth to bytes in flight over the time they are
    under way; where it meets the roof, 1/b³ = 1/roof³ + 1/little³, because requests do not arrive evenly.
    """
    checks.instance("work", work, Work)
    if launch is not None:
        checks.instance("launch", launch, Launch)
    roof = checks.instance("device", device, Device).roof(work.precision, basis)
    rate, bandwidth, little, resident = roof.rate, roof.bandwidth, math.inf, None
    if launch is not None and device.compute_capability:
        shape = launch.threads, launch.registers, launch.shared_memory
        resident = occupancy(device.compute_capability, *shape)
        blocks = min(launch.blocks, resident.blocks * device.multiprocessors)  # under way at once
        little = blocks * launch.threads * launch.in_flight / (device.latency * TURNAROUND)
        bandwidth = (roof.bandwidth**-3 + little**-3) ** (-1 / 3)
        rate *= min(1.0, launch.blocks / device.multiprocessors)
    feed = "latency" if little < roof.bandwidth else "memory"
    busy = {"compute": work.flops / rate, feed: work.bytes / bandwidth}
    if work.cache_bytes and device.cache_bandwidth:
        busy["cache"] = work.cache_bytes / device.cache_bandwidth
    longest = max(busy, key=busy.__getitem__)
    bound = longest if busy[longest] >= device.launch_overhead else "launch"
    parts = {**busy, "launch": device.launch_overhead}
    return KernelTime(work, roof, device.launch_overhead + busy[longest], bound, parts, resident)
