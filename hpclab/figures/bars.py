"""Where the time went: stacked bars in rank-seconds, one for each node count.

A bar is ranks × makespan high, whatever happened in it: that is what n nodes cost while the run lasted. Each
part has a colour, a pattern and a label; the part that no event explains is drawn too, never left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from hpclab import checks
from hpclab.figures import style
from hpclab.figures.axes import Axes, Scale
from hpclab.results import Result
from hpclab.trace import COMPONENTS, UNEXPLAINED
from hpclab.units import format_seconds

ORDER = ("compute", "storage", "transfer", "worker start", "queue wait", "idle", UNEXPLAINED)


def rank_seconds(results: Sequence[Result]) -> dict[int, dict[str, float]]:
    """Mean rank-seconds by component for each node count, from Results that name a component of a bar.

    The mean over repeats, not the median: only means of the parts still sum to the mean of the whole.
    """
    parts: dict[int, dict[str, dict[tuple[str, int], float]]] = {}
    for result in checks.instances("results", results, Result):
        if result.component in (*COMPONENTS, UNEXPLAINED):
            nodes = checks.integer("nodes", result.parameters.get("nodes"), 1, 1_000_000)
            repeats = parts.setdefault(nodes, {}).setdefault(result.component, {})
            repeats[result.run, result.repeat] = result.value
    return {
        nodes: {name: sum(v.values()) / len(v) for name, v in parts[nodes].items()} for nodes in sorted(parts)
    }


def draw(
    bars: Mapping[int, Mapping[str, float]], *, highest: float | None = None, unit: str = "nodes"
) -> str:
    """The figure as SVG, from rank-seconds by component for each node count (see `rank_seconds`).

    `highest` keeps the axis where it was while bars come in. An empty mapping gives empty axes that say so.
    """
    for count, parts in checks.instance("bars", bars, Mapping, "rank-seconds by number").items():
        checks.number(unit, count, 0, 1e12)
        for name, seconds in parts.items():
            checks.number(f"{name} at {count}", seconds, 0, 1e12, "rank-seconds")
    checks.instance("unit", unit, str, "text")
    if highest is not None:
        checks.number("highest", highest, 0, 1e15, "rank-seconds")
    counts = sorted(bars)
    totals = {count: sum(bars[count].values()) for count in counts}
    top = max([highest or 0, *totals.values()]) * 1.05 or 1.0
    places = tuple(float(n) for n in range(1, len(counts) + 1))
    ticks = places or (0.0,)  # none inside the axis while there is no bar
    axes = Axes(
        Scale(
            unit[:1].upper() + unit[1:],
            0.4,
            max(len(counts), 1) + 0.6,
            at=ticks,
            names=tuple(map(str, counts)),
        ),
        Scale("Rank-seconds (ranks × makespan), s", 0, top),
        title=_title(bars, totals, unit),
        height=400,
        right=270,
    )
    prefix = f"p{zlib.crc32(repr(counts).encode()):x}"
    axes.add(f"<defs>{''.join(style.pattern(name, prefix) for name in ORDER)}</defs>")
    for place, count in zip(places, counts, strict=True):
        edge = 0.0
        for name in ORDER:
            seconds = bars[count].get(name, 0.0)
            if seconds > 0:
                _part(
                    axes,
                    place,
                    edge,
                    seconds,
                    name,
                    prefix,
                    f"{_counted(count, unit)}, {name}: {format_seconds(seconds)}",
                )
                if count == counts[-1]:
                    axes.label(place + 0.35, edge + seconds / 2, f"{name} {format_seconds(seconds)}")
            edge += seconds
    return axes.svg(_description(bars, totals, unit))


def _part(axes: Axes, place: float, edge: float, seconds: float, name: str, prefix: str, tip: str) -> None:
    left, right = axes.px(place - 0.35), axes.px(place + 0.35)
    high, low = axes.py(edge + seconds), axes.py(edge)
    look = f'fill="{style.fill(name, prefix)}" stroke="{style.INK}" stroke-width=".7"'
    box = f'x="{left:.1f}" y="{high:.1f}" width="{right - left:.1f}" height="{low - high:.1f}"'
    axes.add(f"<rect {box} {look}><title>{tip}</title></rect>")


def _title(bars: Mapping[int, Mapping[str, float]], totals: Mapping[int, float], unit: str) -> str:
    if not totals or not totals[max(totals)]:
        return "Where does the time go? No run yet"
    count = max(totals)
    useful = bars[count].get("compute", 0.0) / totals[count]
    losses = {name: seconds for name, seconds in bars[count].items() if name != "compute"}
    worst = max(losses, key=losses.__getitem__, default="")
    title = f"At {_counted(count, unit)}: {useful:.0%} compute"
    if worst and losses[worst] > 0.005 * totals[count]:
        title += f", {losses[worst] / totals[count]:.0%} {worst}"
    return title


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit.removesuffix('s') if count == 1 else unit}"


def _description(bars: Mapping[int, Mapping[str, float]], totals: Mapping[int, float], unit: str) -> str:
    lines = []
    for count in sorted(bars):
        said = ", ".join(f"{n} {format_seconds(bars[count][n])}" for n in ORDER if bars[count].get(n, 0) > 0)
        lines.append(f"{_counted(count, unit)}: {format_seconds(totals[count])} in all: {said}.")
    return " ".join(lines) or "Empty axes: run at a point to see its bar."
