"""What a device can do: its roofs in each precision, as sold and as measured, from the catalogue or from
here.

What to notice: nobody reaches the sold numbers. A streaming kernel gets about nine tenths of the bandwidth,
a library's matrix product about three quarters of the rate, and it differs from vendor to vendor. So there
are two bases, and every figure says which it stands on.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

from hpclab import checks
from hpclab.machine import catalogue
from hpclab.results import Origin

PRECISIONS = {
    "fp64": "float64",
    "fp32": "float32",
    "tf32": "TF32",
    "fp16": "float16",
    "bf16": "BF16",
    "fp8": "FP8",
}
BASES = ("peak", "achievable")  # what is sold; what a well-made kernel was measured to reach

LAUNCH_OVERHEAD = 2.5e-6
"""Seconds from one kernel of a queue to the next, however little it does: 2.6 µs on an A100 and 2.5 on an
H200 (1.6 on an L40, 2.0 on an MI210), from the intercept of time against bytes in Ernst's gpu-small-kernels
(te42kyfo/gpu-benches @1c36d509ee71). A launch that nothing hides, or one from Python, costs more."""


@dataclass(frozen=True, slots=True)
class Roof:
    """Two lines: `bandwidth` in bytes/s and `rate` in FLOP/s, on one of BASES; `assumed` says in words what
    is not measured or stated for this device but taken from others."""

    bandwidth: float
    rate: float
    precision: str
    basis: str
    assumed: tuple[str, ...] = ()

    @property
    def ridge(self) -> float:
        """The intensity, in operations per byte, from which the units and not memory are the bound."""
        return self.rate / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """The most FLOP/s at this arithmetic intensity."""
        return min(self.rate, self.bandwidth * intensity)


@dataclass(frozen=True)
class Device:
    """Rates by precision in FLOP/s, bandwidths in bytes/s, times in seconds; `sold` are peaks, `reached`
    what was measured. `origin` says where the numbers are from: published for named hardware, measured for
    the machine in front of you, which has no `sold` ones."""

    title: str
    origin: Origin
    sold_bandwidth: float = 0.0
    sold: Mapping[str, float] = field(default_factory=dict)
    reached_bandwidth: float = 0.0
    reached: Mapping[str, float] = field(default_factory=dict)
    latency: float = 0.0
    launch_overhead: float = 0.0
    multiprocessors: int = 0
    compute_capability: str = ""
    sources: tuple[str, ...] = ()

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those the device has a rate for, from the most exact to the least."""
        return tuple(name for name in PRECISIONS if name in self.sold or name in self.reached)

    @property
    def bases(self) -> tuple[str, ...]:
        return BASES if self.sold_bandwidth else BASES[1:]

    def roof(self, precision: str = "fp32", basis: str = "achievable") -> Roof:
        """The roof in one precision; ValueError where the device has no such units or no such numbers."""
        checks.choice(f"The precision on {self.title}", precision, self.precisions)
        checks.choice(f"The basis on {self.title}", basis, self.bases)
        if basis == "peak":
            return Roof(self.sold_bandwidth, self.sold[precision], precision, basis)
        bandwidth, rate, assumed = self.reached_bandwidth, self.reached.get(precision, 0.0), []
        if not bandwidth:
            share = typical_share("bandwidth")
            bandwidth = self.sold_bandwidth * share
            assumed.append(f"bandwidth assumed at {share:.0%} of the peak, as measured on other GPUs")
        if not rate:
            share = typical_share("rate")
            rate = self.sold[precision] * share
            assumed.append(
                f"{PRECISIONS[precision]} rate assumed at {share:.0%} of the peak, as on other GPUs"
            )
        return Roof(bandwidth, rate, precision, basis, tuple(assumed))


@functools.cache
def from_catalogue(name: str) -> Device:
    """A device of the catalogue that has a memory bandwidth and a rate; ValueError lists their names."""
    known = devices()
    entry = known[checks.choice("The device's name", name, known)]
    value = {key: figure.value for key, figure in entry.figures.items()}
    return Device(
        entry.title,
        Origin.PUBLISHED,
        value["memory_bandwidth"],
        {name: value[name] for name in PRECISIONS if name in value},
        value.get("stream_bandwidth", 0.0),
        {name: value[f"matmul_{name}"] for name in PRECISIONS if f"matmul_{name}" in value},
        value.get("memory_latency", _typical_latency()),
        LAUNCH_OVERHEAD,
        int(value.get("multiprocessors", 0)),
        str(value.get("compute_capability", "")),
        tuple(dict.fromkeys(figure.source for figure in entry.figures.values())),
    )


def devices() -> dict[str, catalogue.Entry]:
    """The catalogue's entries that a roofline can be drawn of, by name, in the order of their titles."""
    found = {
        name: entry
        for name, entry in catalogue.entries("gpu").items()
        if "memory_bandwidth" in entry.figures and any(rate in entry.figures for rate in PRECISIONS)
    }
    return dict(sorted(found.items(), key=lambda item: item[1].title))


@functools.cache
def typical_share(of: str) -> float:
    """The median share of the sold "bandwidth" or "rate" that was measured, over the catalogue's GPUs that
    have both numbers: about nine tenths of the bandwidth and three quarters of the matrix rate."""
    pairs = [("stream_bandwidth", "memory_bandwidth")]
    if checks.choice("of", of, ("bandwidth", "rate")) == "rate":
        pairs = [(f"matmul_{name}", name) for name in PRECISIONS]
    return statistics.median(
        entry.value(measured) / entry.value(sold)
        for entry in catalogue.entries("gpu").values()
        for measured, sold in pairs
        if measured in entry.figures and sold in entry.figures
    )


def _typical_latency() -> float:
    known = catalogue.entries("gpu").values()
    return statistics.median(e.value("memory_latency") for e in known if "memory_latency" in e.figures)
