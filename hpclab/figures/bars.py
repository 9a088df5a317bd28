"""Where the time went: a stacked bar for each node count, ranks × makespan high in rank-seconds."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib.axes import Axes

from hpclab import checks, quality
from hpclab.figures import scales, stacks, style, wording
from hpclab.results import Origin, Result, weakest
from hpclab.trace import COMPONENTS, UNEXPLAINED
from hpclab.units import format_seconds

ORDER = ("compute", "storage", "transfer", "worker start", "queue wait", "idle", UNEXPLAINED)
_THICK = 0.7
Bars = Mapping[int, Mapping[str, float]]


def rank_seconds(results: Sequence[Result]) -> dict[int, dict[str, float]]:
    """Mean rank-seconds by node count and component, of the `results` whose component is part of a bar.
    Means, because only they still sum to the mean of the whole."""
    parts: dict[int, dict[str, list[float]]] = {}
    for result in checks.instances("results", results, Result):
        if result.component in (*COMPONENTS, UNEXPLAINED):
            bar = parts.setdefault(result.parameters["nodes"], {})
            bar.setdefault(result.component, []).append(result.value)
    return {nodes: {name: fmean(every) for name, every in parts[nodes].items()} for nodes in sorted(parts)}


def draw(ax: Axes, bars: Bars | Sequence[Result], *, unit: str = "nodes", doubt: str = "") -> Axes:
    """Draw `bars`: Results, or rank-seconds by component for each node count (see `rank_seconds`) with
    `doubt`, what `quality.doubt` says of the Results behind them. `unit` is the plural of what is counted."""
    results = [] if isinstance(bars, Mapping) else checks.instances("bars", bars, Result)
    parts = bars if isinstance(bars, Mapping) else rank_seconds(results)
    for count, one in parts.items():
        checks.numbers(f"rank-seconds at {count}", [*one.values()], 0, 1e12)
    counts = sorted(parts)
    totals = {count: sum(parts[count].values()) for count in counts}
    top = max(totals.values(), default=0) or 1.0
    columns = [{name: parts[count][name] for name in ORDER if name in parts[count]} for count in counts]
    named = {wording.numbered(count, unit): column for count, column in zip(counts, columns, strict=True)}
    attributes = {name: style.part(name) for name in ORDER}
    text = stacks.draw(ax, named, attributes, format_seconds, 1.05 * top, thick=_THICK)
    _inside(ax, columns, top)
    ax.set(xlim=(-0.6, max(len(counts), 1) - 0.4), ylabel="Rank-seconds")
    ax.set_xlabel(unit[:1].upper() + unit[1:])
    ax.set_xticks(range(len(counts)), [f"{count}" for count in counts])
    scales.duration(ax.yaxis, top)
    title = "Where does the time go? No run yet"
    if counts and totals[counts[-1]]:
        title = f"At {wording.numbered(counts[-1], unit)}: {shares(columns[-1])}"
    origins = (one.origin for one in results if one.component)
    title += wording.unless_measured(weakest(Origin.MEASURED, *origins))
    answer = wording.doubted(title, quality.doubt(results), doubt)
    return style.describe(ax, answer, text or "Empty axes: run at a point to see its bar.")


def _inside(ax: Axes, columns: Sequence[Mapping[str, float]], top: float) -> None:
    """Write the sizes into each column but the last, and the names that the last one lacks, if they fit."""
    wide = 540 * _THICK / (len(columns) + 0.2)  # pixels, of which a letter takes half its height and more
    for place, column in enumerate(columns[:-1]):
        edge = 0.0
        for name, size in column.items():
            alone = columns[-1].get(name, 0.0) <= 0.01 * top
            lines = [name] * alone + [format_seconds(size)]
            lines = [line for line in lines if len(line) * 0.52 * style.TEXT < wide]
            if lines := lines[: int(size / top * 290 / (1.3 * style.TEXT))]:
                dark = {"color": style.GROUND} if name == "compute" else {"bbox": style.BEHIND}
                ax.text(place, edge + size / 2, "\n".join(lines), ha="center", va="center", zorder=4, **dark)
            edge += size


def shares(parts: Mapping[str, float]) -> str:
    """The share of computing and of the largest other part: "81% compute, 12% transfer"."""
    total = sum(parts.values()) or 1.0
    losses = {name: seconds for name, seconds in parts.items() if name != "compute"}
    worst = max(losses, key=losses.__getitem__, default="")
    text = f"{parts.get('compute', 0.0) / total:.0%} compute"
    share = losses[worst] / total if worst else 0.0
    return text + f", {share:.0%} {worst}" * (share > 0.005)
