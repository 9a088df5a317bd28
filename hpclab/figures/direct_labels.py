"""Labels that stand beside what they name, and not on one another, however the figure is resized.

They are matplotlib's own texts. Where each of them goes is worked out whenever the figure is drawn,
from how large its text and its axes are then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from hpclab.figures import style

Place = tuple[float, float]
_REACH = (9, 16, 24, 38, 56, 79, 105, 135, 172, 218)  # points between a mark and its label
_SIDES = (  # how far across and up, in parts of the reach; which part of the text is left of there
    (1, 0, 0), (-1, 0, 1), (1, -0.7, 0), (1, 0.7, 0), (-1, 0.7, 1), (-1, -0.7, 1), (0, 1, 0.5), (0, -1, 0.5),
    (0, 1, 0.2), (0, -1, 0.2), (0, 1, 0.8), (0, -1, 0.8), (1, -1.6, 0), (1, 1.6, 0),
)  # fmt: skip
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
            self._lead((x + 3, end), (begin - 3, place), label.colour, renderer)

    def _lead(self, start: Place, end: Place, colour: str, renderer: Any) -> None:
        leader = Line2D(*zip(start, end, strict=True), color=colour, linewidth=0.8)
        leader.set_figure(self.axes.figure)  # type: ignore[union-attr]
        leader.draw(renderer)


def beside(ax: Axes, labels: Sequence[Label], keep_off: Sequence[Artist]) -> list[Text]:
    """Write `labels` beside their points inside the axes, where nothing stands; a thin line leads to one that
    is farther off. They cover neither points nor one another, nor the lines and texts in `keep_off`."""
    notes = [
        ax.text(
            label.x, label.y, label.text, color=style.ink(label.colour), va="center", zorder=5,
            transform=None, bbox=style.ground(),
        )
        for label in labels
    ]  # fmt: skip
    for note in notes:
        note.set_in_layout(False)
    ax.add_artist(_Beside(notes, labels, keep_off))
    return notes


def along(ax: Axes, start: Place, end: Place, text: str, colour: str) -> Text:
    """Write `text` above the line from `start` to `end`, turned as the line is, so that it ends before it."""
    note = _Along(start, end, text, colour)
    ax.add_artist(note)
    note.set(transform=None, clip_on=False)
    return note


class _Along(Text):
    def __init__(self, start: Place, end: Place, text: str, colour: str) -> None:
        super().__init__(0, 0, text, color=colour, ha="right", va="bottom", rotation_mode="anchor")
        self._ends = start, end
        self.set_in_layout(False)

    def covered(self, renderer: Any) -> list[Bbox]:
        """Takes its place; what it covers, as boxes along it."""
        if self.axes is None:
            return []
        (left, low), (right, high) = self.axes.transData.transform(self._ends)
        angle, unit = math.atan2(high - low, right - left), renderer.points_to_pixels(1)
        self.set_rotation(0)
        width, height = self.get_window_extent(renderer).size
        x, y = right - unit * (12 * math.cos(angle) + 4 * math.sin(angle)), high - unit * 12 * math.sin(angle)
        y += unit * 4 * math.cos(angle)
        self.set(position=(x, y), rotation=math.degrees(angle))
        x, y, half = x - height / 2 * math.sin(angle), y + height / 2 * math.cos(angle), height / 2
        places = [(x - far * math.cos(angle), y - far * math.sin(angle)) for far in range(0, int(width), 8)]
        return [Bbox.from_extents(a - half, b - half, a + half, b + half) for a, b in places]

    def draw(self, renderer: Any) -> None:
        self.covered(renderer)
        super().draw(renderer)


class _Beside(_Spread):
    def __init__(self, notes: Sequence[Text], labels: Sequence[Label], keep_off: Sequence[Artist]) -> None:
        super().__init__(notes, labels)
        self._keep_off = keep_off

    def draw(self, renderer: Any) -> None:
        if not self._notes or self.axes is None:
            return
        frame, unit = self.axes.bbox, renderer.points_to_pixels(1)
        points = self.axes.transData.transform([(label.x, label.y) for label in self._labels])
        taken = [Bbox.from_extents(x - 6, y - 6, x + 6, y + 6).padded(unit) for x, y in points]
        for artist in self._keep_off:
            taken += _boxes(artist, renderer, 3 * unit)
        sizes = [note.get_window_extent(renderer).size for note in self._notes]
        for number in sorted(  # first those with no room on the right, and of them the longest
            range(len(points)), key=lambda n: (points[n][0] + sizes[n][0] < frame.x1, -sizes[n][0])
        ):
            (x, y), (width, height), note = points[number], sizes[number], self._notes[number]
            note.set_visible(False)
            for reach, (across, up, before) in product(_REACH, _SIDES):
                left, middle = x + across * reach * unit - before * width, y + up * reach * unit
                if not across:  # above or below: as far to the side as it takes to stay inside
                    left = max(min(left, frame.x1 - width - 4 * unit), frame.x0 + 4 * unit)
                box = Bbox.from_bounds(left, middle - height / 2, width, height)
                inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
                if inside and not any(box.overlaps(other) for other in taken):
                    note.set(x=left, y=middle, visible=True)
                    taken.append(box.padded(unit))
                    if reach > _REACH[1]:
                        near = min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)
                        self._lead((x, y), near, style.MUTED, renderer)
                    break


def _boxes(artist: Artist, renderer: Any, half: float) -> list[Bbox]:
    """What an artist covers: a text its letters, a line small boxes along it."""
    if isinstance(artist, Line2D):
        path: Any = artist.get_transform().transform_path(artist.get_path()).vertices
        boxes = []
        for (x, y), (right, up) in pairwise(path):
            steps = max(1, round(math.hypot(right - x, up - y) / (2 * half)))
            along = [(x + n / steps * (right - x), y + n / steps * (up - y)) for n in range(steps + 1)]
            boxes += [Bbox.from_extents(a - half, b - half, a + half, b + half) for a, b in along]
        return boxes
    return artist.covered(renderer) if isinstance(artist, _Along) else [artist.get_window_extent(renderer)]


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
        below, above = float(sum(apart)), 0.0  # what must still find room on either side
        for row, needed in enumerate([*apart, 0.0][: len(moved)]):
            half = heights[order[row]] / 2
            moved[row] = max(min(moved[row], high - half - below), low + half + above)
            below, above = below - needed, above + needed
    result = [0.0] * len(places)
    for place, index in zip(moved, order, strict=True):
        result[index] = place
    return result
