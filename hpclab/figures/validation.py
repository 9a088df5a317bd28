"""PredictedRow against publication: what others measured as crosses, what the model says as lines in a band.

Notice where the crosses leave their band of ±20 %: there the model lacks something, and the size at which it
happens says what (software on the left, protocol switches in the middle, the link on the right).
"""

import statistics
import textwrap
from collections.abc import Mapping, Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from hpclab import checks
from hpclab.figures import direct_labels, scales, style
from hpclab.results import Origin
from hpclab.units import format_bytes, format_seconds
from hpclab.validation.score import PredictedRow
from hpclab.validation.tables import CITATIONS

BAND = 0.2
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def draw(ax: Axes, groups: Mapping[str, Sequence[PredictedRow]]) -> Axes:
    """Draw `groups` of Predictions by the label they get, one to four, all of one unit.

    Rows that are not placed have no line; they are counted in the label. ValueError where there is nothing to
    draw, or times and bandwidths together.
    """
    checks.instance("groups", groups, Mapping, "rows by label")
    rows = [one for group in groups.values() for one in checks.instances("groups", group, PredictedRow)]
    units = {one.observation.unit for one in rows}
    if not 1 <= len(groups) <= len(_COLOURS) or len(units) != 1 or not all(groups.values()):
        raise ValueError(
            f"This figure takes 1 to {len(_COLOURS)} groups of rows, all times or all bandwidths, not "
            f"{len(groups)} groups in {len(units)} units."
        )
    shown = {
        label: [one for one in group if one.observation.size > 0 and one.observation.value > 0]
        for label, group in groups.items()
    }
    sizes = [one.observation.size for group in shown.values() for one in group]
    if not sizes:
        raise ValueError("None of these rows has a message size and a published value to draw.")
    unit, word = ("s", "Time") if units == {"s"} else ("B/s", "Bandwidth")
    scales.logarithmic(ax, "y", unit, word)
    scales.message_sizes(ax, min(sizes) / 1.3, max(sizes) * 1.3)
    said = ["Published values by message size and lines of the model with a band of ±20 %."]
    labels = []
    for (label, group), colour in zip(groups.items(), _COLOURS, strict=False):
        off = f"{100 * statistics.fmean(one.error for one in group):.0f} % off"
        missing = sum(one.value is None for one in group)
        said.append(f"{label}: {len(group)} rows, {missing} not placed, {off} on average.")
        if shown[label]:
            _group(ax, label, shown[label], colour, unit)
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


def _group(ax: Axes, label: str, group: Sequence[PredictedRow], colour: str, unit: str) -> None:
    """Draw one system: the model's line in its band, and a cross for every published row."""
    line = sorted((one.observation.size, one.value) for one in group if one.value)
    if line:
        sizes, values = numpy.transpose(line)
        low, high = values * (1 - BAND), values * (1 + BAND)
        ax.fill_between(sizes, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(sizes, values, color=colour, label=label)
    seen = [(one.observation.size, one.observation.value) for one in group]
    (marks,) = ax.plot(*numpy.transpose(seen), **style.mark(Origin.PUBLISHED))
    style.tips(marks, *(_tip(label, one, unit) for one in group))


def _tip(label: str, one: PredictedRow, unit: str) -> str:
    def written(value: float) -> str:
        return format_seconds(value) if unit == "s" else f"{format_bytes(value, binary=False)}/s"

    tip = f"{label}, {format_bytes(one.observation.size)}: published {written(one.observation.value)}"
    return tip if one.value is None else f"{tip}, predicted {written(one.value)}"
