"""A pipeline over time: ranks down, time across, a box for each forward and backward, the bubble white.

The number in a box is its micro-batch. Of a rank's stages the later ones are paler. At the right stands of
how many micro-batches a rank holds the activations at the most.
"""

from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from hpclab import checks
from hpclab.figures import scales, style
from hpclab.models.pipeline import Timing
from hpclab.results import Origin
from hpclab.schedules.pipelines import BACKWARD, FORWARD, WEIGHT
from hpclab.units import format_seconds

MOST = 16  # rows: more are too thin
_WORDS = {FORWARD: "forward", BACKWARD: "backward", WEIGHT: "backward of weights"}
_COLOUR = {FORWARD: style.COLOUR["compute"], BACKWARD: "#CC79A7", WEIGHT: "#EBC9DB"}
_DIGIT, _ACROSS = 13.0, 0.78 * style.WIDTH  # pixels
_TIPS = 600


def draw(ax: Axes, timing: Timing, *, until: float = 0.0) -> Axes:
    """Draw `timing`, the time axis at least up to `until` seconds, so that two of them can be compared.

    Of more than MOST ranks some are drawn, evenly spaced.
    """
    pipeline = checks.instance("timing", timing, Timing).pipeline
    span = max(checks.number("until", until, 0, 1e12, "seconds"), timing.makespan)
    shown = sorted({round(rank) for rank in numpy.linspace(0, pipeline.ranks - 1, min(pipeline.ranks, MOST))})
    for row, rank in enumerate(shown):
        ax.broken_barh([(0, timing.makespan)], (row - 0.4, 0.8), fc=style.GROUND, ec=style.GRID)
        _boxes(ax, row, timing, numpy.arange(*pipeline.bounds[rank : rank + 2]), _ACROSS / span)
    keys = [
        Patch(**_look(kind), label=_WORDS[kind]) for kind in numpy.unique(pipeline.steps["kind"]).tolist()
    ]
    keys += [Patch(fc=style.GROUND, ec=style.MUTED, label="bubble")]
    keys += [Patch(alpha=0, label="paler: a rank's later chunks")] * (pipeline.chunks > 1)
    legend = ax.legend(handles=keys, loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=4, borderaxespad=0.1)
    legend.set_in_layout(False)
    ax.set(xlim=(0, span), ylim=(len(shown) - 0.4, -0.6), ylabel="Rank", xlabel="Time since the beginning")
    held, counts = ax.secondary_yaxis("right"), pipeline.in_flight / pipeline.chunks
    held.set_ylabel("Micro-batches held")
    held.spines["right"].set_visible(False)
    named = range(0, len(shown), -(-len(shown) // 8))
    for axis, words in ((ax, numpy.arange(pipeline.ranks)), (held, counts)):
        axis.set_yticks(named, [f"{words[shown[row]]:.3g}" for row in named])
        axis.tick_params(axis="y", length=0)
    ax.grid(visible=False)
    scales.duration(ax.xaxis, span)
    where = f"{pipeline.ranks} ranks × {pipeline.chunks} chunks"
    where = where if pipeline.chunks > 1 else style.counted(pipeline.ranks, "stage")
    batches = f"{pipeline.micro_batches} micro-batch{'es' * (pipeline.micro_batches > 1)}"
    title = f"{pipeline.name[0].upper()}{pipeline.name[1:]} on {where}, {batches}: {timing.bubble:.0%} bubble"
    title += f" ({timing.origin})" * (timing.origin is not Origin.MEASURED)
    text = f"All is done after {format_seconds(timing.makespan)}. Rank 0 holds the activations of up to "
    text += f"{counts[0]:.3g} micro-batches, the last rank of {counts[-1]:.3g}."
    return style.describe(ax, title, text, above=1)


def _boxes(ax: Axes, row: int, timing: Timing, places: Any, pixels: float) -> None:
    """The steps at `places`, all of a rank, and their numbers where a second has enough `pixels`."""
    pipeline, few = timing.pipeline, len(timing.start) <= _TIPS
    kinds, chunks = pipeline.steps["kind"][places], pipeline.steps["stage"][places] // pipeline.ranks
    room = _DIGIT * len(f"{pipeline.micro_batches - 1}") / pixels
    for kind, chunk in numpy.ndindex(len(_WORDS), pipeline.chunks):
        own = places[(kinds == kind) & (chunks == chunk)]
        numbers, start = pipeline.steps["micro_batch"][own].tolist(), timing.start[own]
        wide = timing.end[own] - start
        look = _look(kind, chunk / pipeline.chunks) | {"linewidth": 0.6 if few else 0.2}
        drawn = ax.broken_barh([*zip(start, wide, strict=True)], (row - 0.4, 0.8), **look)
        said = [(n, format_seconds(seconds)) for n, seconds in zip(numbers, wide, strict=True)]
        if few:
            style.tips(drawn, *(f"{_WORDS[kind]} {number}: {seconds}" for number, seconds in said))
        if kind != WEIGHT and min(wide, default=0) > room:
            ink = style.GROUND if kind == FORWARD and not chunk else style.INK
            for number, middle in zip(numbers, start + wide / 2, strict=True):
                ax.text(middle, row, f"{number}", ha="center", va="center", color=ink)


def _look(kind: int, pale: float = 0.0) -> dict[str, Any]:
    red, green, blue = (part + (1 - part) * 0.65 * pale for part in to_rgb(_COLOUR[kind]))
    return {"facecolor": (red, green, blue), "hatch": "//" * (kind == WEIGHT), "edgecolor": "#00000099"}
