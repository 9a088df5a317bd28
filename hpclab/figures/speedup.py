"""The speedup figure: what was measured, what was emulated, and the modelled curves through them.

Every repeat is a mark of its own. Curves are dashed beyond the runs they were fitted to, with a band for
their uncertainty. The machine's core count is a vertical line: beyond it more nodes share the same cores, so
the measured points must flatten while the emulated ones need not.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from hpclab import checks, quality
from hpclab.figures import direct_labels, scales, style
from hpclab.figures.direct_labels import Label
from hpclab.figures.overlay import Overlay
from hpclab.models.speedups import Curve, speedups, typical
from hpclab.results import Origin, Result

WORK = ("compute", "storage", "waiting", "idle")  # colours of kinds of work, in the order given
Runs = Mapping[str, Sequence[Result]]
Medians = Mapping[tuple[str, Origin], Mapping[int, float]]  # speedups at each count, by label and origin
Asked = tuple[int, float] | None


def draw(
    ax: Axes,
    runs: Sequence[Result] | Runs,
    curves: Sequence[Curve] = (),
    *,
    along: str = "nodes",
    most: int | None = None,
    cores: int | None = None,
    prediction: tuple[int, float | None] | None = None,
    title: str | None = None,
    named: bool = True,
) -> Axes:
    """Draw the speedups of `runs`: makespans as an experiment gives them, or those of several kinds of work
    by label.

    `along` is the parameter that counts. Both axes go to `most` (default: the largest count there is),
    logarithmic from 17 up. `cores` are those of the machine (default: what the Results say). `prediction` is
    (number, speedup), or (number, None) where the learner made none. Without a `title` the answer is the
    title. `named=False` leaves the margin free for the labels of `over`. ValueError for what cannot be drawn.
    """
    groups = _groups(runs, along)
    points = {label: speedups(group, along) for label, group in groups.items()}
    everything = [point for group in points.values() for point in group]
    largest = max([2, *(point.parameters[along] for point in everything)])
    most = most or largest
    asked = _predicted(prediction)
    if cores is None:
        cores = max((p.environment["cores"] for p in everything if "cores" in p.environment), default=None)
    scales.counts(ax, most, f"{along[:1].upper()}{along[1:]}")
    ax.set_ylabel("Speedup over one, ×")
    ax.plot([1, most], [1, most], color=style.COLOUR["ideal"], linewidth=1.2)
    if cores is not None and cores <= most:
        ax.axvline(cores, color=style.MUTED, linestyle=(0, (2, 3)), linewidth=1.5)
        side, offset = ("right", -5) if cores > 0.75 * most else ("left", 5)
        ax.annotate(
            f"{cores} core{'s' * (cores > 1)} here", (cores, 0), (offset, 6), ha=side, color=style.MUTED,
            xycoords=("data", "axes fraction"), textcoords="offset points", zorder=5, bbox=style.BEHIND,
        )  # fmt: skip
    for curve in curves:
        _curve(ax, curve)
    works = {label: style.COLOUR[WORK[number % len(WORK)]] for number, label in enumerate(points)}
    works = works if len(works) > 1 else {}
    for label, group in points.items():
        _marks(ax, label, group, along, works.get(label, style.INK), pale=bool(quality.doubt(groups[label])))
    medians = {
        (label, origin): found for label, group in points.items() for origin in Origin
        if (found := typical(group, along, origin))
    }  # fmt: skip
    if asked is not None and named:
        count, height = asked[0], min(asked[1], ax.get_ylim()[1])
        ax.plot([count, most], [height, height], ":", color=style.COLOUR["prediction"], linewidth=1.6)
        ax.plot(count, height, ">", color=style.COLOUR["prediction"], zorder=5, clip_on=False)
    if named:
        direct_labels.at_right(ax, [*_names(ax, medians, works, most, asked), *_readings(curves, most)])
    else:
        figure: Any = ax.figure
        figure.set_layout_engine("constrained", rect=(0, 0, 0.7, 1))
    style.key(ax, [point.origin for point in everything])
    text = " ".join(_said(medians, curves, along, most, cores, asked))
    return style.describe(ax, _title(groups, medians, along) if title is None else title, text)


def over(
    ax: Axes,
    most: int,
    curves: Sequence[Curve] = (),
    what_if: Curve | None = None,
    cursor: int | None = None,
    prediction: Asked = None,
) -> Overlay:
    """What moves over a figure drawn up to `most` and ``named=False``: the cursor, a curve to try out, the
    prediction, and all labels.

    At `cursor` the values of the curves are read out; without it, at their end.
    """
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


def _predicted(prediction: object) -> Asked:
    """A learner's (number, speedup); None for none, or for (number, None). ValueError for anything else."""
    if prediction is None or (isinstance(prediction, tuple) and prediction[1:] == (None,)):
        return None
    if not isinstance(prediction, tuple | list) or len(prediction) != 2:
        raise ValueError(f"prediction must be (number, speedup), not {checks.shown(prediction)}.")
    number = checks.integer("The number predicted for", prediction[0], 1, 1_000_000)
    return number, checks.number("The predicted speedup", prediction[1], 0, 1e12, "×")


def times(value: float) -> str:
    """A speedup as text: 1.9×, 0.72×, 34×."""
    return f"{value:.0f}×" if value >= 9.95 else f"{value:.1f}×" if value >= 0.95 else f"{value:.2f}×"


def _groups(runs: object, along: str) -> dict[str, list[Result]]:
    checks.instance("along", along, str, "the name of a parameter, such as threads")
    if isinstance(runs, Mapping):
        return {label: checks.instances(f"runs of {label}", group, Result) for label, group in runs.items()}
    return {"": checks.instances("runs", runs, Result, "a Result, or Results by label")}


def _curve(ax: Axes, curve: Curve) -> None:
    colour = style.COLOUR[curve.name]
    if curve.low:
        ax.fill_between(curve.nodes, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    edge = max(min(curve.fitted_to, curve.nodes[-1]), 1.0)
    turn = (edge, curve.at(edge)[0])
    places = list(zip(curve.nodes, curve.speedup, strict=True))
    if edge > 1:
        ax.plot(*zip(*(place for place in places if place[0] < edge), turn, strict=True), color=colour)
    beyond = [turn, *(place for place in places if place[0] > edge)]
    ax.plot(*zip(*beyond, strict=True), color=colour, linestyle="--")


def _marks(ax: Axes, label: str, points: Sequence[Result], along: str, colour: str, *, pale: bool) -> None:
    for origin in Origin:
        same = [p for p in points if p.origin is origin and p.parameters[along] <= ax.get_xlim()[1]]
        if not same:
            continue
        pale = pale and origin is Origin.MEASURED
        middle = typical(same, along, origin)
        ax.plot([*middle], [*middle.values()], color=colour, linewidth=1.2, alpha=0.25 if pale else 1)
        counts, values = [p.parameters[along] for p in same], [p.value for p in same]
        (line,) = ax.plot(counts, values, **style.mark(origin, colour, pale=pale))
        style.tips(line, *(_tip(label, point, along) for point in same))


def _tip(label: str, point: Result, along: str) -> str:
    name = f"{label}, " * bool(label)
    text = f"{name}{point.parameters[along]} {along}, repeat {point.repeat + 1}: {point.value:.2f}×"
    return f"{text} {point.origin}" + f" ({point.condition})" * bool(point.condition)


def _names(
    ax: Axes, medians: Medians, works: Mapping[str, str], most: int, prediction: Asked
) -> Iterator[Label]:
    """The labels of all that is no curve; `works` are the colours of several kinds of work."""
    top = ax.get_ylim()[1]
    yield Label(most, min(most, top), "ideal", style.COLOUR["ideal"])
    for (label, origin), middle in medians.items():
        count = max((n for n in middle if n <= most), default=0)
        if count and label in works:
            value = middle[count]
            yield Label(count, min(value, top), f"{label}\n{origin}: {times(value)}", works[label])
    if prediction is not None:
        number, value = prediction
        above = "\n(off the axis)" if value > top else ""
        text = f"you: {times(value)} at {number}{above}"
        yield Label(most, min(value, top), text, style.COLOUR["prediction"])


def _readings(curves: Sequence[Curve], at: int | None) -> Iterator[Label]:
    """The labels of the curves, with what they say at `at`."""
    for curve in curves:
        place = curve.nodes[-1] if at is None else min(at, curve.nodes[-1])
        value, low, high = curve.at(place)
        text = f"{curve.label}: {times(value)}" + (f" at {place:g}" if at is not None else "")
        known = low is not None and high is not None and high - low > 0.01
        band = f"{low:.1f}–{times(high or 0)}, " if known else ""
        yield Label(curve.nodes[-1], curve.speedup[-1], f"{text}\n{band}modelled", style.COLOUR[curve.name])


def _title(groups: Runs, medians: Medians, along: str) -> str:
    """The answer at the largest measured count, or what is missing."""
    origins = {origin for _, origin in medians}
    best = Origin.MEASURED if Origin.MEASURED in origins or not origins else min(origins, key=[*Origin].index)
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
    return style.doubted(sentence, *map(quality.doubt, groups.values()))


def _said(
    medians: Medians, curves: Sequence[Curve], along: str, most: int, cores: int | None, prediction: Asked
) -> Iterator[str]:
    """What a screen reader says."""
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
