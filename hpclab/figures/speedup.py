"""The speedup figure: every repeat that was measured or emulated, and modelled curves, dashed beyond the runs
they were fitted to. Beyond the machine's core count nodes share cores: measured points flatten, emulated ones
need not."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes

from hpclab import checks, quality
from hpclab.figures import direct_labels, scales, style, wording
from hpclab.figures.direct_labels import Label
from hpclab.figures.overlay import Overlay
from hpclab.models.speedups import Curve, speedups, typical
from hpclab.results import Origin, Result

WORK = ("compute", "storage", "waiting", "idle")  # colours of kinds of work, in the order given
Runs = Mapping[str, Sequence[Result]]
Medians = Mapping[tuple[str, Origin], Mapping[int, float]]  # speedups at each count, by label and origin
Prediction = tuple[int, float] | None


def draw(
    ax: Axes, runs: Sequence[Result] | Runs, curves: Sequence[Curve] = (), *, along: str = "nodes",
    most: int | None = None, cores: int | None = None, prediction: tuple[int, float | None] | None = None,
    title: str | None = None, named: bool = True,
) -> Axes:  # fmt: skip
    """Draw the speedups of `runs`: makespans by the parameter `along`, or those of kinds of work by label.
    Axes go to `most` (default: the largest count). `cores` are those of the machine (default: what the
    Results say). `prediction` is the learner's (number, speedup or None). The default `title` is the answer.
    `named=False` leaves the margin to the labels of `over`."""
    listed = runs if isinstance(runs, Mapping) else {"": runs}
    said = "a Result, or Results by label"
    groups = {label: checks.instances("runs", group, Result, said) for label, group in listed.items()}
    points = {label: speedups(group, along) for label, group in groups.items()}
    everything = [point for group in points.values() for point in group]
    most = most or max([2, *(point.parameters[along] for point in everything)])
    guess: Prediction = (prediction[0], prediction[1]) if prediction and prediction[1] is not None else None
    if cores is None:
        cores = max((p.environment["cores"] for p in everything if "cores" in p.environment), default=None)
    scales.counts(ax, most, f"{along[:1].upper()}{along[1:]}")
    ax.set_ylabel("Speedup over one, ×")
    ax.plot([1, most], [1, most], color=style.COLOUR["ideal"], linewidth=1.2)
    if cores is not None and cores <= most:
        ax.axvline(cores, color=style.MUTED, linestyle=(0, (2, 3)), linewidth=1.5)
        right = cores > 0.75 * most
        style.note(
            ax, f"{cores} core{'s' * (cores > 1)} here", (cores, 0), (-5 if right else 5, 6), zorder=5,
            ha="right" if right else "left", color=style.MUTED, xycoords=("data", "axes fraction"),
            bbox=style.BEHIND,
        )  # fmt: skip
    for curve in curves:
        _curve(ax, curve)
    works = {label: style.COLOUR[work] for label, work in zip(points, cycle(WORK)) if len(points) > 1}
    medians = {
        (label, origin): middle
        for label, group in points.items() for origin in Origin if (middle := typical(group, along, origin))
    }  # fmt: skip
    for label, group in points.items():
        _marks(ax, label, group, along, works.get(label, style.INK), pale=bool(quality.doubt(groups[label])))
    if guess is not None and named:
        count, height = guess[0], min(guess[1], ax.get_ylim()[1])
        ax.plot([count, most], [height, height], ":", color=style.COLOUR["prediction"], linewidth=1.6)
        ax.plot(count, height, ">", color=style.COLOUR["prediction"], zorder=5, clip_on=False)
    if named:
        direct_labels.at_right(ax, [*_names(ax, medians, works, most, guess), *_readings(curves, most)])
    else:
        style.root(ax).set_layout_engine("constrained", rect=(0, 0, 0.7, 1))
    style.key(ax, [point.origin for point in everything])
    text = " ".join(_said(medians, curves, along, most, cores, guess))
    return style.describe(ax, _title(groups, medians, along) if title is None else title, text)


def over(
    ax: Axes, most: int, curves: Sequence[Curve] = (), what_if: Curve | None = None,
    cursor: int | None = None, prediction: Prediction = None,
) -> Overlay:  # fmt: skip
    """The overlay of a figure drawn up to `most` and ``named=False``; its labels give the speedups of the
    curves at the count `cursor`, by default at their end."""
    layer = Overlay(ax)
    shown = [*curves, what_if] if what_if is not None else curves
    if what_if is not None:
        layer.line(what_if.nodes, what_if.speedup, style.COLOUR[what_if.name])
    if cursor is not None:
        layer.vertical(cursor, f"{cursor}")
        for curve in shown:
            layer.mark(cursor, curve.at(cursor)[0], style.COLOUR[curve.name])
    if prediction is not None:
        number, value = prediction
        layer.guess(number, min(value, ax.get_ylim()[1]), style.COLOUR["prediction"])
    layer.at_right([*_names(ax, {}, {}, most, prediction), *_readings(shown, cursor)])
    return layer


def times(value: float) -> str:
    """A speedup as text: 1.9×, 0.72×, 34×."""
    return f"{value:.0f}×" if value >= 9.95 else f"{value:.1f}×" if value >= 0.95 else f"{value:.2f}×"


def _curve(ax: Axes, curve: Curve) -> None:
    """Draw a curve and its band, solid up to the largest count it was fitted to and dashed beyond."""
    colour = style.COLOUR[curve.name]
    if curve.low:
        ax.fill_between(curve.nodes, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    edge = max(min(curve.fitted_to, curve.nodes[-1]), 1.0)
    turn, places = (edge, curve.at(edge)[0]), list(zip(curve.nodes, curve.speedup, strict=True))
    if edge > 1:
        ax.plot(*zip(*(place for place in places if place[0] < edge), turn, strict=True), color=colour)
    beyond = [turn, *(place for place in places if place[0] > edge)]
    ax.plot(*zip(*beyond, strict=True), color=colour, linestyle="--")


def _marks(ax: Axes, label: str, points: Sequence[Result], along: str, colour: str, *, pale: bool) -> None:
    """Draw every repeat with the mark of its origin, and for each origin a line through the medians."""
    for origin in Origin:
        same = [p for p in points if p.origin is origin and p.parameters[along] <= ax.get_xlim()[1]]
        if same:
            faint, middle = pale and origin is Origin.MEASURED, typical(same, along, origin)
            line: dict[str, Any] = {"color": colour, "linewidth": 1.2, "alpha": 0.25 if faint else 1}
            ax.plot([*middle], [*middle.values()], **line)
            counts, values = [p.parameters[along] for p in same], [p.value for p in same]
            texts = (_tip(label, point, along) for point in same)
            style.plot(ax, counts, values, style.mark(origin, colour, pale=faint), texts)


def _tip(label: str, point: Result, along: str) -> str:
    name = f"{label}, " * bool(label)
    count = wording.numbered(point.parameters[along], along)
    text = f"{name}{count}, repeat {point.repeat + 1}: {point.value:.2f}×"
    return f"{text} {point.origin}" + f" ({point.condition})" * bool(point.condition)


def _names(
    ax: Axes, medians: Medians, works: Mapping[str, str], most: int, prediction: Prediction
) -> Iterator[Label]:
    """Yield the labels of all that is no curve; `works` are the colours of several kinds of work."""
    top = ax.get_ylim()[1]
    yield Label(most, min(most, top), "ideal", style.COLOUR["ideal"])
    for (label, origin), middle in medians.items():
        count = max((n for n in middle if n <= most), default=0)
        if count and label in works:
            text = f"{label}\n{origin}: {times(middle[count])}"
            yield Label(count, min(middle[count], top), text, works[label])
    if prediction is not None:
        number, value = prediction
        text = f"you: {times(value)} at {number}" + "\n(off the axis)" * bool(value > top)
        yield Label(most, min(value, top), text, style.COLOUR["prediction"])


def _readings(curves: Sequence[Curve], at: int | None) -> Iterator[Label]:
    """Yield a label for each curve, with its speedup at the count `at`, by default at its end."""
    for curve in curves:
        place = curve.nodes[-1] if at is None else min(at, curve.nodes[-1])
        value, low, high = curve.at(place)
        text = f"{curve.label}: {times(value)}" + (f" at {place:g}" if at is not None else "")
        known = low is not None and high is not None and high - low > 0.01
        band = f"{low:.1f}–{times(high or 0)}, " if known else ""
        yield Label(curve.nodes[-1], curve.speedup[-1], f"{text}\n{band}modelled", style.COLOUR[curve.name])


def _title(groups: Runs, medians: Medians, along: str) -> str:
    """The title: the speedup at the largest count, of the strongest origin, or what is missing."""
    best = min((origin for _, origin in medians), key=[*Origin].index, default=Origin.MEASURED)
    answers = {label: middle for (label, origin), middle in medians.items() if origin is best}
    most = max((count for answer in answers.values() for count in answer), default=0)
    if most == 0:
        return f"Are more {along} faster? No speedup measured yet"
    if most == 1:
        return f"{along.capitalize()}: only 1 is {best}, and a speedup needs more"
    reached = {label: times(answer[most]) for label, answer in answers.items() if most in answer}
    if len(groups) == 1:
        sentence = f"{most} {along} are {reached.popitem()[1]} as fast as one here ({best})"
    else:
        said = ", ".join(f"{label} {value}" for label, value in reached.items())
        sentence = f"On {most} {along}: {said} as fast as on one ({best})"
    return wording.doubted(sentence, *map(quality.doubt, groups.values()))


def _said(
    medians: Medians, curves: Sequence[Curve], along: str, most: int, cores: Any, prediction: Prediction
) -> Iterator[str]:
    """Yield the sentences for screen readers."""
    for (label, origin), middle in medians.items():
        said = ", ".join(f"{count}: {times(value)}" for count, value in middle.items())
        name = f"{label}, median" if label else "Median"
        yield f"{name} {origin} speedup by {along}: {said}."
    if cores is not None:
        yield f"This machine has {cores} cores; more {along} than that share them."
    for curve in curves:
        yield f"{curve.label} on {most} {along}: {times(curve.at(most)[0])}, modelled."
    if prediction is not None:
        yield f"You predicted {times(prediction[1])} on {prediction[0]} {along}."
    if not medians and not curves:
        yield "Empty axes with the ideal line: n are n times as fast as one."
