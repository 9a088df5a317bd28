"""When each rank of a collective is done, for more ranks than `collective_steps` draws."""

from matplotlib.axes import Axes

from hpclab import checks
from hpclab.figures import direct_labels, scales, style, wording
from hpclab.models.schedule_time import ScheduleTime
from hpclab.units import format_seconds


def draw(ax: Axes, timing: ScheduleTime, healthy: ScheduleTime | None = None) -> Axes:
    """Draw when each rank is done; `healthy` is the same without the slow link, for comparison."""
    runs = {"communication": (timing, "all ranks")}
    if healthy is not None:
        runs = {"ideal": (healthy, "all links healthy"), "communication": (timing, "with one slow link")}
    schedule = checks.instance("timing", timing, ScheduleTime).schedule
    labels, said = [], []
    for name, (run, label) in runs.items():
        every, colour, time = max(1, len(run.finish) // 256), style.COLOUR[name], format_seconds(run.time)
        ranks, done = range(0, len(run.finish), every), run.finish[::every]
        ax.plot(ranks, done, color=colour)
        labels.append(direct_labels.Label(ranks[-1], float(done[-1]), f"{label}\n{time}", colour))
        low = format_seconds(float(run.finish.min(initial=run.time)))
        said.append(f"{label}: done between {low} and {time}, modelled.")
    ax.set(xlabel="Rank", ylabel="Done after", xlim=(0, max(1, schedule.ranks - 1)))
    ax.set_ylim(0, max(timing.time * 1.05, 1e-12))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    scales.duration(ax.yaxis, timing.time)
    direct_labels.at_right(ax, labels)
    title = wording.algorithm_of(schedule.collective, schedule.algorithm)
    title += f" on {schedule.ranks:,} ranks: {format_seconds(timing.time)} (modelled)"
    return style.describe(ax, title, " ".join(said))
