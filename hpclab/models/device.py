"""What a device can do: its roofs in each precision, as sold and as measured.

Nobody reaches the sold numbers, so there are two bases, and every figure says which it stands on.
"""

import functools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from hpclab import checks
from hpclab.machine import catalogue
from hpclab.results import Origin
from hpclab.units import format_bytes, format_flops

PRECISIONS = {
    "fp64": "float64", "fp32": "float32", "tf32": "TF32", "fp16": "float16", "bf16": "BF16", "fp8": "FP8",
}  # fmt: skip
BASES = ("peak", "achievable")  # what is sold; what a well-made kernel was measured to reach

LAUNCH_OVERHEAD = 2.5e-6
"""Seconds from one kernel of a queue to the next, however little it does: 2.6 µs on an A100 and 2.5 on an
H200, the intercept of time against bytes in Ernst's gpu-small-kernels (te42kyfo/gpu-benches @1c36d509ee71). A
launch that nothing hides, or one from Python, costs more."""


@dataclass(frozen=True, slots=True, repr=False)
class Roof:
    """A device's roofline, two lines: `bandwidth` in bytes/s and `rate` in FLOP/s, on one of BASES. `assumed`
    names those of the two that nobody measured on this device: they are a usual share of what is sold."""

    bandwidth: float
    rate: float
    precision: str
    basis: str
    assumed: tuple[str, ...] = ()

    @property
    def caveat(self) -> str:
        """A sentence on what is assumed of bandwidth and rate, the median of other devices; "" where both
        were measured."""
        usual = {"bandwidth": "stream over memory bandwidth", "rate": "matrix product over peak rate"}
        shares = ", ".join(f"{typical(usual[name]):.0%} of the peak {name}" for name in self.assumed)
        return f"Achievable is assumed: {shares}." if shares else ""

    @property
    def ridge(self) -> float:
        """The intensity, in operations per byte, from which the units and not memory are the bound."""
        return self.rate / self.bandwidth

    def __repr__(self) -> str:
        memory, rate = format_bytes(self.bandwidth, binary=False), format_flops(self.rate, per_second=True)
        lines = f"{memory}/s, {self.precision} {rate}, ridge {self.ridge:.3g}"
        return f"Roof({self.basis}: {lines} FLOP per byte)"


@dataclass(frozen=True, repr=False)
class Device:
    """What a GPU or CPU can do: rates by precision in FLOP/s, bandwidths in bytes/s, times in seconds; `sold`
    are peaks, `reached` what was measured. 0 is unknown, and then not modelled."""

    title: str
    origin: Origin
    sold_bandwidth: float = 0.0
    sold: Mapping[str, float] = field(default_factory=dict)
    reached_bandwidth: float = 0.0
    reached: Mapping[str, float] = field(default_factory=dict)
    cache_bandwidth: float = 0.0  # of the last cache
    latency: float = 0.0  # of memory
    launch_overhead: float = 0.0
    multiprocessors: int = 0
    compute_capability: str = ""

    def __repr__(self) -> str:
        memory = format_bytes(self.sold_bandwidth or self.reached_bandwidth, binary=False)
        return f"Device({self.title}: memory {memory}/s; {', '.join(self.precisions)})"

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those the device has a rate for, from the most exact to the least."""
        return tuple(name for name in PRECISIONS if name in self.sold or name in self.reached)

    @property
    def bases(self) -> tuple[str, ...]:
        """Those of BASES that the device has numbers for: "peak" only where its sold bandwidth is known."""
        return BASES if self.sold_bandwidth else BASES[1:]

    def roof(self, precision: str = "fp32", basis: str = "achievable") -> Roof:
        """The roof in one precision; ValueError where the device has no such units or no such numbers."""
        checks.choice(f"The precision on {self.title}", precision, self.precisions)
        checks.choice(f"The basis on {self.title}", basis, self.bases)
        if basis == "peak":
            return Roof(self.sold_bandwidth, self.sold[precision], precision, basis)
        bandwidth = self.reached_bandwidth or self.sold_bandwidth * typical("stream over memory bandwidth")
        rate = self.reached.get(precision) or self.sold[precision] * typical("matrix product over peak rate")
        assumed = ("bandwidth",) * (not self.reached_bandwidth) + ("rate",) * (precision not in self.reached)
        return Roof(bandwidth, rate, precision, basis, assumed)


def from_catalogue(name: str) -> Device:
    """A device of the catalogue that has a memory bandwidth and a rate; ValueError lists their names."""
    entry = devices()[checks.choice("The device's name", name, devices())]
    value = {key: figure.value for key, figure in entry.figures.items()}
    nvidia, peak = "compute_capability" in value, value["memory_bandwidth"]
    stream = value.get("stream_bandwidth", peak * typical("stream over memory bandwidth"))
    sold = {name: value[name] for name in PRECISIONS if name in value}
    reached = {name: value[f"matmul_{name}"] for name in PRECISIONS if f"matmul_{name}" in value}
    cache = value.get("cache_bandwidth", stream * typical("cache over stream bandwidth")) if nvidia else 0.0
    latency = value.get("memory_latency", typical("memory latency")) if nvidia else 0.0
    return Device(
        entry.title, Origin.PUBLISHED, peak, sold, value.get("stream_bandwidth", 0.0), reached, cache,
        latency, LAUNCH_OVERHEAD, int(value.get("multiprocessors", 0)),
        str(value.get("compute_capability", "")),
    )  # fmt: skip


def devices() -> dict[str, catalogue.Entry]:
    """The catalogue's entries that a roofline can be drawn of, by name, in the order of their titles."""
    known = sorted(catalogue.entries("gpu").items(), key=lambda item: item[1].title)
    return {name: entry for name, entry in known
            if "memory_bandwidth" in entry.figures and PRECISIONS.keys() & entry.figures.keys()}  # fmt: skip


_TYPICAL = {  # what is usual -> pairs of catalogue fields, one over the other
    "stream over memory bandwidth": [("stream_bandwidth", "memory_bandwidth")],
    "cache over stream bandwidth": [("cache_bandwidth", "stream_bandwidth")],
    "matrix product over peak rate": [(f"matmul_{name}", name) for name in PRECISIONS],
    "memory latency": [("memory_latency", "")],
}


@functools.cache
def typical(what: str) -> float:
    """The median over the catalogue's GPUs that have the numbers: one of _TYPICAL, a ratio or seconds.

    A streaming kernel reaches about 0.87 of the sold bandwidth, the last cache gives three times that, a
    library's matrix product reaches three quarters of the sold rate, and memory answers after 0.39 µs.
    """
    return statistics.median(
        entry.value(upper) / (entry.value(lower) if lower else 1.0)
        for entry in catalogue.entries("gpu").values()
        for upper, lower in _TYPICAL[what]
        if upper in entry.figures and (not lower or lower in entry.figures)
    )
