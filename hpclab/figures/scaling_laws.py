"""Several kinds of work on 1, 2, 3 ... threads or processes, and what the laws of scaling say about them.

Each kind of work has a colour and a label of its own; measured points are filled, emulated ones open, every
repeat is a mark. A curve is dashed beyond the points it was fitted to.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from hpclab import checks
from hpclab.figures import style
from hpclab.figures.axes import Axes, Scale, predicted
from hpclab.figures.speedup import Curve
from hpclab.results import Origin, Result

WORK = ("compute", "storage", "waiting", "idle")  # colours of kinds of work, in the order given


def speedups(results: Sequence[Result], along: str) -> list[Result]:
    """Speedup over the median time of one, from makespans; measured over measured, emulated over emulated.

    For weak scaling it is the scaled speedup: n times the work in this time, over the time of one.
    """
    ratios = []
    checks.instance("along", along, str, "the name of a parameter, such as threads")
    results = checks.instances("results", results, Result)
    chosen = [r for r in results if r.quantity == "makespan" and along in r.parameters and r.value > 0]
    for origin in Origin:
        same = [result for result in chosen if result.origin is origin]
        single = [result.value for result in same if result.parameters[along] == 1]
        for result in same if single else ():
            work = result.parameters[along] if result.parameters.get("scaling") == "weak" else 1
            value = work * statistics.median(single) / result.value
            ratios.append(replace(result, quantity="speedup", value=value))
    return ratios


def compare(
    runs: Mapping[str, Sequence[Result]], along: str, prediction: tuple[int, float | None] | None = None
) -> str:
    """Draw makespans: `runs` of Results by label, up to the largest `along` in them; the title answers.

    `prediction` is (number, speedup), or (number, None) where the learner made none.
    """
    checks.instance("runs", runs, Mapping, "Results by label")
    if isinstance(prediction, tuple) and prediction[1:] == (None,):
        prediction = None
    groups = {label: speedups(results, along) for label, results in runs.items()}
    everything = [point for points in groups.values() for point in points]
    most = max([2, *(point.parameters[along] for point in everything)])
    cores = [point.environment["cores"] for point in everything if "cores" in point.environment]
    answers = []
    for label, points in groups.items():
        measured = [p for p in points if p.origin is Origin.MEASURED and p.parameters[along] == most]
        if measured:
            answers.append(f"{label} {_times(statistics.median(p.value for p in measured))}")
    title = f"On {most} {along}: {', '.join(answers)} as fast as on one (measured)"
    if not answers:
        only = {point.parameters[along] for point in everything} == {1}
        title = f"Nothing is measured on {most} {along} yet"
        if only:
            title = f"{along.capitalize()}: only 1 is measured, and a speedup needs more"
    return draw(
        groups, along=along, title=title,
        most=most, cores=max(cores, default=None),
        prediction=prediction,  # type: ignore[arg-type]
    )  # fmt: skip


def draw(
    groups: Mapping[str, Sequence[Result]],
    curves: Sequence[Curve] = (),
    *,
    along: str,
    title: str,
    most: int = 8,
    cores: int | None = None,
    prediction: tuple[int, float] | None = None,
) -> str:
    """The figure as SVG: `groups` of Results of quantity "speedup", by label, with a parameter `along`.

    Both axes go to `most` (the upper one a little further) and stay there. `prediction` is (number, speedup).
    ValueError for a bad `most`, or where a Result is no speedup along `along`.
    """
    most = checks.integer("most", most, 2, 65_536)
    checks.instance("groups", groups, Mapping, "Results by label")
    checks.instance("along", along, str, "the name of a parameter, such as threads")
    checks.instance("title", title, str, "text")
    checks.instances("curves", curves, Curve)
    if cores is not None:
        checks.integer("cores", cores, 1, 1_000_000)
    if prediction is not None:
        prediction = predicted(prediction)
    base = 2 if most > 16 else 0
    ticks = () if base else tuple(range(1, most + 1)) if most <= 8 else (1, *range(2, most + 1, 2))
    up = (1, 4, 16, 64, 256, 1024) if base else ()
    axes = Axes(
        Scale(along[0].upper() + along[1:], 1, most, base, ticks),
        Scale("Speedup, ×", 0.5 if base else 0, most if base else most * 1.1, base, up),
        title=title,
    )
    axes.line([(1, 1), (most, most)], style.COLOUR["ideal"], width=1.5)
    axes.label(most, most, "ideal", style.COLOUR["ideal"])
    if cores is not None and 1 <= cores < most:
        axes.vertical(cores, f"{cores} core{'s' * (cores > 1)} here")
    for curve in curves:
        _curve(axes, curve)
    said, several = [], len(groups) > 1
    for number, (label, points) in enumerate(groups.items()):
        colour = style.COLOUR[WORK[number % len(WORK)]] if several else style.INK
        said += _group(axes, label, points, along, colour, several)
    if not several:
        _key(axes, [point.origin for points in groups.values() for point in points])
    if prediction is not None:
        count, value = prediction
        place = (count, min(value, most))
        side = f'<path d="M{axes.px(place[0]):.1f},{axes.py(place[1]):.1f}l15,-9v18z"'
        axes.add(f'{side} fill="{style.COLOUR["prediction"]}" stroke="{style.GROUND}"/>')
        above = "\n(off the axis)" if value > most else ""
        axes.label(*place, f"you: {_times(value)} at {count}{above}", style.COLOUR["prediction"])
        said.append(f"You predicted {_times(value)} on {count} {along}.")
    for curve in curves:
        said.append(f"{curve.label}: {_times(curve.speedup[-1])} on {most} {along}, modelled.")
    return axes.svg(" ".join(said) or "Empty axes with the ideal line: n are n times as fast as one.")


def _group(
    axes: Axes, label: str, points: Sequence[Result], along: str, colour: str, named: bool
) -> list[str]:
    """Draw one kind of work, `named` in the margin or not; what a screen reader says of it."""
    said = []
    points = checks.instances(label, points, Result)
    for origin in Origin:
        by_count: dict[float, list[Result]] = {}
        for point in points:
            if point.quantity != "speedup" or along not in point.parameters:
                raise ValueError(
                    f"{label} holds a {point.quantity} without {along}; only speedups are drawn."
                )
            if point.origin is origin:
                by_count.setdefault(point.parameters[along], []).append(point)
        if not by_count:
            continue
        medians = [
            (count, statistics.median(p.value for p in same)) for count, same in sorted(by_count.items())
        ]
        inside = [place for place in medians if place[0] <= axes.x.high]
        axes.line(inside, colour, width=1.5)
        for count, _ in inside:
            for point in by_count[count]:
                tip = f"{label}, {count} {along}, repeat {point.repeat + 1}: {point.value:.2f}× {origin}"
                axes.mark(
                    origin, count, point.value, colour, tip + f" ({point.condition})" * bool(point.condition)
                )
        if inside and named:
            text = f"{label}, {origin}: {_times(inside[-1][1])}"
            axes.label(*inside[-1], "\n".join(style.wrap(text, axes.width - axes.right - 20)), colour)
        told = ", ".join(f"{count}: {_times(value)}" for count, value in medians)
        said.append(f"{label}, median {origin} speedup by {along}: {told}.")
    return said


def _key(axes: Axes, origins: Sequence[Origin]) -> None:
    """What the marks mean, above the axes: their shapes are the only carrier of the origin."""
    x, y = axes.left + style.text_width(axes.y.label) + 24, axes.top - 8 - style.TEXT * 1.2
    for origin in sorted(set(origins), key=list(Origin).index):
        axes.add(style.mark(origin, x, y - 6) + style.text(x + 14, y, origin))
        x += style.text_width(origin) + 42


def _curve(axes: Axes, curve: Curve) -> None:
    colour = style.COLOUR[curve.name]
    line = list(zip(curve.nodes, curve.speedup, strict=True))
    if curve.low:
        low, high = (list(zip(curve.nodes, ends, strict=True)) for ends in (curve.low, curve.high))
        axes.band(low, high, colour)
    edge = min(curve.fitted_to, curve.nodes[-1])
    turn = (max(edge, 1.0), curve.at(max(edge, 1.0))[0])
    if edge > 1:
        axes.line([*(place for place in line if place[0] < edge), turn], colour)
    axes.line([turn, *(place for place in line if place[0] > edge)], colour, dashed=True)
    axes.label(*line[-1], f"{curve.label}: {_times(line[-1][1])}", colour)


def _times(value: float) -> str:
    return f"{value:.0f}×" if value >= 10 else f"{value:.1f}×" if value >= 0.95 else f"{value:.2f}×"
