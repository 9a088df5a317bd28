"""Kernels as points of a roofline: intensity against rate, every repeat, and where the numbers are from."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from hpclab import checks, quality
from hpclab.figures import style
from hpclab.models.roofline import Prediction
from hpclab.results import Origin, Result

LOW, HIGH = 0.05, 5000.0  # FLOP per byte: the ends of the axis


@dataclass(frozen=True)
class Kernel:
    """A kernel under a roof: `intensity` in FLOP per byte, `rates` in FLOP/s and `bandwidths` in bytes/s,
    one of each for each repeat; `colour` sets one apart from the others, `doubt` says why it is worthless."""

    name: str
    intensity: float
    rates: tuple[float, ...]
    bandwidths: tuple[float, ...]
    origin: Origin
    colour: str = style.INK
    note: str = ""
    doubt: str = ""

    @property
    def place(self) -> tuple[float, float]:
        """Where it stands: intensity and the median FLOP/s, or those at the left edge without operations."""
        return self.at(statistics.median(self.rates), statistics.median(self.bandwidths))

    def at(self, rate: float, bandwidth: float) -> tuple[float, float]:
        return (min(self.intensity, HIGH), rate) if self.intensity >= LOW else (LOW, bandwidth * LOW)


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


def modelled(found: Prediction, colour: str = style.INK) -> Kernel:
    """The kernel of a prediction."""
    rates, bandwidths, note = (found.rate,), (found.bandwidth,), f"{found.bound}-bound"
    return Kernel(found.work.name, found.work.intensity, rates, bandwidths, Origin.MODELLED, colour, note)


def joined(names: Sequence[str]) -> str:
    """ "transpose: tiled, padded" from "transpose, tiled" and "transpose, padded"."""
    by_ladder: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        ladder, _, step = name.partition(", ")
        by_ladder.setdefault(ladder, []).append(step)
    text = "; ".join(": ".join(filter(None, (name, ", ".join(steps)))) for name, steps in by_ladder.items())
    return text if len(text) < 48 else "; ".join(by_ladder)
