"""Numbers of every origin on one logarithmic axis of seconds: what was predicted, measured, and the rest."""

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes

from hpclab import checks, quality, units
from hpclab.figures import scales, style
from hpclab.results import Origin, Result


def draw(ax: Axes, results: Sequence[Result], predicted: float | None = None, *, title: str = "") -> Axes:
    """A row for each `component` of the results (seconds), every repeat a mark of its origin's shape.

    `predicted` (seconds) is a line across all rows. ValueError where there is nothing to draw.
    """
    if predicted is not None:
        predicted = checks.number("predicted", predicted, 1e-12, 1e12, "s")
    rows: dict[str, list[Result]] = {}
    for result in checks.instances("results", results, Result):
        checks.number(f"{result.component}: {result.quantity}", result.value, 1e-12, 1e12, "s")
        rows.setdefault(result.component, []).append(result)
    if not rows:
        raise ValueError("There is no result to draw yet: run the cells above first.")
    scales.logarithmic(ax, "x", "s", "Wall time")
    for number, group in enumerate(rows.values()):
        origins, doubt = dict.fromkeys(result.origin for result in group), quality.doubt(group)
        for origin in origins:
            same = [result for result in group if result.origin is origin]
            look = style.mark(origin, pale=bool(doubt) and origin is Origin.MEASURED)
            if origin is Origin.MODELLED:  # a short line across this axis
                look |= {"marker": "|", "markersize": 16}
            (line,) = ax.plot([result.value for result in same], [number] * len(same), **look)
            style.tips(line, *(r.condition or r.source or units.format_seconds(r.value) for r in same))
        ax.annotate(
            _median(group), (max(result.value for result in group), number), (10, 0),
            textcoords="offset points", va="center", zorder=5, bbox=style.BEHIND,
        )  # fmt: skip
    seen = [result.value for result in results] + ([predicted] if predicted else [])
    ax.set(xlim=(min(seen) / 2, max(seen) * 2), ylim=(len(rows) - 0.5, -0.5))
    mixed = any(len({result.origin for result in group}) > 1 for group in rows.values())
    names = [name if mixed else f"{name}\n{group[0].origin}" for name, group in rows.items()]
    if mixed:
        style.key(ax, {result.origin for result in results})
    ax.set_yticks(range(len(rows)), names, linespacing=1.1)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=True, axis="x")
    ax.grid(visible=False, axis="y")
    said = [
        f"{name}: {_median([r for r in group if r.origin is origin])} ({origin})"
        for name, group in rows.items() for origin in dict.fromkeys(result.origin for result in group)
    ]  # fmt: skip
    if predicted:
        words = f"you predicted {units.format_seconds(predicted)}"
        style.vertical(ax, predicted, words, style.COLOUR["prediction"])
        said.insert(0, f"predicted: {units.format_seconds(predicted)}")
    text = "; ".join(said) + ". The axis is logarithmic."
    return style.describe(ax, style.doubted(title, quality.doubt(results)), text, above=1 if predicted else 0)


def _median(group: Sequence[Result]) -> str:
    """Of the group's strongest origin."""
    best = min((result.origin for result in group), key=list(Origin).index)
    return units.format_seconds(statistics.median(r.value for r in group if r.origin is best))
