"""What happened when: ranks down, time across, every kind of event in its colour and pattern.

Where two events overlap on a rank, the instant belongs to the kind that stands first in ``trace.KINDS``, as
in the bars that are derived from a trace. Of hundreds of ranks some are drawn, evenly spaced.
"""

from collections.abc import Sequence

import numpy
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from hpclab import checks
from hpclab.figures import bars, scales, style
from hpclab.results import Origin
from hpclab.trace import COMPONENTS, KINDS, Event, Trace
from hpclab.units import format_bytes, format_seconds

MOST = 32  # rows: more are too thin to be told apart
_FINE = 1 / 400  # of the time axis: stretches of one kind with a smaller gap are drawn as one
_TIPS = 600
_PART = {kind: name for name, kinds in COMPONENTS.items() for kind in kinds}


def draw(
    ax: Axes, trace: Trace, *, doubt: str = "", title: str = "", names: Sequence[str] = ()
) -> Axes:  # fmt: skip
    """Draw `trace`; the title says where the time went, or what `quality.doubt` says of its tasks.

    `names` are what its ranks are called, where they are not all the same. ValueError where nothing happened
    in it.
    """
    checks.instance("trace", trace, Trace)
    if not trace.events or not trace.ranks or not trace.makespan:
        raise ValueError("This trace holds no event yet: run something first, such as pool.map(task, items).")
    shown = sorted({round(rank) for rank in numpy.linspace(0, trace.ranks - 1, min(trace.ranks, MOST))})
    above = rows(ax, trace, shown)
    ax.set(ylabel="" if names else "Rank", xlabel="Time since the beginning")
    every = -(-len(shown) // 8)
    called = [names[rank] if names else f"{rank}" for rank in shown]
    ax.set_yticks(range(0, len(shown), every), called[::every])
    ax.tick_params(axis="y", length=0)
    parts = trace.bars()
    answer = f"{style.counted(trace.ranks, 'rank')}, {format_seconds(trace.makespan)}: {bars.shares(parts)}"
    answer += f" ({trace.origin})" * (trace.origin is not Origin.MEASURED)
    answer += f"; {len(shown)} ranks are drawn" * (trace.ranks > len(shown))
    said = ", ".join(f"{name} {format_seconds(seconds)}" for name, seconds in parts.items() if seconds > 0)
    text = f"{len(trace.events):,} events on {trace.ranks:,} ranks. In rank-seconds: {said}."
    return style.describe(ax, style.doubted(title or answer, doubt), text, above=above)


def rows(ax: Axes, trace: Trace, shown: Sequence[int], **names: str) -> int:
    """The stretches of the ranks `shown`, first on top, and above them what the colours mean.

    `names` are the words for kinds of events, where they are not those of ``trace.COMPONENTS``. What stands
    in `ax` already with a label of its own is named as well. Returns how many lines that takes.
    """
    lines, words = ax.get_legend_handles_labels()
    place = {rank: row for row, rank in enumerate(shown)}
    found: dict[tuple[str, int], list[Event]] = {}
    for event in trace.events:
        if event.rank in place:
            found.setdefault((event.kind, event.rank), []).append(event)
    few, fine = sum(map(len, found.values())) <= _TIPS, trace.makespan * _FINE
    for kind in reversed(KINDS):  # the later covers the earlier
        for rank in shown:
            same = sorted(found.get((kind, rank), ()), key=lambda event: event.start)
            if not same:
                continue
            spans = [(event.start - trace.start, event.duration) for event in same]
            look = style.part(_PART[kind]) | {"linewidth": 0.6 if few else 0}
            drawn = ax.broken_barh(spans if few else _merged(spans, fine), (place[rank] - 0.4, 0.8), **look)
            if few:
                style.tips(drawn, *(_tip(event) for event in same))
    parts = {_PART[event.kind]: names.get(event.kind, _PART[event.kind]) for event in trace.events}
    legend = ax.legend(
        [*(Patch(**style.part(name)) for name in parts), *lines], [*parts.values(), *words],
        loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=5, borderaxespad=0.1, columnspacing=0.9,
    )  # fmt: skip
    legend.set_in_layout(False)
    ax.set(xlim=(0, trace.makespan), ylim=(len(shown) - 0.4, -0.6))
    ax.grid(visible=False)
    scales.duration(ax.xaxis, trace.makespan)
    return -(-len(legend.texts) // 5)


def _merged(spans: Sequence[tuple[float, float]], gap: float) -> list[tuple[float, float]]:
    """Spans as (start, duration), those less than `gap` apart as one."""
    starts, durations = numpy.transpose(spans)
    ends = numpy.maximum.accumulate(starts + durations)
    apart = starts[1:] - ends[:-1] >= gap
    first, last = starts[numpy.append(True, apart)], ends[numpy.append(apart, True)]
    return [*zip(first.tolist(), (last - first).tolist(), strict=True)]


def _tip(event: Event) -> str:
    text = f"rank {event.rank}, {event.label or event.kind}: {format_seconds(event.duration)}"
    return text + f", {format_bytes(event.bytes)}" * bool(event.bytes)
