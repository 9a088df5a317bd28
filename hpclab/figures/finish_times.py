"""When each rank of a collective is done, for more ranks than a circle holds."""

from __future__ import annotations

from hpclab import checks
from hpclab.figures import style
from hpclab.figures.axes import Axes, Scale
from hpclab.figures.collective_side import words
from hpclab.models.collectives import Timing
from hpclab.units import format_seconds

HEIGHT = 430


def draw(timing: Timing, healthy: Timing | None = None) -> str:
    """The figure as SVG; `healthy` is the same without the slow link, for comparison."""
    for name, run in (("timing", timing), ("healthy", timing if healthy is None else healthy)):
        checks.instance(name, run, Timing)
    schedule = timing.schedule
    unit, scale = ("ms", 1e3) if timing.time >= 1e-3 else ("µs", 1e6)
    title = f"{words(schedule.algorithm)} {words(schedule.collective)}".capitalize()
    title += f" on {schedule.ranks:,} ranks: {format_seconds(timing.time)} (modelled)"
    axes = Axes(
        Scale("Rank", 0, max(1, schedule.ranks - 1)),
        Scale(f"Done after, {unit}", 0, max(scale * timing.time * 1.05, 1e-9)),
        title=title, height=HEIGHT, left=80, right=230,
    )  # fmt: skip
    runs = [(healthy, "ideal", "all links healthy")] if healthy else []
    runs.append((timing, "communication", "with one slow link" if healthy else "all ranks"))
    said = []
    for run, colour, name in runs:
        finish = (scale * run.finish).tolist()
        every = max(1, len(finish) // 256)
        places = [(float(rank), finish[rank]) for rank in range(0, len(finish), every)]
        axes.line(places, style.COLOUR[colour])
        axes.label(*places[-1], f"{name}\n{format_seconds(run.time)}", style.COLOUR[colour])
        low, high = float(run.finish.min(initial=run.time)), run.time
        said.append(f"{name}: done between {format_seconds(low)} and {format_seconds(high)}, modelled.")
    return axes.svg(" ".join(said))
