"""A pipeline over time: ranks down, a box for each micro-batch's forward and backward, the bubble white. A
rank's later chunks are paler; at the right stands how many micro-batches' activations it holds at most."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from hpclab import checks
from hpclab.figures import scales, style, wording
from hpclab.models.pipeline import PipelineTime
from hpclab.units import format_seconds

MOST = 16  # rows: more are too thin
_KINDS = {"forward": style.COLOUR["compute"], "backward": "#CC79A7"}
_DIGIT, _ACROSS = 13.0, 0.78 * style.WIDTH  # pixels


def compare(above: PipelineTime, below: PipelineTime) -> Figure:
    """Draw `above` over `below`, both on a time axis at least as long as `above` takes."""
    figure, axes = pyplot.subplots(2, figsize=(style.WIDTH / 96, 4.9))
    for ax, timing in zip(axes, (above, below), strict=True):
        draw(ax, timing, until=above.makespan)
    return figure


def draw(ax: Axes, timing: PipelineTime, *, until: float = 0.0) -> Axes:
    """Draw `timing` on a time axis of at least `until` seconds; of many ranks only MOST are drawn."""
    pipeline = checks.instance("timing", timing, PipelineTime).pipeline
    span = max(until, timing.makespan)
    shown = style.evenly_spaced(pipeline.ranks, MOST)
    ax.barh(range(len(shown)), timing.makespan, 0.8, facecolor=style.GROUND, edgecolor=style.GRID)
    _boxes(ax, timing, shown, _DIGIT * len(f"{pipeline.micro_batches - 1}") * span / _ACROSS)
    keys = [Patch(**_attributes(word), label=word) for word in _KINDS]
    keys += [Patch(facecolor=style.GROUND, edgecolor=style.MUTED, label="idle")]
    keys += [Patch(alpha=0, label="paler: a rank's later chunks")] * (pipeline.chunks > 1)
    style.key_above(ax, handles=keys, ncols=4)
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
    where = wording.counted(pipeline.ranks, "stage") + f" × {pipeline.chunks} chunks" * (pipeline.chunks > 1)
    batches = f"{pipeline.micro_batches} micro-batch{'es' * (pipeline.micro_batches > 1)}"
    title = f"{pipeline.name[0].upper()}{pipeline.name[1:]} on {where}, {batches}: {timing.bubble:.0%} idle"
    text = f"All is done after {format_seconds(timing.makespan)}. Rank 0 holds the activations of up to "
    text += f"{counts[0]:.3g} micro-batches, the last rank of {counts[-1]:.3g}."
    return style.describe(ax, title + wording.unless_measured(timing.origin), text, above=1)


def _boxes(ax: Axes, timing: PipelineTime, shown: Sequence[int], room: float) -> None:
    """Draw the steps of the ranks `shown`; number those that last longer than `room` seconds."""
    steps, ranks, chunks = timing.pipeline.steps, timing.pipeline.ranks, timing.pipeline.chunks
    drawn = numpy.isin(steps["rank"], shown)
    for (kind, word), chunk in product(enumerate(_KINDS), range(chunks)):
        own = numpy.flatnonzero(drawn & (steps["kind"] == kind) & (steps["stage"] // ranks == chunk))
        row, numbers = numpy.searchsorted(shown, steps["rank"][own]), steps["micro_batch"][own]
        left, right, top, bottom = timing.start[own], timing.end[own], row - 0.4, row + 0.4
        corners = numpy.array([(left, top), (right, top), (right, bottom), (left, bottom)]).transpose(2, 0, 1)
        boxes = Path.make_compound_path_from_polys(corners)  # one path: thousands of patches take seconds
        ax.add_patch(PathPatch(boxes, linewidth=0.3, **_attributes(word, chunk / chunks)))
        ink = style.INK if kind or chunk else style.GROUND
        for n in numpy.flatnonzero(right - left > room):
            middle = (left[n] + right[n]) / 2
            ax.text(middle, row[n], f"{numbers[n]}", ha="center", va="center", color=ink)


def _attributes(word: str, pale: float = 0.0) -> dict[str, Any]:
    """Attributes of the boxes of a `word` of _KINDS, the paler the nearer `pale` is to 1."""
    red, green, blue = (part + (1 - part) * 0.65 * pale for part in to_rgb(_KINDS[word]))
    return {"facecolor": (red, green, blue), "edgecolor": "#00000099"}
