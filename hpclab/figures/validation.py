"""Prediction against publication: what others measured as crosses, what the model says as lines in a band.

Notice where the crosses leave their band of ±20 %: there the model lacks something, and the size at which it
happens says what (software on the left, protocol switches in the middle, the link on the right).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from hpclab import checks
from hpclab.figures import style
from hpclab.figures.axes import Axes, Scale
from hpclab.results import Origin
from hpclab.units import format_bytes
from hpclab.validation.score import Prediction
from hpclab.validation.sources import citation

BAND = 0.2
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_TICKS = tuple(2.0**power for power in range(0, 41, 5))


def draw(groups: Mapping[str, Sequence[Prediction]], title: str | None = None) -> str:
    """The figure as SVG: `groups` of Predictions by the label they get, one to four, all of one unit.

    Rows that are not placed have no line; they are counted in the label. ValueError where there is nothing to
    draw, or times and bandwidths together.
    """
    checks.instance("groups", groups, Mapping, "rows by label")
    rows = [one for group in groups.values() for one in checks.instances("groups", group, Prediction)]
    units = {one.observation.unit for one in rows}
    if not 1 <= len(groups) <= len(_COLOURS) or len(units) != 1 or not all(groups.values()):
        raise ValueError(
            f"This figure takes 1 to {len(_COLOURS)} groups of rows, all times or all bandwidths, not "
            f"{len(groups)} groups in {len(units)} units."
        )
    scale, word = (1e6, "Time, µs") if units == {"s"} else (1e-9, "Bandwidth, GB/s")
    shown = [one for one in rows if one.observation.size > 0 and one.observation.value > 0]
    if not shown:
        raise ValueError("None of these rows has a message size and a published value to draw.")
    axes = _axes(shown, scale, word, title or _answer(rows))
    said = []
    for (label, group), colour in zip(groups.items(), _COLOURS, strict=False):
        said.append(_group(axes, label, group, colour, scale))
    cited = sorted({citation(one.observation.row.text("source")) for one in shown})
    room = 0.62 * (axes.right - axes.left)  # what grows with the size leaves the upper left corner free
    key = ["line: model, band: ±20 %", *style.wrap(f"× published: {'; '.join(cited)}", room)]
    for number, line in enumerate(key):
        axes.add(style.text(axes.left + 12, axes.top + 26 * (number + 1), line, colour=style.MUTED))
    return axes.svg(
        f"Published values by message size and lines of the model with a band of ±20 %. {' '.join(said)}"
    )


def _axes(rows: Sequence[Prediction], scale: float, word: str, title: str) -> Axes:
    sizes = [one.observation.size for one in rows]
    values = [one.observation.value * scale for one in rows]
    values += [one.value * scale for one in rows if one.value]
    low, high = min(sizes), max(max(sizes), 2 * min(sizes))
    ticks = [tick for tick in _TICKS if low <= tick <= high] or [low]
    names = tuple(format_bytes(tick).replace(".0", "") for tick in ticks)
    return Axes(
        Scale("Message size", low, high, 2, tuple(ticks), names),
        Scale(word, min(values) / 1.5, max(values) * 1.5, 10),
        title=title, height=560, left=92, right=225,
    )  # fmt: skip


def _group(axes: Axes, label: str, group: Sequence[Prediction], colour: str, scale: float) -> str:
    """Draw one system; what a screen reader says of it."""
    placed = sorted((one for one in group if one.value is not None), key=lambda one: one.observation.size)
    line = [(one.observation.size, one.value * scale) for one in placed if one.value and one.observation.size]
    axes.band([(x, y * (1 - BAND)) for x, y in line], [(x, y * (1 + BAND)) for x, y in line], colour)
    axes.line(line, colour)
    for one in group:
        seen = one.observation
        if seen.size > 0:
            tip = f"{label}, {format_bytes(seen.size)}: published {seen.value * scale:.4g}"
            tip += "" if one.value is None else f", predicted {one.value * scale:.4g}"
            axes.mark(Origin.PUBLISHED, seen.size, seen.value * scale, tip=tip)
    error = f"{100 * statistics.fmean(one.error for one in group):.0f} % off"
    missing = len(group) - len(placed)
    if line:
        axes.label(*line[-1], f"{label}\n{error}", colour)
    return f"{label}: {len(group)} rows, {missing} not placed, {error} on average."


def _answer(rows: Sequence[Prediction]) -> str:
    error = statistics.fmean(one.error for one in rows)
    return f"Predicted within {100 * error:.0f} % of what others published, on average over {len(rows)} rows"
