"""Times that a model predicts for published trainings, divided by the published ones, by number of GPUs."""

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.ticker import LogLocator

from hpclab import checks
from hpclab.figures import direct_labels, style
from hpclab.validation.score import PredictedRow

WITHIN = 0.1  # the band that is shaded


def draw(ax: Axes, tables: Mapping[str, Sequence[PredictedRow]]) -> Axes:
    """Draw a cross for each row of `tables` (rows by label) that is a time or a rate and has a prediction:
    the predicted time divided by the published one. ValueError where there is none."""
    labels, errors = list[direct_labels.Label](), list[float]()
    ax.axhspan(1 - WITHIN, 1 + WITHIN, color=style.GRID, alpha=0.6, linewidth=0)
    ax.axhline(1, color=style.COLOUR["ideal"], linewidth=1.2)
    mark = style.mark("published") | {"markersize": 6, "alpha": 0.6}
    del mark["color"]  # a table has its own
    for name, rows in checks.instance("tables", tables, Mapping).items():
        points = [point for row in rows if (point := _point(row))]
        if not points:
            continue
        (line,) = ax.plot(*zip(*points, strict=True), **mark)
        style.tips(line, *(f"{name}: {ratio - 1:+.1%}" for _, ratio in points))
        off = [abs(ratio - 1) for _, ratio in points]
        errors += off
        text = f"{name}\n{statistics.fmean(off):.1%} off"
        labels.append(direct_labels.Label(*max(points), text, to_hex(line.get_color())))
    if not errors:
        raise ValueError("There is no row to draw: none of these tables has times that are placed.")
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.xaxis.set_major_locator(LogLocator(4))
    ax.set(ylim=(0.5, 1.5), xlabel="GPUs", ylabel="Predicted / published time")
    direct_labels.at_right(ax, labels)
    mean = statistics.fmean(errors)
    answer = f"{len(errors):,} published steps, predicted {mean:.1%} off on average"
    said = "; ".join(label.text.replace("\n", ", ") for label in labels)
    return style.describe(ax, answer, f"{said}. The band is ±{WITHIN:.0%}.")


def _point(row: PredictedRow) -> tuple[float, float] | None:
    """(GPUs, predicted over published time) of a row; None where it has no such ratio."""
    seen = row.observation
    if seen.unit not in ("s", "1/s") or not seen.value > 0 or not (row.value or 0) > 0:
        return None
    ratio = (row.value or 0) / seen.value
    return float(seen.row.fields.get("gpus") or 1), 1 / ratio if seen.unit == "1/s" else ratio
