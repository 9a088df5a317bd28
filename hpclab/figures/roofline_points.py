"""Kernels as points of a roofline."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
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
    """A kernel, named "ladder, step" or "kernel": `intensity` in FLOP per byte, and for each repeat one of
    `rates` in FLOP/s and `bandwidths` in bytes/s. `doubt` is what `quality.doubt` says of them."""

    name: str
    intensity: float
    rates: tuple[float, ...]
    bandwidths: tuple[float, ...]
    origin: Origin
    note: str = ""
    doubt: str = ""

    @property
    def series(self) -> str:
        """The ladder, or the name of a kernel without one."""
        return self.name.partition(", ")[0]

    @property
    def step(self) -> str:
        """The step of the ladder, or the name of a kernel without one."""
        return self.name.split(", ", 1)[-1]

    @property
    def place(self) -> tuple[float, float]:
        """(FLOP per byte, median FLOP/s)."""
        return min(self.intensity, HIGH), statistics.median(self.rates)

    @property
    def on_axis(self) -> bool:
        """Whether it does operations, so that it has a place along the axis."""
        return self.intensity >= LOW


def series_marks(every: Sequence[Kernel]) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each series."""
    marks = zip(dict.fromkeys(kernel.series for kernel in every), cycle(_SERIES), strict=False)
    return {name: {"color": colour, "marker": marker} for name, (colour, marker) in marks}


def mark(kernel: Kernel, series: dict[str, Any]) -> dict[str, Any]:
    """Arguments of ``ax.plot`` for a `kernel` of a `series`: filled where measured, open where modelled."""
    whole = style.mark(kernel.origin, series["color"], pale=bool(kernel.doubt))
    if kernel.origin is Origin.MODELLED:
        whole |= {"marker": series["marker"], "markerfacecolor": style.GROUND, "markeredgewidth": 2}
    elif kernel.origin is Origin.MEASURED:
        whole["marker"] = series["marker"]
    return whole


def kernels(results: Sequence[Result]) -> list[Kernel]:
    """A Kernel for each ladder, step and origin of KernelLadder's Results, with all its repeats."""
    found: dict[tuple[str, Origin], list[Result]] = {}
    for result in checks.instances("results", results, Result):
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


def modelled_kernel(found: KernelTime) -> Kernel:
    """The Kernel of a predicted time."""
    work, note = found.work, f"{found.bound}-bound"
    return Kernel(work.name, work.intensity, (found.rate,), (found.bandwidth,), Origin.MODELLED, note)
