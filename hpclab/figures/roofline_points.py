"""Kernels as points of a roofline: intensity against rate, every repeat, and where the numbers are from."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpclab import checks, quality
from hpclab.figures import style
from hpclab.models.roofline import KernelTime
from hpclab.results import Origin, Result

LOW, HIGH = 0.05, 5000.0  # FLOP per byte: the ends of the axis
_SERIES = (  # of a ladder's steps: neither the roof's colours nor the what-if's, nor a mark of an origin
    ("#D55E00", "o"), ("#CC79A7", "s"), ("#56B4E9", "^"), ("#E69F00", "v"), ("#1a1a1a", "p"),
    ("#0072B2", "h"), ("#767676", "*"),
)  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """A kernel under a roof: `intensity` in FLOP per byte, `rates` in FLOP/s and `bandwidths` in bytes/s,
    one of each for each repeat; `doubt` says why it is worthless. Steps named "ladder, step" are a series."""

    name: str
    intensity: float
    rates: tuple[float, ...]
    bandwidths: tuple[float, ...]
    origin: Origin
    note: str = ""
    doubt: str = ""

    @property
    def series(self) -> str:
        return self.name.partition(", ")[0]

    @property
    def step(self) -> str:
        """Its name within its series."""
        return self.name.split(", ", 1)[-1]

    @property
    def place(self) -> tuple[float, float]:
        """Where it stands: intensity and the median FLOP/s."""
        return min(self.intensity, HIGH), statistics.median(self.rates)

    @property
    def on_axis(self) -> bool:
        """Whether it does operations, so that it has a place along the axis."""
        return self.intensity >= LOW


def looks(every: Sequence[Kernel]) -> dict[str, dict[str, Any]]:
    """A colour and a mark for each series, in the order in which they come."""
    names = dict.fromkeys(kernel.series for kernel in every)
    looks = (_SERIES[number % len(_SERIES)] for number in range(len(names)))
    return {
        name: {"color": colour, "marker": mark} for name, (colour, mark) in zip(names, looks, strict=True)
    }


def look(kernel: Kernel, series: dict[str, Any]) -> dict[str, Any]:
    """Its mark in the `series`' colour and shape: filled where it was measured, open where it is modelled."""
    whole = style.mark(kernel.origin, series["color"], pale=bool(kernel.doubt))
    if kernel.origin is Origin.MODELLED:
        whole |= {"marker": series["marker"], "markerfacecolor": style.GROUND, "markeredgewidth": 2}
    elif kernel.origin is Origin.MEASURED:
        whole["marker"] = series["marker"]
    return whole


def kernels(results: Sequence[Result]) -> list[Kernel]:
    """The kernels of an experiment's Results: one per ladder, step and origin, with all its repeats.

    Taken are those of quantity "time" with the parameters step, bytes and flops, as KernelLadder gives them.
    """
    found: dict[tuple[str, Origin], list[Result]] = {}
    results = checks.instances("results", results, Result)
    for result in results:
        count = result.parameters
        if result.quantity == "time" and result.value > 0 and {"step", "bytes", "flops"} <= set(count):
            name = f"{count.get('ladder', '')}, {count['step']}".removeprefix(", ")
            found.setdefault((name, result.origin), []).append(result)
    return [
        Kernel(
            name,
            same[0].parameters["flops"] / same[0].parameters["bytes"],
            tuple(r.parameters["flops"] / r.value for r in same),
            tuple(r.parameters["bytes"] / r.value for r in same),
            origin,
            note=f"{same[0].component}-bound" if same[0].component else "",
            doubt=quality.doubt([*same, *(r for r in results if "ladder" not in r.parameters)]),
        )
        for (name, origin), same in found.items()
    ]


def modelled(found: KernelTime) -> Kernel:
    """The kernel of a prediction."""
    rates, bandwidths, note = (found.rate,), (found.bandwidth,), f"{found.bound}-bound"
    return Kernel(found.work.name, found.work.intensity, rates, bandwidths, Origin.MODELLED, note)
