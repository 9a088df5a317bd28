"""A pipeline over time: ranks down, time across, a box for each forward and backward, the bubble white.

The number in a box is its micro-batch. Of a rank's stages the later ones are paler. At the right stands of
how many micro-batches a rank holds the activations at the most.
"""

from collections.abc import Sequence
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

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
    ax.barh(range(len(shown)), timing.makespan, 0.8, facecolor=style.GROUND, edgecolor=style.GRID)
    _boxes(ax, timing, shown, _DIGIT * len(f"{pipeline.micro_batches - 1}") * span / _ACROSS)
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


def _boxes(ax: Axes, timing: Timing, shown: Sequence[int], room: float) -> None:
    """The steps of the ranks `shown`; their numbers, where they last longer than `room` seconds."""
    pipeline, steps, few = timing.pipeline, timing.pipeline.steps, len(timing.pipeline.steps) <= _TIPS
    drawn, chunks = numpy.isin(steps["rank"], shown), steps["stage"] // pipeline.ranks
    for kind, chunk in numpy.ndindex(len(_WORDS), pipeline.chunks):
        own = numpy.flatnonzero(drawn & (steps["kind"] == kind) & (chunks == chunk))
        if not len(own):
            continue
        row, numbers = numpy.searchsorted(shown, steps["rank"][own]), steps["micro_batch"][own].tolist()
        left, right, top, bottom = timing.start[own], timing.end[own], row - 0.4, row + 0.4
        corners = numpy.array([(left, top), (right, top), (right, bottom), (left, bottom)]).transpose(2, 0, 1)
        look = _look(kind, chunk / pipeline.chunks)
        if few:
            boxes = ax.add_collection(PolyCollection(list(corners), linewidth=0.6, **look))
            said = zip(numbers, right - left, strict=True)
            style.tips(boxes, *(f"{_WORDS[kind]} {number}: {format_seconds(wide)}" for number, wide in said))
        else:  # one path for all of them: a sixth of the time
            ax.add_patch(PathPatch(Path.make_compound_path_from_polys(corners), linewidth=0.2, **look))
        if kind != WEIGHT and (right - left).min() > room:
            ink = style.GROUND if kind == FORWARD and not chunk else style.INK
            for number, x, y in zip(numbers, (left + right) / 2, row, strict=True):
                ax.text(x, y, f"{number}", ha="center", va="center", color=ink)


def _look(kind: int, pale: float = 0.0) -> dict[str, Any]:
    red, green, blue = (part + (1 - part) * 0.65 * pale for part in to_rgb(_COLOUR[kind]))
    return {"facecolor": (red, green, blue), "hatch": "//" * (kind == WEIGHT), "edgecolor": "#00000099"}
