"""Speedups from measured times, the one computation of them, and modelled curves to hold beside."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy

from hpclab import checks
from hpclab.models.scaling import Fit, Law
from hpclab.results import Origin, Result, select

_POINTS = 33  # of a curve: smooth to the eye, and small enough to redraw at every key press


def speedups(results: Sequence[Result], along: str = "nodes") -> list[Result]:
    """The speedup of every makespan over the median makespan at `along` = 1, each origin over its own.

    `along` is the parameter that counts (nodes, threads, processes). For weak scaling it is the scaled
    speedup: n times the work in this time, over the time of one.
    """
    checks.instance("along", along, str, "the name of a parameter, such as threads")
    whole = [result for result in select(results, "makespan") if not result.component and result.value > 0]
    chosen = [result for result in whole if along in result.parameters]
    ratios = []
    for origin in Origin:
        same = [result for result in chosen if result.origin is origin]
        single = [result.value for result in same if result.parameters[along] == 1]
        for result in same if single else ():
            work = result.parameters[along] if result.parameters.get("scaling") == "weak" else 1
            value = work * statistics.median(single) / result.value
            ratios.append(replace(result, quantity="speedup", value=value))
    return ratios


def typical(points: Sequence[Result], along: str, origin: Origin = Origin.MEASURED) -> dict[int, float]:
    """The speedup of the median time at each count, smallest first; `points` are those of `speedups`."""
    slownesses: dict[int, list[float]] = {}
    for point in points:
        if point.origin is origin:
            slownesses.setdefault(point.parameters[along], []).append(1 / point.value)
    return {count: 1 / statistics.median(slownesses[count]) for count in sorted(slownesses)}


@dataclass(frozen=True)
class Curve:
    """A modelled curve: `speedup` (and, if known, `low` and `high`) at `nodes`; beyond `fitted_to` nodes it
    is an extrapolation. `name` says what it is (amdahl, gustafson, usl, what if) and so its colour."""

    name: str
    label: str
    nodes: tuple[float, ...]
    speedup: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    fitted_to: float = 0.0

    @classmethod
    def of_law(cls, law: Law, most: int) -> Curve:
        """The curve of a law with chosen parameters, up to `most` nodes: all of it a model."""
        nodes = grid(most)
        return cls("what if", "What if", nodes, tuple(law.speedup(nodes).tolist()))

    @classmethod
    def of_fit(cls, fit: Fit, most: int) -> Curve:
        """The curve of a fitted law up to `most` nodes, with the band that its bootstrap gives."""
        nodes = grid(most)
        low, high = fit.band(nodes)
        speedup = tuple(fit.law.speedup(nodes).tolist())
        return cls(fit.law.name.lower(), fit.law.name, nodes, speedup, tuple(low), tuple(high), fit.largest)

    @classmethod
    def through(cls, modelled: Sequence[Result], along: str, name: str, label: str) -> Curve:
        """The curve through the speedups of modelled makespans, one of which must have `along` = 1."""
        points = sorted((one.parameters[along], one.value) for one in speedups(modelled, along))
        counts, values = zip(*points, strict=True)
        return cls(name, label, counts, values)

    @classmethod
    def of_store(cls, knee: float, most: int) -> Curve:
        """The curve of nodes that read one store: speedup n up to `knee` nodes, then constant, to `most`."""
        knee = max(knee, 1.0)
        nodes = tuple(sorted({*grid(most), min(knee, float(most))}))
        return cls("modelled", "Store", nodes, tuple(min(count, knee) for count in nodes), fitted_to=most)

    def at(self, nodes: float) -> tuple[float, float | None, float | None]:
        """Speedup, lower and upper end of the band at `nodes`, between the curve's own points."""
        nodes = checks.number("nodes", nodes, 1, 1e7)
        low, high = (float(numpy.interp(nodes, self.nodes, b)) if b else None for b in (self.low, self.high))
        return float(numpy.interp(nodes, self.nodes, self.speedup)), low, high


def grid(most: int) -> tuple[float, ...]:
    """Node counts from 1 to `most` at which to evaluate a curve: evenly where few, by ratio where many."""
    end = checks.number("most", most, 1, 65_536, "nodes")
    if end <= 16:
        return tuple(1 + step * (end - 1) / (_POINTS - 1) for step in range(_POINTS))
    return tuple(end ** (step / (_POINTS - 1)) for step in range(_POINTS))
