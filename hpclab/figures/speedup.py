"""The speedup figure: what was measured, what was emulated, and the modelled curves through them.

Every repeat is a mark of its own. Curves are dashed beyond the runs they were fitted to, with a band for
their uncertainty. The machine's core count is a vertical line: beyond it more nodes share the same cores, so
the measured points must flatten while the emulated ones need not.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy

from hpclab import checks
from hpclab.figures import style
from hpclab.figures.axes import Axes, Scale, predicted
from hpclab.models.scaling import Fit, Law
from hpclab.results import Origin, Result

_POINTS = 33  # per curve: smooth to the eye, and small enough to redraw at every key press


@dataclass(frozen=True)
class Curve:
    """A modelled curve: `speedup` (and, if known, `low` and `high`) at `nodes`, fitted up to `fitted_to`.

    `name` is its colour in ``style.COLOUR``; beyond `fitted_to` nodes it is an extrapolation, drawn dashed.
    """

    name: str
    label: str
    nodes: tuple[float, ...]
    speedup: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    fitted_to: float = 0.0

    def __post_init__(self) -> None:
        checks.choice("The name of a curve", self.name, style.COLOUR)
        checks.number(f"fitted_to of {self.label}", self.fitted_to, 0, 1e12)
        lines = [
            checks.numbers(f"one of {name}", getattr(self, name), 0, 1e12)
            for name in ("nodes", "speedup", "low", "high")
        ]
        if not lines[0] or {len(line) for line in lines} - {len(lines[0])} - {0} or not lines[1]:
            raise ValueError(
                f"The curve {self.label} needs a speedup, and a band if any, at each of its nodes."
            )

    @classmethod
    def of_law(cls, law: Law, most: int, name: str = "what if", label: str = "What if") -> Curve:
        """The curve of a law with chosen parameters, up to `most` nodes: all of it a model."""
        nodes = grid(most)
        checks.instance("law", law, Law, "a law, such as Amdahl(0.1)")
        return cls(name, label, nodes, tuple(law.speedup(nodes).tolist()))

    @classmethod
    def of_fit(cls, fit: Fit, most: int) -> Curve:
        """The curve of a fitted law up to `most` nodes, with the band that its bootstrap gives."""
        nodes = grid(most)
        checks.instance("fit", fit, Fit)
        low, high = fit.band(nodes)
        speedup = tuple(fit.law.speedup(nodes).tolist())
        return cls(fit.law.name.lower(), fit.law.name, nodes, speedup, tuple(low), tuple(high), fit.largest)

    def at(self, nodes: float) -> tuple[float, float | None, float | None]:
        """Speedup, lower and upper end of the band at `nodes`, between the curve's own points."""
        nodes = checks.number("nodes", nodes, 1, 1e7)
        low, high = (float(numpy.interp(nodes, self.nodes, b)) if b else None for b in (self.low, self.high))
        return float(numpy.interp(nodes, self.nodes, self.speedup)), low, high


def grid(most: int) -> tuple[float, ...]:
    """Node counts from 1 to `most` at which to evaluate a curve: every half where they are few."""
    end = checks.number("most", most, 1, 65_536, "nodes")
    if end <= 16:
        return tuple(1 + step * (end - 1) / (_POINTS - 1) for step in range(_POINTS))
    return tuple(end ** (step / (_POINTS - 1)) for step in range(_POINTS))


def speedups(results: Sequence[Result], quantity: str = "makespan") -> list[Result]:
    """Speedup over the median speed of one node, from times, each origin over its own."""
    checks.instance("quantity", quantity, str, "text")
    times = [
        result
        for result in checks.instances("results", results, Result)
        if result.quantity == quantity and not result.component
    ]
    ratios = []
    for origin in Origin:
        same = [result for result in times if result.origin is origin and result.value > 0]
        single = [1 / result.value for result in same if result.parameters.get("nodes") == 1]
        if single:
            base = statistics.median(single)  # of speeds, so that the median speedup at one node is 1
            ratios += [replace(r, quantity="speedup", value=1 / (base * r.value)) for r in same]
    return ratios


def draw(
    points: Sequence[Result],
    curves: Sequence[Curve] = (),
    *,
    most: int = 8,
    highest: float | None = None,
    cores: int | None = None,
    cursor: int | None = None,
    prediction: tuple[int, float] | None = None,
    question: str = "Are more nodes faster? No speedup measured yet",
) -> str:
    """The figure as SVG: `points` are Results of quantity "speedup" with a parameter "nodes".

    The axes go to `most` nodes (logarithmic from 17 up) and to a speedup of `highest`, and stay there. At
    `cursor` nodes the modelled values are read out. `prediction` is (nodes, speedup).
    Raises ValueError for a node count or a speedup that cannot be drawn.
    """
    points = checks.instances("points", points, Result)
    checks.instances("curves", curves, Curve)
    if cores is not None:
        checks.integer("cores", cores, 1, 1_000_000)
    if prediction is not None:
        prediction = predicted(prediction)
    most = checks.integer("most", most, 2, 65_536, "nodes")
    if cursor is not None:
        checks.integer("cursor", cursor, 1, most, "nodes")
    base = 2 if most > 16 else 0
    highest = checks.number("highest", most if highest is None else highest, 1.01, 65_536, "×")
    at = () if base else tuple(range(1, most + 1)) if most <= 8 else (1, *range(2, most + 1, 2))
    axes = Axes(
        Scale("Nodes", 1, most, base, at),
        Scale(
            "Speedup over one node, ×", 0.5 if base else 0, highest, base, (1, 4, 16, 64, 256) if base else ()
        ),
        title=_title(points) or question,
    )
    axes.line([(1, 1), (most, most)], style.COLOUR["ideal"], width=1.5)
    axes.label(min(most, highest), min(most, highest), "ideal", style.COLOUR["ideal"])
    if cores is not None and 1 <= cores <= most:
        axes.vertical(cores, f"{cores} core{'s' * (cores > 1)} here")
    for curve in curves:
        _curve(axes, curve, cursor)
    _marks(axes, points)
    if prediction is not None:
        _prediction(axes, *prediction)
    if cursor is not None:
        _cursor(axes, cursor)
    return axes.svg(_description(points, curves, cores, cursor, prediction))


def _curve(axes: Axes, curve: Curve, cursor: int | None) -> None:
    colour = style.COLOUR[curve.name]
    line = list(zip(curve.nodes, curve.speedup, strict=True))
    if curve.low:
        low = list(zip(curve.nodes, curve.low, strict=True))
        axes.band(low, list(zip(curve.nodes, curve.high, strict=True)), colour)
    edge = min(curve.fitted_to, curve.nodes[-1])
    if edge > 1:
        axes.line([*(p for p in line if p[0] < edge), (edge, curve.at(edge)[0])], colour)
    axes.line(
        [(max(edge, 1), curve.at(max(edge, 1))[0]), *(p for p in line if p[0] > edge)], colour, dashed=True
    )
    text = f"{curve.label}\nmodelled"
    if cursor is not None:
        value, low_end, high_end = curve.at(cursor)
        axes.mark(Origin.MODELLED, cursor, value, colour)
        text = f"{curve.label}: {_times(value)} at {cursor}\nmodelled"
        if low_end is not None and high_end is not None and high_end - low_end > 0.01:
            text = f"{curve.label}: {_times(value)} at {cursor}\n{low_end:.1f}–{_times(high_end)}, modelled"
    axes.label(*line[-1], text, colour)


def _marks(axes: Axes, points: Sequence[Result]) -> None:
    key, x = [], axes.left + style.text_width("Speedup over one node, ×") - 30
    for origin in Origin:
        same = [point for point in points if point.origin is origin]
        if not same:
            continue
        axes.line(_medians(same), style.COLOUR[origin], width=1.5)
        for point in same:
            nodes = point.parameters["nodes"]
            tip = f"{nodes} nodes, repeat {point.repeat + 1}: {point.value:.2f}× {origin}"
            tip += f" ({point.condition})" if point.condition else ""
            axes.mark(origin, nodes, point.value, style.COLOUR[origin], tip)
        y = axes.top - 8 - style.TEXT * 1.2
        key += [style.mark(origin, x, y - 6), style.text(x + 14, y, origin)]
        x += style.text_width(origin) + 42
    axes.add("".join(key))


def _prediction(axes: Axes, nodes: int, value: float) -> None:
    colour = style.COLOUR["prediction"]
    height = min(value, axes.y.high)
    axes.line([(nodes, height), (axes.x.high, height)], colour, dotted=True, width=2)
    x, y = axes.px(nodes), axes.py(height)
    axes.add(f'<path d="M{x:.1f},{y:.1f}l15,-9v18z" fill="{colour}" stroke="{style.GROUND}"/>')
    above = "\n(off the axis)" if value > axes.y.high else ""
    axes.label(axes.x.high, height, f"you: {_times(value)} at {nodes}{above}", colour)


def _cursor(axes: Axes, nodes: int) -> None:
    x, y = axes.px(nodes), axes.bottom + style.TEXT * 1.3
    half, high = style.text_width(f"{nodes}") / 2 + 8, style.TEXT * 0.9  # clear of the other axis's 0
    line = f'<path d="M{x:.1f},{axes.top:.1f}V{axes.bottom:.1f}" stroke="{style.INK}" stroke-width="1.5"/>'
    box = f'x="{x - half:.1f}" y="{y - high:.1f}" width="{2 * half:.1f}" height="{high * 1.35:.1f}"'
    number = style.text(x, y, f"{nodes}", anchor="middle", colour=style.GROUND, bold=True)
    axes.add(f'{line}<rect {box} rx="5" fill="{style.INK}"/>{number}')


def _title(points: Sequence[Result]) -> str:
    """The answer at the largest measured node count, or "" while there is none."""
    measured = _medians([point for point in points if point.origin is Origin.MEASURED])
    if not measured or measured[-1][0] < 2:
        return ""
    nodes, value = measured[-1]
    return f"{nodes:g} nodes are {_times(value)} as fast as one here (measured)"


def _description(
    points: Sequence[Result],
    curves: Sequence[Curve],
    cores: int | None,
    cursor: int | None,
    prediction: tuple[int, float] | None,
) -> str:
    parts = []
    for origin in Origin:
        medians = _medians([point for point in points if point.origin is origin])
        if medians:
            said = ", ".join(f"{nodes:g} {_times(value)}" for nodes, value in medians)
            parts.append(f"Median {origin} speedup by nodes: {said}.")
    if cores is not None:
        parts.append(f"This machine has {cores} cores; more nodes than that share them.")
    for curve in curves:
        nodes = cursor or curve.nodes[-1]
        parts.append(f"{curve.label} at {nodes:g} nodes: {_times(curve.at(nodes)[0])}, modelled.")
    if prediction is not None:
        parts.append(f"You predicted {_times(prediction[1])} at {prediction[0]} nodes.")
    return " ".join(parts) or "Empty axes with the ideal line: n nodes are n times as fast as one."


def _medians(points: Sequence[Result]) -> list[tuple[float, float]]:
    by_nodes: dict[float, list[float]] = {}
    for point in points:
        by_nodes.setdefault(point.parameters["nodes"], []).append(point.value)
    return [(nodes, statistics.median(by_nodes[nodes])) for nodes in sorted(by_nodes)]


def _times(value: float) -> str:
    return f"{value:.0f}×" if value >= 10 else f"{value:.1f}×" if value >= 0.95 else f"{value:.2f}×"
