"""Numbers of every origin on one logarithmic axis of seconds: what was predicted, measured, and the rest."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from hpclab import checks, units
from hpclab.figures import style
from hpclab.figures.axes import Scale
from hpclab.results import Result

_NAMES = 300.0  # pixels for the names at the left
_ROW = 58.0


def draw(title: str, results: Sequence[Result], predicted: float | None = None) -> str:
    """A row for each `component` of the results (seconds), every repeat a mark of its origin's shape.

    `predicted` (seconds) is a line across all rows. SVG text; ValueError where there is nothing to draw.
    """
    checks.instance("title", title, str, "text")
    if predicted is not None:
        predicted = checks.number("predicted", predicted, 1e-12, 1e12, "s")
    for result in checks.instances("results", results, Result):
        checks.number(f"{result.component}: {result.quantity}", result.value, 1e-12, 1e12, "s")
    rows: dict[str, list[Result]] = {}
    for result in results:
        rows.setdefault(result.component, []).append(result)
    if not rows:
        raise ValueError("There is no result to draw yet: run the cells above first.")
    seen = [result.value for result in results] + ([predicted] if predicted else [])
    scale = Scale("time", min(seen) / 4, max(seen) * 12, base=10)
    top = style.title_height(title) + (1.7 * style.TEXT if predicted else 0.4 * style.TEXT)
    bottom = top + _ROW * len(rows)
    body = _axis(scale, top, bottom)
    if predicted:
        body += _prediction(scale, predicted, top, bottom)
    for number, (name, group) in enumerate(rows.items()):
        body += _row(scale, top + _ROW * (number + 0.5), name, group)
    said = [f"{name}: {_median(group)} ({group[0].origin})" for name, group in rows.items()]
    if predicted:
        said.insert(0, f"predicted: {units.format_seconds(predicted)}")
    height = bottom + 2.9 * style.TEXT
    return style.document(title, "; ".join(said) + ". The axis is logarithmic.", body, height=height)


def _x(scale: Scale, value: float) -> float:
    return _NAMES + scale.part(value) * (style.WIDTH - _NAMES - 10)


def _axis(scale: Scale, top: float, bottom: float) -> list[str]:
    ticks = _ticks(scale)
    markup = []
    for value, name in ticks.items():
        x, half = _x(scale, value), style.text_width(name) / 2
        markup.append(f'<path d="M{x:.1f},{top:.1f}V{bottom:.1f}" stroke="{style.GRID}"/>')
        centre = min(x, style.WIDTH - half)
        markup.append(style.text(centre, bottom + style.TEXT * 1.2, name, anchor="middle"))
    markup.append(f'<path d="M{_NAMES:.1f},{bottom:.1f}H{style.WIDTH - 10:.1f}" stroke="{style.INK}"/>')
    middle = (_NAMES + style.WIDTH) / 2
    first, second = list(ticks)[:2]
    label = (
        f"wall time, each step {'ten' if second < 11 * first else f'{second / first:,.0f}'} times the last"
    )
    markup.append(style.text(middle, bottom + style.TEXT * 2.5, label, anchor="middle", colour=style.MUTED))
    return markup


def _ticks(scale: Scale) -> dict[float, str]:
    """As many powers of ten as have room for their names, at most six; a whole number of seconds from 1 s."""
    for most in (6, 5, 4, 3, 2):
        ticks = {t: f"{t:,.0f} s" if t >= 1 else units.format_seconds(t) for t in scale.ticks(most)}
        places = [_x(scale, value) for value in ticks]
        if max(map(style.text_width, ticks.values())) + 10 <= places[1] - places[0]:
            break
    return ticks


def _prediction(scale: Scale, value: float, top: float, bottom: float) -> list[str]:
    x, colour = _x(scale, value), style.COLOUR["prediction"]
    label = f"you predicted {units.format_seconds(value)}"
    half = style.text_width(label) / 2
    centre = min(max(x, half), style.WIDTH - half)
    return [
        f'<path d="M{x:.1f},{top:.1f}V{bottom:.1f}" stroke="{colour}" stroke-width="3"'
        ' stroke-dasharray="6 4"/>',
        style.text(centre, top - 8, label, anchor="middle", colour=style.ink(colour)),
    ]


def _row(scale: Scale, y: float, name: str, group: Sequence[Result]) -> list[str]:
    furthest = max(_x(scale, result.value) for result in group)
    tips = [result.condition or result.source or units.format_seconds(result.value) for result in group]
    median, place = _median(group), furthest + 14
    box = f'x="{place:.1f}" y="{y - 11:.1f}" width="{style.text_width(median):.1f}" height="22"'
    return [
        style.text(0, y - 2, name),
        style.text(0, y + style.TEXT * 1.1, str(group[0].origin), colour=style.MUTED),
        *(
            style.mark(result.origin, _x(scale, result.value), y, tip=tip)
            for result, tip in zip(group, tips, strict=True)
        ),
        f'<rect {box} fill="{style.GROUND}"/>',  # so that no line goes through the number
        style.text(place, y + style.TEXT * 0.35, median),
    ]


def _median(group: Sequence[Result]) -> str:
    return units.format_seconds(statistics.median(result.value for result in group))
