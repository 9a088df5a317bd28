"""Time against message size, logarithmic: algorithms as lines, measurements as points, and their crossing."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy
from matplotlib.axes import Axes

from hpclab import checks, quality
from hpclab.figures import direct_labels, scales, style, wording
from hpclab.figures.direct_labels import Label
from hpclab.models import presets
from hpclab.models.communication import Fabric, Job, predict
from hpclab.results import Origin, Result
from hpclab.units import format_bytes, format_seconds

COLOURS = {  # the same algorithm has the same colour everywhere; its line carries its name too
    "ring": "#0072B2", "binomial_tree": "#E69F00", "double_binary_tree": "#009E73",
    "recursive_doubling": "#CC79A7", "recursive_halving": "#CC79A7", "halving_doubling": "#56B4E9",
    "star": "#8c8c8c", "hierarchical": "#D55E00", "direct": "#8c8c8c", "pairwise": "#0072B2",
    "bruck": "#E69F00",
}  # fmt: skip
_OTHERS = (*dict.fromkeys(colour for colour in COLOURS.values() if colour != "#8c8c8c"), style.INK)


@dataclass(frozen=True)
class Line:
    """A modelled curve: `seconds` at two or more `sizes` in bytes; `algorithm` gives its colour."""

    label: str
    sizes: tuple[float, ...]
    seconds: tuple[float, ...]
    algorithm: str = ""


def line(name: str, time: Callable[[float], Any], sizes: Iterable[float]) -> Line:
    """The Line of `time(size)`, seconds at `sizes` in bytes; `name` is an algorithm or a label."""
    every = tuple(sorted(set(sizes)))
    label = f"{wording.spelled(name)}, predicted" if name in COLOURS else name
    return Line(label, every, tuple(float(time(size)) for size in every), name)


def through(times: Mapping[str, Callable[[float], Any]], points: Sequence[Result]) -> list[Line]:
    """The Lines of `times`, functions of a size by algorithm, over the message sizes of `points`."""
    sizes = [point.parameters["bytes"] for point in points]
    some = numpy.geomspace(min(sizes), max(sizes), 13).tolist()
    return [line(name, time, some) for name, time in times.items()]


def library(machine: str, ranks: int, sizes: Sequence[float]) -> Line:
    """The Line of an all-reduce by NCCL or MPI on `ranks` of a `machine` of `models.presets`, modelled."""
    place = checks.instance("place", presets.PRESETS[machine].place(ranks), Job | Fabric, "a known machine")
    return line(f"{ranks} × {machine}", lambda n: predict("all_reduce", n, place).seconds, sizes)


def draw(
    ax: Axes, lines: Sequence[Line], points: Sequence[Result] = (), *,
    title: str = "", crossing: float | None = None,
) -> Axes:  # fmt: skip
    """Draw modelled `lines`, and `points`: Results of quantity "time" with a parameter "bytes". Points of
    several algorithms have their colour and name. `crossing` is the size in bytes at which the two best lines
    cross. ValueError where there is nothing to draw, or a Result is no time of a size."""
    checks.instances("lines", lines, Line)
    for point in checks.instances("points", points, Result):
        if point.quantity != "time" or not point.value > 0 or "bytes" not in point.parameters:
            raise ValueError(f"Only times of a size are drawn here, not {point.quantity} = {point.value}.")
    sizes = [size for line in lines for size in line.sizes] + [point.parameters["bytes"] for point in points]
    times = [time for line in lines for time in line.seconds] + [point.value for point in points]
    if not sizes or min(sizes) == max(sizes):
        raise ValueError("There is nothing to draw: give lines, or points of at least two sizes.")
    scales.logarithmic(ax, "y", "s", "Time")
    scales.message_sizes(ax, min(sizes) / 1.15, max(sizes) * 1.15)
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    ax.set_ylim(10.0**low, 10.0 ** max(high, low + 1))
    labels, said = list[Label](), list[str]()
    nameless = _OTHERS if len(lines) > 1 else (style.COLOUR["ideal"],)
    for line, other in zip(lines, cycle(nameless), strict=False):
        colour = COLOURS.get(line.algorithm, other)
        ax.plot(line.sizes, line.seconds, color=colour, label=line.label)
        labels.append(Label(line.sizes[-1], line.seconds[-1], line.label, colour))
        ends = [f"{format_seconds(line.seconds[n])} at {format_bytes(line.sizes[n])}" for n in (0, -1)]
        said.append(f"{line.label}, modelled: {ends[0]}, {ends[1]}.")
    algorithms = sorted({point.parameters.get("algorithm", "") for point in points})
    for algorithm in algorithms:
        same = [point for point in points if point.parameters.get("algorithm", "") == algorithm]
        names = _marks(ax, same, COLOURS.get(algorithm, "") if len(algorithms) > 1 else "")
        labels += names * (len(algorithms) > 1)
    direct_labels.at_right(ax, labels)
    crossed = crossing is not None and min(sizes) < crossing < max(sizes)
    if crossing and crossed:
        style.vertical(ax, crossing, f"{format_bytes(crossing)}: here the best one changes")
    style.key(ax, [*(point.origin for point in points), *[Origin.MODELLED] * bool(lines)])
    counts = {origin: sum(point.origin is origin for point in points) for origin in Origin}
    text = " ".join([*said, *(f"{count} {origin} points." for origin, count in counts.items() if count)])
    if crossing:
        text += f" The best algorithm changes at {format_bytes(crossing)}."
    return style.describe(ax, wording.doubted(title, quality.doubt(points)), text, above=int(crossed))


def _marks(ax: Axes, points: Sequence[Result], colour: str) -> list[Label]:
    """Draw all repeats of one algorithm, by origin; return its labels, at the median of the largest size."""
    names = []
    for origin in Origin:
        if same := [point for point in points if point.origin is origin]:
            mark = style.mark(origin, colour, pale=bool(quality.doubt(same)))
            sizes = [point.parameters["bytes"] for point in same]
            style.plot(ax, sizes, [point.value for point in same], mark, map(_tip, same))
            ends = [p.value for p in same if p.parameters["bytes"] == max(sizes)]
            name = wording.spelled(same[0].parameters.get("algorithm", "")) or "library"
            text = f"{name}, {origin}"
            names.append(Label(max(sizes), statistics.median(ends), text, colour or style.INK))
    return names


def _tip(point: Result) -> str:
    text = f"{format_bytes(point.parameters['bytes'])}: {format_seconds(point.value)}, {point.origin}"
    return text + f" ({point.condition})" * bool(point.condition)
