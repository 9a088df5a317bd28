"""Labels that stand beside what they name, and not on one another, however the figure is resized.

They are matplotlib's own texts. Where each of them goes is worked out whenever the figure is drawn,
from how large its text and its axes are then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text

from hpclab.figures import style

MARGIN = 1.03  # where labels at the right begin, in widths of the axes


@dataclass(frozen=True)
class Label:
    """`text` for the point (x, y), in the data's units."""

    x: float
    y: float
    text: str
    colour: str = style.INK


def at_right(ax: Axes, labels: Sequence[Label]) -> list[Text]:
    """Write `labels` into the right margin, each led to its point by a thin line."""
    notes = [
        ax.text(
            MARGIN, label.y, label.text, transform=ax.get_yaxis_transform(), color=style.ink(label.colour),
            va="center", linespacing=1.1,
        )
        for label in labels
    ]  # fmt: skip
    ax.add_artist(_Spread(notes, labels))
    return notes


def room(ax: Axes, text: str) -> None:
    """Leave as much of the right margin free as `text` takes: an overlay writes there."""
    ax.add_artist(_Room(MARGIN, 0.5, text, transform=ax.transAxes, clip_on=False))


class _Room(Text):
    def draw(self, renderer: Any) -> None:
        """It only takes room."""


class _Spread(Artist):
    """Moves notes apart just before they are drawn, and draws what leads to them."""

    def __init__(self, notes: Sequence[Text], labels: Sequence[Label]) -> None:
        super().__init__()
        self._notes, self._labels = notes, labels
        self.set_zorder(2.5)
        self.set_in_layout(False)

    def draw(self, renderer: Any) -> None:
        if not self._notes or self.axes is None:
            return
        data, frame = self.axes.transData, self.axes.bbox
        points = data.transform([(label.x, label.y) for label in self._labels])
        ends = [min(max(y, frame.y0), frame.y1) for y in points[:, 1]]
        heights = [note.get_window_extent(renderer).height for note in self._notes]
        begin = frame.x0 + MARGIN * frame.width
        for label, note, (x, _), end, place in zip(
            self._labels, self._notes, points, ends, spread(ends, heights, frame.y0, frame.y1), strict=True
        ):
            note.set_y(data.inverted().transform((0, place))[1])
            leader = Line2D([x + 3, begin - 3], [end, place], color=label.colour, linewidth=0.8)
            leader.set_figure(self.get_figure(root=True))
            leader.draw(renderer)


def spread(
    places: Sequence[float], heights: Sequence[float], low: float, high: float, gap: float = 2
) -> list[float]:
    """The middles of boxes of these `heights`, as near to `places` as they go apart, from `low` to `high`."""
    if not places:
        return []
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = [places[i] for i in order]
    apart = [(heights[a] + heights[b]) / 2 + gap for a, b in pairwise(order)]
    for _ in range(60):
        for left, needed in enumerate(apart):
            overlap = needed - (moved[left + 1] - moved[left])
            if overlap > 0:
                moved[left] -= overlap / 2
                moved[left + 1] += overlap / 2
        below, above = sum(apart), 0.0  # what must still find room on either side
        for place, needed in enumerate([*apart, 0.0]):
            half = heights[order[place]] / 2
            moved[place] = max(min(moved[place], high - half - below), low + half + above)
            below, above = below - needed, above + needed
    result = [0.0] * len(places)
    for place, index in zip(moved, order, strict=True):
        result[index] = place
    return result
