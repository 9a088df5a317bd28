"""When each rank of a collective is done, for more ranks than a circle holds."""

from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from hpclab import checks
from hpclab.figures import direct_labels, scales, style
from hpclab.figures.collective_side import words
from hpclab.models.schedule_time import ScheduleTime
from hpclab.units import format_seconds


def draw(ax: Axes, timing: ScheduleTime, healthy: ScheduleTime | None = None) -> Axes:
    """Draw when each rank is done; `healthy` is the same without the slow link, for comparison."""
    runs = {"communication": (timing, "all ranks")}
    if healthy is not None:
        runs = {"ideal": (healthy, "all links healthy"), "communication": (timing, "with one slow link")}
    schedule = checks.instance("timing", timing, ScheduleTime).schedule
    labels, said = [], []
    for colour, (run, name) in runs.items():
        every = max(1, len(run.finish) // 256)
        ranks, done = range(0, len(run.finish), every), run.finish[::every]
        ax.plot(ranks, done, color=style.COLOUR[colour])
        text = f"{name}\n{format_seconds(run.time)}"
        labels.append(direct_labels.Label(ranks[-1], float(done[-1]), text, style.COLOUR[colour]))
        low, high = float(run.finish.min(initial=run.time)), run.time
        said.append(f"{name}: done between {format_seconds(low)} and {format_seconds(high)}, modelled.")
    ax.set(xlabel="Rank", ylabel="Done after", xlim=(0, max(1, schedule.ranks - 1)))
    ax.set_ylim(0, max(timing.time * 1.05, 1e-12))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    scales.duration(ax.yaxis, timing.time)
    direct_labels.at_right(ax, labels)
    title = f"{words(schedule.algorithm)} {words(schedule.collective)}".capitalize()
    title += f" on {schedule.ranks:,} ranks: {format_seconds(timing.time)} (modelled)"
    return style.describe(ax, title, " ".join(said))
