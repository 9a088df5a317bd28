"""Labels beside what they name, placed so that none overlap whenever the figure is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from hpclab.figures import style

Place = tuple[float, float]
MARGIN = 1.03  # where labels at the right begin, in widths of the axes
_REACH = (9, 16, 24, 38, 56, 79, 105, 135, 172, 218)  # points between a mark and its label
_NEAR = 16  # points, to which no line needs to lead
_SIDES = (  # how far across and up, in parts of the reach; which part of the text is left of there
    (1, 0, 0), (-1, 0, 1), (1, -0.7, 0), (1, 0.7, 0), (-1, 0.7, 1), (-1, -0.7, 1), (0, 1, 0.5), (0, -1, 0.5),
    (0, 1, 0.2), (0, -1, 0.2), (0, 1, 0.8), (0, -1, 0.8), (1, -1.6, 0), (1, 1.6, 0),
)  # fmt: skip


@dataclass(frozen=True)
class Label:
    """A label: its `text`, and the point (x, y) that it names, in the data's units."""

    x: float
    y: float
    text: str
    colour: str = style.INK


def _before_labels(ax: Axes, arrange: Callable[[Any], None]) -> None:
    """Call `arrange` with the renderer just before the labels of `ax` are drawn."""
    artist = Artist()
    artist.set(zorder=2.5, in_layout=False)
    vars(artist)["draw"] = arrange
    ax.add_artist(artist)


def _label_line(colour: str, **more: Any) -> dict[str, Any]:
    """The `arrowprops` of ``ax.annotate`` for a thin line, without a head, from a label to its point."""
    return {"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 3, **more}


def at_right(ax: Axes, labels: Sequence[Label]) -> None:
    """Write `labels` into the right margin, with a thin line from each to its point."""
    low, high = ax.get_ylim()
    notes = [
        ax.annotate(
            label.text, (label.x, min(max(label.y, low), high)), (MARGIN, 0.5), textcoords="axes fraction",
            color=style.ink(label.colour), va="center", linespacing=1.1, annotation_clip=False,
            arrowprops=_label_line(label.colour, relpos=(0, 0.5)),
        )
        for label in labels
    ]  # fmt: skip

    def arrange(renderer: Any) -> None:
        frame = ax.bbox
        heights = [Text.get_window_extent(note, renderer).height for note in notes]
        ends = [ax.transData.transform(note.xy)[1] for note in notes]
        for note, place in zip(notes, spread(ends, heights, frame.y0, frame.y1), strict=True):
            note.xyann = MARGIN, (place - frame.y0) / frame.height

    _before_labels(ax, arrange)


def beside(ax: Axes, labels: Sequence[Label]) -> None:
    """Write `labels` beside their points where `FreeSpace` is free, with a thin line to those farther off."""
    common: dict[str, Any] = {"textcoords": "figure points", "annotation_clip": False, "in_layout": False}
    letters: dict[str, Any] = common | {"va": "center", "zorder": 5, "bbox": style.BEHIND}
    notes, leaders = [], []
    for label in labels:
        place, colour = (label.x, label.y), style.ink(label.colour)
        notes.append(ax.annotate(label.text, place, (0, 0), color=colour, **letters))
        leaders.append(ax.annotate("", place, (0, 0), arrowprops=_label_line(colour), **common))

    def arrange(renderer: Any) -> None:
        unit, sizes = renderer.points_to_pixels(1), []
        for note, leader in zip(notes, leaders, strict=True):
            note.set_visible(True)
            sizes.append(Text.get_window_extent(note, renderer).size / unit)
            note.set_visible(False)
            leader.set_visible(False)
        points = [ax.transData.transform(note.xy) / unit for note in notes]
        space = vars(ax)["_hpclab_space"] = FreeSpace(ax, renderer, points)
        room = [point[0] + size[0] < space.frame.x1 for point, size in zip(points, sizes, strict=True)]
        # first those with no room on the right, and of them the longest
        for number in sorted(range(len(notes)), key=lambda n: (room[n], -sizes[n][0])):
            if found := space.find(points[number], sizes[number]):
                box, near = found
                space.take(box, points[number], near)
                notes[number].set(position=(box.x0, (box.y0 + box.y1) / 2), visible=True)
                if near is not None:
                    leaders[number].set(position=near, visible=True)

    _before_labels(ax, arrange)


class FreeSpace:
    """The parts of `ax`, in points of its figure, that are clear of lines, marks and texts, and of `points`.
    `beside` leaves it in ``vars(ax)["_hpclab_space"]`` for an overlay."""

    def __init__(self, ax: Axes, renderer: Any, points: Sequence[Any]) -> None:
        unit = renderer.points_to_pixels(1)
        self.frame = Bbox(ax.bbox.get_points() / unit)
        self.taken = [Bbox.from_extents(x - 7, y - 7, x + 7, y + 7) for x, y in points]
        self._marks = [box.padded(-3) for box in self.taken]
        self._lines: list[Path] = []
        self._texts: list[Bbox] = []
        for thing in (*ax.lines, *ax.texts, ax.get_legend()):
            if isinstance(thing, Line2D):
                path = thing.get_transform().transform(thing.get_xydata()) / unit
                self.taken += [box for ends in pairwise(path) for box in between(*ends, 3)]
            elif thing is not None and thing.get_visible():
                box = Bbox(thing.get_window_extent(renderer).get_points() / unit)
                turned = isinstance(thing, Text) and thing.get_rotation()
                boxes = between(box.p0, box.p1, 12) if turned else [box]
                self.taken += boxes
                self._texts += boxes

    def find(self, point: Any, size: Any, also: Sequence[Bbox] = ()) -> tuple[Bbox, Any] | None:
        """Find the free box nearest to `point` for a text of `size` (width, height), off the boxes `also`,
        all in points of the figure. Return it with the place at its edge where the line from `point` ends, or
        with None where it is so near that it needs no line; return None without room. A line that crosses a
        text or a mark, or worse, another line, is taken only for want of a better one."""
        (x, y), (width, height), frame = point, size, self.frame
        taken = numpy.array([box.extents for box in (*self.taken, *also)]).reshape(-1, 4)
        best, worth = None, 4
        for reach, (across, up, before) in product(_REACH, _SIDES):
            left, middle = x + across * reach - before * width, y + up * reach
            if not across:  # above or below: as far to the side as it takes to stay inside
                left = max(min(left, frame.x1 - width - 4), frame.x0 + 4)
            box = Bbox.from_bounds(left, middle - height / 2, width, height)
            inside = frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
            if not inside or ((taken[:, :2] < box.p1) & (taken[:, 2:] > box.p0)).all(axis=1).any():
                continue
            near = numpy.clip(point, box.p0, box.p1)
            if numpy.hypot(*(near - point)) <= _NEAR:
                return box, None
            line = Path([point, near])
            crossed = 2 * any(line.intersects_path(other, filled=False) for other in self._lines)
            others = (box for box in self._marks if not box.contains(x, y))
            crossed += any(map(line.intersects_bbox, (*self._texts, *others)))
            if crossed < worth:
                best, worth = (box, near), crossed
        return best

    def take(self, box: Bbox, point: Any, near: Any) -> None:
        """Occupy `box`, and the line from `point` to `near` if there is one."""
        self._texts.append(box)
        self.taken.append(box.padded(1))
        if near is not None:
            self._lines.append(Path([point, near]))
            self.taken += between(point, near, 1)


def between(start: Any, end: Any, half: float) -> list[Bbox]:
    """Squares, 2 `half` wide, that cover the line from `start` to `end`."""
    steps = max(1, round(float(numpy.hypot(*numpy.subtract(end, start))) / (2 * half)))
    return [Bbox([place - half, place + half]) for place in numpy.linspace(start, end, steps + 1)]


def spread(places: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """The middles of boxes of these `heights` from `low` to `high`: near to `places`, not overlapping."""
    if not places:
        return []
    order = numpy.argsort(places, kind="stable")
    apart = [(heights[one] + heights[other]) / 2 + 2 for one, other in pairwise(order)]
    offsets = numpy.cumsum([0.0, *apart])  # of each box from the lowest, if all touch
    groups: list[list[float]] = []  # boxes that touch: where each of them wants the lowest of all
    for wanted in numpy.asarray(places)[order] - offsets:
        groups.append([wanted])
        while len(groups) > 1 and numpy.mean(groups[-2]) > numpy.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    lowest = [numpy.mean(group) for group in groups for _ in group]
    first, last = low + heights[order[0]] / 2, high - heights[order[-1]] / 2 - offsets[-1]
    moved = offsets + numpy.maximum(numpy.minimum(lowest, last), first)
    return [float(place) for place in moved[numpy.argsort(order)]]
