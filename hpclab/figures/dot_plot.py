"""Times of every origin on one logarithmic axis, with what was predicted."""

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes

from hpclab import checks, quality
from hpclab.figures import scales, style, wording
from hpclab.results import Origin, Result
from hpclab.units import format_seconds


def draw(ax: Axes, results: Sequence[Result], predicted: float | None = None, *, title: str = "") -> Axes:
    """Draw a row for each `component` of the results (seconds), and a line at `predicted` seconds. ValueError
    where there is nothing to draw."""
    rows: dict[str, list[Result]] = {}
    for result in checks.instances("results", results, Result):
        checks.number(f"{result.component}: {result.quantity}", result.value, 1e-12, 1e12, "s")
        rows.setdefault(result.component, []).append(result)
    if not rows:
        raise ValueError("There is no result to draw yet: run the cells above first.")
    scales.logarithmic(ax, "x", "s", "Wall time")
    said = []
    for number, (name, group) in enumerate(rows.items()):
        doubt = quality.doubt(group)
        for origin in dict.fromkeys(result.origin for result in group):
            same = [result for result in group if result.origin is origin]
            said.append(f"{name}: {_median(same)} ({origin})")
            mark = style.mark(origin, pale=bool(doubt) and origin is Origin.MEASURED)
            if origin is Origin.MODELLED:  # a short line across this axis
                mark |= {"marker": "|", "markersize": 16}
            texts = (r.condition or r.source or format_seconds(r.value) for r in same)
            style.plot(ax, [result.value for result in same], [number] * len(same), mark, texts)
        end = max(result.value for result in group)
        style.note(ax, _median(group), (end, number), (10, 0), va="center", zorder=5, bbox=style.BEHIND)
    seen = [result.value for result in results] + ([predicted] if predicted else [])
    ax.set(xlim=(min(seen) / 2, max(seen) * 2), ylim=(len(rows) - 0.5, -0.5))
    mixed = any(len({result.origin for result in group}) > 1 for group in rows.values())
    names = [name if mixed else f"{name}\n{group[0].origin}" for name, group in rows.items()]
    if mixed:
        style.key(ax, {result.origin for result in results})
    style.rows(ax, names, linespacing=1.1)
    ax.grid(visible=True, axis="x")
    ax.grid(visible=False, axis="y")
    if predicted:
        guess = format_seconds(predicted)
        style.vertical(ax, predicted, f"you predicted {guess}", style.COLOUR["prediction"])
        said.insert(0, f"predicted: {guess}")
    text = "; ".join(said) + ". The axis is logarithmic."
    return style.describe(ax, wording.doubted(title, quality.doubt(results)), text, above=bool(predicted))


def _median(group: Sequence[Result]) -> str:
    """The median of the results with the strongest origin in the `group`, as text."""
    best = min((result.origin for result in group), key=list(Origin).index)
    return format_seconds(statistics.median(r.value for r in group if r.origin is best))
