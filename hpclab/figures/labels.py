"""Labels beside points inside the axes, where nothing else stands; a thin line leads to one that is farther
off.

For figures whose points are anywhere. Where lines end at the right, the labels of `axes.Axes` are calmer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hpclab.figures import style

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels
Place = tuple[float, float]
_REACH = (13, 22, 32, 50, 75, 105, 140, 180, 230, 290)
_SIDES = (  # how far across and down, in parts of the reach; which part of the text is left of there
    (1, 0, 0), (-1, 0, 1), (1, 0.7, 0), (1, -0.7, 0), (-1, -0.7, 1), (-1, 0.7, 1), (0, 1, 0.5), (0, -1, 0.5),
    (0, 1, 0.35), (0, -1, 0.35), (0, 1, 0.65), (0, -1, 0.65), (0, 1, 0.2), (0, -1, 0.2), (0, 1, 0.8),
    (0, -1, 0.8), (1, 1.6, 0), (1, -1.6, 0),
)  # fmt: skip


@dataclass
class Labels:
    """The room of a figure: `frame` is what labels must stay inside of.

    They cover no `marks`, `words` or `lines`. What leads to one crosses no mark, and words only where there
    is no other way.
    """

    frame: Box
    marks: list[Box] = field(default_factory=list)
    words: list[Box] = field(default_factory=list)
    lines: list[Box] = field(default_factory=list)

    def keep_off_line(self, start: Place, end: Place, half: float = 4, *, words: bool = False) -> None:
        """Nothing on the line from `start` to `end`, `half` pixels to either side, which may be of words."""
        boxes = [(x - half, y - half, x + half, y + half) for x, y in _along(start, end)]
        (self.words if words else self.lines).extend(boxes)

    def beside(self, x: float, y: float, text: str, colour: str = style.INK) -> str:
        """Markup of `text` as near to (x, y) as it fits; "" where there is no room at all."""
        width = style.text_width(text)
        for uncrossed in ([*self.marks, *self.words], self.marks):
            for reach in _REACH:
                for across, down, before in _SIDES:
                    left = x + across * reach - before * width
                    if not across:  # above or below: as far left as it takes to stay inside
                        left = min(left, self.frame[2] - width - 4)
                    middle = y + down * reach
                    box = (left - 3, middle - style.TEXT * 0.6, left + width + 3, middle + style.TEXT * 0.55)
                    near = min(max(x, box[0]), box[2]), min(max(y, middle), box[3])
                    close = reach <= _REACH[1]
                    if self._free(box) and (close or _leads((x, y), near, uncrossed)):
                        self.words.append(box)
                        path = (
                            f'<path d="M{x:.1f},{y:.1f}L{near[0]:.1f},{near[1]:.1f}" stroke="{style.MUTED}"/>'
                        )
                        anchor = "end" if across < 0 else "start" if across else "middle"
                        return path * (not close) + _haloed(box, anchor, text, colour)
        return ""

    def _free(self, box: Box) -> bool:
        left, top, right, bottom = self.frame
        if not (left < box[0] and top < box[1] and box[2] < right and box[3] < bottom):
            return False
        return not any(_overlap(box, other) for other in (*self.marks, *self.words, *self.lines))


def _leads(start: Place, end: Place, uncrossed: list[Box]) -> bool:
    """Whether a line there crosses none of these but its own mark, and those that share its spot."""
    points = [place for place in _along(start, end) if math.dist(place, start) > 13]
    others = [(a, b, c, d) for a, b, c, d in uncrossed if math.dist(start, ((a + c) / 2, (b + d) / 2)) > 8]
    return not any(a < x < c and b < y < d for x, y in points for a, b, c, d in others)


def _along(start: Place, end: Place) -> list[Place]:
    steps = max(1, math.ceil(math.dist(start, end) / 8))
    (x, y), (right, down) = start, end
    return [(x + n / steps * (right - x), y + n / steps * (down - y)) for n in range(steps + 1)]


def _haloed(box: Box, anchor: str, text: str, colour: str) -> str:
    """White around the letters, so that a thin line behind them does not cross them out. They stand at the
    end of their box that is nearest to the mark: most fonts are narrower than `style.text_width` allows."""
    x = {"start": box[0] + 3, "end": box[2] - 3, "middle": (box[0] + box[2]) / 2}[anchor]
    halo = f'paint-order="stroke" stroke="{style.GROUND}" stroke-width="5" stroke-linejoin="round"'
    written = style.text(x, box[1] + style.TEXT * 0.95, text, anchor=anchor, colour=style.ink(colour))
    return f"<g {halo}>{written}</g>"


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
