"""Published rows as crosses by message size, and what the model predicts as lines in a band of ±20 %."""

import statistics
import textwrap
from collections.abc import Mapping, Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpclab import checks
from hpclab.figures import direct_labels, scales, style, wording
from hpclab.results import Origin
from hpclab.units import format_bytes, format_seconds
from hpclab.validation.score import PredictedRow
from hpclab.validation.tables import CITATIONS

BAND = 0.2
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def draw(ax: Axes, groups: Mapping[str, Sequence[PredictedRow]]) -> Axes:
    """Draw one to four `groups` of rows by label, all of one unit; the line leaves out rows without a
    prediction. ValueError where there is nothing to draw, or times and bandwidths together."""
    checks.instance("groups", groups, Mapping, "rows by label")
    rows = [one for group in groups.values() for one in checks.instances("groups", group, PredictedRow)]
    units = {one.observation.unit for one in rows}
    if not 1 <= len(groups) <= len(_COLOURS) or len(units) != 1 or not all(groups.values()):
        raise ValueError(
            f"This figure takes 1 to {len(_COLOURS)} groups of rows, all times or all bandwidths, not "
            f"{len(groups)} groups in {len(units)} units."
        )
    drawn = [one for one in rows if one.observation.size > 0 and one.observation.value > 0]
    if not drawn:
        raise ValueError("None of these rows has a message size and a published value to draw.")
    sizes = [one.observation.size for one in drawn]
    unit, word = ("s", "Time") if units == {"s"} else ("B/s", "Bandwidth")
    scales.logarithmic(ax, "y", unit, word)
    scales.message_sizes(ax, min(sizes) / 1.3, max(sizes) * 1.3)
    said = ["Published values by message size and lines of the model with a band of ±20 %."]
    labels = []
    for (label, group), colour in zip(groups.items(), _COLOURS, strict=False):
        off = f"{100 * statistics.fmean(one.error for one in group):.0f} % off"
        missing = sum(one.value is None for one in group)
        said.append(f"{label}: {len(group)} rows, {missing} not placed, {off} on average.")
        if shown := [one for one in group if one.observation.size > 0 and one.observation.value > 0]:
            _group(ax, label, shown, colour)
        end = max(group, key=lambda one: (one.value is not None, one.observation.size))
        if end.value:
            labels.append(direct_labels.Label(end.observation.size, end.value, f"{label}\n{off}", colour))
    direct_labels.at_right(ax, labels)
    sources = {one.observation.row.text("source") for one in rows}
    cited = "; ".join(sorted({CITATIONS.get(source, source) for source in sources}))
    model = (Line2D([], [], color=style.MUTED), Patch(facecolor=style.MUTED, alpha=0.18))
    ax.legend(
        [model, Line2D([], [], **style.mark(Origin.PUBLISHED))],
        [f"model, band ±{100 * BAND:.0f} %", textwrap.fill(f"published: {cited}", 46)],
        loc="upper left",  # what grows with the size leaves it free
    )  # fmt: skip
    within = 100 * statistics.fmean(one.error for one in rows)
    title = f"Predicted within {within:.0f} % of what others published, on average over {len(rows)} rows"
    return style.describe(ax, title, " ".join(said))


def _group(ax: Axes, label: str, group: Sequence[PredictedRow], colour: str) -> None:
    """Draw one system: the model's line in its band, and a cross for every published row."""
    if line := sorted((one.observation.size, one.value) for one in group if one.value):
        sizes, values = numpy.transpose(line)
        low, high = values * (1 - BAND), values * (1 + BAND)
        ax.fill_between(sizes, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(sizes, values, color=colour, label=label)
    sizes, values = numpy.transpose([(one.observation.size, one.observation.value) for one in group])
    style.plot(ax, sizes, values, style.mark(Origin.PUBLISHED), (_tip(label, one) for one in group))


def _tip(label: str, one: PredictedRow) -> str:
    written = format_seconds if one.observation.unit == "s" else wording.rate
    tip = f"{label}, {format_bytes(one.observation.size)}: published {written(one.observation.value)}"
    return tip if one.value is None else f"{tip}, predicted {written(one.value)}"
