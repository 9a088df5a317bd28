"""Time against message size: algorithms as lines, measurements as points, and where the best one changes.

Both axes are logarithmic. On the left latency is all, and lines are flat; on the right bandwidth is, and they
rise with the size. Which algorithm is lowest changes in between.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from hpclab import checks
from hpclab.figures import style
from hpclab.figures.axes import Axes, Scale
from hpclab.figures.collective_side import words
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
    """A modelled curve: `seconds` at `sizes` bytes; `algorithm` gives its colour; dashed if extrapolated."""

    label: str
    sizes: tuple[float, ...]
    seconds: tuple[float, ...]
    algorithm: str = ""
    dashed: bool = False

    def __post_init__(self) -> None:
        sizes = checks.numbers(f"size of {self.label}", self.sizes, 1, 2**60, "bytes")
        times = checks.numbers(f"time of {self.label}", self.seconds, 1e-12, 1e9, "s")
        if len(sizes) != len(times) or len(sizes) < 2:
            raise ValueError(f"The line {self.label} needs a time for each of at least two sizes.")


def draw(
    lines: Sequence[Line],
    points: Sequence[Result] = (),
    *,
    title: str,
    crossing: float | None = None,
) -> str:
    """The figure as SVG. `points` are Results of quantity "time" with a parameter "bytes".

    Points of several algorithms have their algorithm's colour, and its name at the largest size. `crossing`
    is the size at which the two best lines cross. ValueError where there is nothing to draw, or a Result is
    no time of a size.
    """
    checks.instances("lines", lines, Line)
    checks.instance("title", title, str, "text")
    if crossing is not None:
        checks.number("crossing", crossing, 0, 2**60, "bytes")
    for point in checks.instances("points", points, Result):
        if point.quantity != "time" or not point.value > 0 or "bytes" not in point.parameters:
            raise ValueError(f"Only times of a size are drawn here, not {point.quantity} = {point.value}.")
        checks.number("A Result's size", point.parameters["bytes"], 1, 2**60, "bytes")
    sizes = [size for line in lines for size in line.sizes] + [point.parameters["bytes"] for point in points]
    times = [time for line in lines for time in line.seconds] + [point.value for point in points]
    if not sizes or min(sizes) == max(sizes):
        raise ValueError("There is nothing to draw: give lines, or points of at least two sizes.")
    unit, scale = ("ms", 1e3) if max(times) > 0.1 else ("µs", 1e6)
    up = _times(scale * min(times), scale * max(times), unit)
    algorithms = {point.parameters.get("algorithm", "") for point in points}
    named = [line.label for line in lines] + [_label(point) for point in points if len(algorithms) > 1]
    right = 32 + max((style.text_width(label) for label in named), default=0)
    axes = Axes(_sizes(min(sizes), max(sizes)), up, title=title, height=470, left=92, right=max(190, right))
    nameless = _OTHERS if len(lines) > 1 else (style.COLOUR["ideal"],)
    for line, other in zip(lines, cycle(nameless), strict=False):
        colour = COLOURS.get(line.algorithm, other)
        places = [(size, scale * time) for size, time in zip(line.sizes, line.seconds, strict=True)]
        axes.line(places, colour, dashed=line.dashed)
        axes.label(*places[-1], line.label, colour)
    for point in points:
        size = point.parameters["bytes"]
        tip = f"{format_bytes(size)}: {format_seconds(point.value)}, {point.origin}"
        tip += f", {point.source}" if point.source else f" ({point.condition})" if point.condition else ""
        colour = style.COLOUR.get(point.origin, style.INK)
        if len(algorithms) > 1:
            colour = COLOURS.get(point.parameters.get("algorithm", ""), colour)
        axes.mark(point.origin, size, scale * point.value, colour, tip)
    for algorithm in sorted(algorithms) if len(algorithms) > 1 else ():
        _name(axes, [point for point in points if point.parameters.get("algorithm", "") == algorithm], scale)
    if crossing is not None and axes.x.low < crossing < axes.x.high:
        axes.vertical(crossing, f"{format_bytes(crossing)}: here the best one changes")
    _key(axes, points, bool(lines))
    return axes.svg(_described(lines, points, crossing))


def _name(axes: Axes, points: Sequence[Result], scale: float) -> None:
    """An algorithm's name at the median of its points of the largest size."""
    largest = max(point.parameters["bytes"] for point in points)
    time = statistics.median(point.value for point in points if point.parameters["bytes"] == largest)
    colour = COLOURS.get(points[0].parameters.get("algorithm", ""), style.INK)
    axes.label(largest, scale * time, _label(points[0]), colour)


def _label(point: Result) -> str:
    name = point.parameters.get("algorithm", "")
    return f"{words(name) or point.parameters.get('library', 'library')}, {point.origin}"


def _sizes(low: float, high: float) -> Scale:
    """About six ticks at powers of two, named in bytes."""
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    step = max(1, -(-(last - first) // 5))
    at = tuple(2.0**power for power in range(first, last + 1, step))
    return Scale("Message size", low, high, 2, at, tuple(format_bytes(size) for size in at))


def _times(low: float, high: float, unit: str) -> Scale:
    """Whole decades around the times."""
    decades = [10.0**power for power in range(-9, 16)]
    bottom = max((value for value in decades if value <= low), default=decades[0])
    top = next((value for value in decades if value >= high and value > bottom), decades[-1])
    return Scale(f"Time, {unit}", bottom, top, 10)


def _key(axes: Axes, points: Sequence[Result], lines: bool) -> None:
    """What the marks mean, above the axes."""
    x, y = axes.left + style.text_width(axes.y.label) + 24, axes.top - 8 - style.TEXT * 1.2
    for origin in list(Origin):
        if (origin is Origin.MODELLED and lines) or any(point.origin is origin for point in points):
            axes.add(style.mark(origin, x, y - 6) + style.text(x + 14, y, origin))
            x += style.text_width(origin) + 46


def _described(lines: Sequence[Line], points: Sequence[Result], crossing: float | None) -> str:
    said = []
    for line in lines:
        ends = [f"{format_seconds(line.seconds[n])} at {format_bytes(line.sizes[n])}" for n in (0, -1)]
        said.append(f"{line.label}, modelled: {ends[0]}, {ends[1]}.")
    for origin in Origin:
        same = [point for point in points if point.origin is origin]
        if same:
            sources = sorted({point.source for point in same if point.source})
            said.append(f"{len(same)} {origin} points{': ' + '; '.join(sources) if sources else ''}.")
    if crossing is not None:
        said.append(f"The best algorithm changes at {format_bytes(crossing)}.")
    return " ".join(said)
