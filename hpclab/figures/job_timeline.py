"""When jobs waited and when they ran: a row for each. Slurm keeps whole seconds, so a bar may be 1 s off."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from matplotlib.axes import Axes

from hpclab import checks
from hpclab.figures import style, timeline, wording
from hpclab.trace import Event, Trace
from hpclab.units import format_seconds

_MOST = 24


@runtime_checkable
class FinishedLike(Protocol):
    """A job of cluster.slurm that has ended; times in seconds on one clock, None where unknown."""

    submitted: float | None
    started: float | None
    ended: float | None


def draw(ax: Axes, jobs: Sequence[FinishedLike], predicted: float | None = None) -> Axes:
    """Draw `jobs`, first submitted on top, and a line `predicted` seconds after the first submission."""
    jobs = checks.instances("jobs", jobs, FinishedLike, "a job that has ended")
    known = [job for job in jobs if None not in (job.submitted, job.started, job.ended)]
    every = sorted(known, key=lambda job: (job.submitted, job.array_task or 0, job.id))
    if not every:
        ax.set_axis_off()
        ax.text(0, 1, "Run the jobs, and they are drawn here.", transform=ax.transAxes, va="top")
        return style.describe(ax, "No job has ended yet", "An empty figure.")
    zero, last = every[0].submitted, max(job.ended for job in every)
    events, shown, told = [], every[:_MOST], []
    for row, job in enumerate(shown):
        wait, run = job.started - job.submitted, job.ended - job.started
        told.append(f"{_name(job)} waited {wait:.0f} s and ran {run:.0f} s on {job.node_list or 'no node'}.")
        events.append(Event(row, "queue", job.submitted - zero, wait, label=told[-1]))
        events.append(Event(row, "compute", job.started - zero, run, label=told[-1]))
    span = max(last - zero, predicted or 0, 1.0)
    title = f"{wording.counted(len(every), 'job')}, the last done after {format_seconds(last - zero)}"
    if predicted is not None:
        colour = style.COLOUR["prediction"]
        ax.axvline(predicted, zorder=3, label="predicted end", color=colour, linestyle="--", linewidth=2)
        title += f"; predicted {format_seconds(predicted)}"
    title += f" (the first {_MOST} are drawn)" * (len(every) > _MOST)
    trace = Trace(tuple(events), len(shown), 0.0, span)
    above = timeline.rows(ax, trace, range(len(shown)), queue="waiting", compute="running")
    style.rows(ax, [name if len(name) <= 20 else name[:19] + "…" for name in map(_name, shown)])
    ax.set(xlabel="Time since the first was submitted", xlim=(0, span * 1.01))
    beside: Any = {"color": style.MUTED, "va": "center", "bbox": style.BEHIND, "zorder": 4}
    for row, job in enumerate(shown):
        node = job.node_list if len(job.node_list) <= 20 else "…" + job.node_list[-19:]  # its number is last
        style.note(ax, node, (job.ended - zero, row), (6, 0), **beside)
    return style.describe(ax, title, " ".join(told), above=above)


def _name(job: Any) -> str:
    return job.name if job.array_task is None else f"{job.name} {job.array_task}"
