"""What happened when: ranks down, time across, every kind of event in its colour and pattern. Where two
events overlap on a rank, the kind that stands first in ``trace.KINDS`` is seen, as in bars."""

from collections.abc import Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from hpclab import checks
from hpclab.figures import bars, scales, style, wording
from hpclab.trace import COMPONENTS, KINDS, Event, Trace
from hpclab.units import format_bytes, format_seconds

MOST = 32  # rows: more are too thin to be told apart
_FINE = 1 / 400  # of the time axis: stretches of one kind with a smaller gap are drawn as one
_TIPS = 600
_PART = {kind: name for name, kinds in COMPONENTS.items() for kind in kinds}


def draw(ax: Axes, trace: Trace, *, doubt: str = "", title: str = "", names: Sequence[str] = ()) -> Axes:
    """Draw `trace`; the title says where the time went, or `doubt`, what `quality.doubt` says of its tasks.
    `names` are those of its ranks. Of more than MOST ranks, MOST evenly spaced ones are drawn. ValueError
    where nothing happened in it."""
    checks.instance("trace", trace, Trace)
    if not trace.events or not trace.ranks or not trace.makespan:
        raise ValueError("This trace holds no event yet: run something first, such as pool.map(task, items).")
    shown = style.evenly_spaced(trace.ranks, MOST)
    above = rows(ax, trace, shown)
    ax.set(ylabel="" if names else "Rank", xlabel="Time since the beginning")
    every = -(-len(shown) // 8)
    called = [names[rank] if names else f"{rank}" for rank in shown]
    ax.set_yticks(range(0, len(shown), every), called[::every])
    ax.tick_params(axis="y", length=0)
    parts = trace.bars()
    answer = f"{wording.counted(trace.ranks, 'rank')}, {format_seconds(trace.makespan)}: {bars.shares(parts)}"
    answer += wording.unless_measured(trace.origin)
    answer += f"; {len(shown)} ranks are drawn" * (trace.ranks > len(shown))
    said = ", ".join(f"{name} {format_seconds(seconds)}" for name, seconds in parts.items() if seconds > 0)
    text = f"{len(trace.events):,} events on {trace.ranks:,} ranks. In rank-seconds: {said}."
    return style.describe(ax, wording.doubted(title or answer, doubt), text, above=above)


def rows(ax: Axes, trace: Trace, shown: Sequence[int], **names: str) -> int:
    """Draw the events of the ranks `shown`, first on top, and a legend above; return how many lines it takes.
    `names` are words for kinds of events. What stands in `ax` already with a label is in the legend too."""
    lines, words = ax.get_legend_handles_labels()
    found: dict[tuple[str, int], list[Event]] = {}
    for event in trace.events:
        found.setdefault((event.kind, event.rank), []).append(event)
    few = sum(len(found.get((kind, rank), ())) for kind in KINDS for rank in shown) <= _TIPS
    for kind in reversed(KINDS):  # the later covers the earlier
        for row, rank in enumerate(shown):
            if same := sorted(found.get((kind, rank), ()), key=lambda event: event.start):
                spans = [(event.start - trace.start, event.duration) for event in same]
                part = style.part(_PART[kind]) | {"linewidth": 0.6 if few else 0}
                spans = spans if few else _merged(spans, trace.makespan * _FINE)
                drawn = ax.broken_barh(spans, (row - 0.4, 0.8), **part)
                if few:
                    style.tips(drawn, *map(_tip, same))
    parts = {_PART[event.kind]: names.get(event.kind, _PART[event.kind]) for event in trace.events}
    handles = [*(Patch(**style.part(name)) for name in parts), *lines]
    legend = style.key_above(ax, handles, [*parts.values(), *words], ncols=5, columnspacing=0.9)
    ax.set(xlim=(0, trace.makespan), ylim=(len(shown) - 0.4, -0.6))
    ax.grid(visible=False)
    scales.duration(ax.xaxis, trace.makespan)
    return -(-len(legend.texts) // 5)


def _merged(spans: Sequence[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Join spans (start, duration) that are less than `gap` apart."""
    starts, durations = numpy.transpose(spans)
    ends = numpy.maximum.accumulate(starts + durations)
    apart = starts[1:] - ends[:-1] >= gap
    first, last = starts[numpy.append(True, apart)], ends[numpy.append(apart, True)]
    return [*zip(first.tolist(), (last - first).tolist(), strict=True)]


def _tip(event: Event) -> str:
    text = f"rank {event.rank}, {event.label or event.kind}: {format_seconds(event.duration)}"
    return text + f", {format_bytes(event.bytes)}" * bool(event.bytes)
