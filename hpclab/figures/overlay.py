"""A transparent SVG over a figure that stands still: redrawn in a fraction of matplotlib's 50 ms."""

import math
import uuid
from collections.abc import Sequence
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from hpclab.figures import style
from hpclab.figures.diagram import text_width
from hpclab.figures.direct_labels import MARGIN, Label, Place, between, spread

_POINT = 14.25  # of the text, as in the style sheet
_LINE = 1.2 * _POINT


class Overlay:
    """Draws over the figure of `ax` as ``style.svg`` drew it last; positions are in the data's units."""

    def __init__(self, ax: Axes) -> None:
        whole = style.root(ax)
        self.width, self.height = (72 * side for side in whole.get_size_inches())
        self._scale = 72 / whole.dpi
        self.left, low, self.right, high = (side * self._scale for side in ax.bbox.extents)
        self.top, self.bottom = self.height - high, self.height - low
        self._transform: Any = ax.transData.frozen()
        self._space: Any = vars(ax).get("_hpclab_space")
        self._name = f"o{uuid.uuid4().hex[:8]}"
        self._inside: list[str] = []
        self._over: list[str] = []

    def at(self, x: float, y: float) -> Place:
        """The place of a point of the data, in the SVG's units."""
        across, up = self._transform.transform((x, y)) * self._scale
        return float(across), float(self.height - up)

    def line(self, xs: Sequence[float], ys: Sequence[float], colour: str) -> None:
        """Add a dashed line through the points."""
        places = self._transform.transform([*zip(xs, ys, strict=True)]) * self._scale
        path = "L".join(f"{x:.1f},{min(max(self.height - y, -2000), 4000):.1f}" for x, y in places)
        drawn = f'fill="none" stroke="{colour}" stroke-width="2.3" stroke-dasharray="7 4"'
        self._inside.append(f'<path d="M{path}" {drawn}/>')

    def mark(self, x: float, y: float, colour: str = style.INK) -> None:
        """Add the mark of a modelled number, as ``style.mark`` has it."""
        x, y = self.at(x, y)
        self._over.append(f'<path d="M{x - 4.5:.1f},{y:.1f}h9" stroke="{colour}" stroke-width="3"/>')

    def guess(self, x: float, y: float, colour: str) -> None:
        """Add the mark of what a learner predicted, with a dotted line to the right margin."""
        x, y = self.at(x, y)
        self._over.append(
            f'<path d="M{x:.1f},{y:.1f}H{self.right:.1f}" stroke="{colour}" stroke-dasharray="2 3"/>'
            f'<path d="M{x - 5:.1f},{y - 6:.1f}l11,6l-11,6z" fill="{colour}"/>'
        )

    def arrow(self, start: Place, end: Place, text: str, colour: str) -> None:
        """Add an arrow, unless it were very short, and `text` at its end where there is room."""
        (x, y), (right, low) = self.at(*start), self.at(*end)
        far = math.hypot(right - x, low - y)
        if far > 18:
            tip = f"{right - 8 * (right - x) / far:.1f},{low - 8 * (low - y) / far:.1f}"
            drawn, head = f'fill="none" stroke="{colour}" stroke-width="2"', f"{self._name}-head"
            self._over.append(
                f'<marker id="{head}" refX="9" refY="6" markerWidth="12" markerHeight="12" orient="auto"'
                f' markerUnits="userSpaceOnUse"><path d="M2,1.5L9,6L2,10.5" {drawn}/></marker>'
                f'<path d="M{x:.1f},{y:.1f}L{tip}" {drawn} marker-end="url(#{head})"/>'
            )
        point = right, self.height - low
        arrow = between((x, self.height - y), point, 2)
        found = self._space.find(point, (text_width(text, _POINT), _LINE), arrow)
        box, near = found or (Bbox.from_bounds(right + 9, point[1] - _LINE / 2, 0, _LINE), None)
        if near is not None:
            to = f"{near[0]:.1f},{self.height - near[1]:.1f}"
            self._over.append(f'<path d="M{right:.1f},{low:.1f}L{to}" stroke="{colour}" stroke-width=".8"/>')
        left, middle = box.x0, self.height - box.y0 - _LINE / 2
        self._over.append(
            f'<text x="{left:.1f}" y="{middle + 5:.1f}" fill="{style.ink(colour)}"'
            f' stroke="{style.GROUND}" stroke-width="4" paint-order="stroke">{escape(text)}</text>'
        )

    def vertical(self, x: float, label: str) -> None:
        """Add a line across the axes at `x`, its label on dark ground below them."""
        (place, _), low = self.at(x, 1), self.bottom + 1.3 * _POINT
        half = text_width(label, _POINT, bold=True) / 2 + 5
        self._over.append(
            f'<path d="M{place:.1f},{self.top:.1f}V{self.bottom:.1f}" stroke="{style.INK}"/>'
            f'<rect x="{place - half:.1f}" y="{low - 14:.1f}" width="{2 * half:.1f}" height="18" rx="4"/>'
            f'<text x="{place:.1f}" y="{low:.1f}" text-anchor="middle" fill="{style.GROUND}"'
            f' font-weight="bold">{escape(label)}</text>'
        )

    def at_right(self, labels: Sequence[Label]) -> None:
        """Add texts in the right margin, as ``direct_labels.at_right`` writes them."""
        points = [self.at(label.x, label.y) for label in labels]
        ends = [min(max(y, self.top), self.bottom) for _, y in points]
        heights = [_LINE * len(label.text.splitlines()) for label in labels]
        begin = self.left + MARGIN * (self.right - self.left)
        places = spread(ends, heights, self.top, self.bottom)
        for label, (x, _), end, height, place in zip(labels, points, ends, heights, places, strict=True):
            self._over.append(
                f'<path d="M{x + 3:.1f},{end:.1f}L{begin - 2:.1f},{place:.1f}" fill="none"'
                f' stroke="{label.colour}" stroke-width=".8"/>'
            )
            for row, line in enumerate(label.text.splitlines()):
                at = f'x="{begin:.1f}" y="{place - height / 2 + _LINE * (row + 0.8):.1f}"'
                self._over.append(f'<text {at} fill="{style.ink(label.colour)}">{escape(line)}</text>')

    def title(self, text: str) -> None:
        """Add a title in place of that of the axes, which is then to be left empty."""
        self._over.append(
            f'<text x="{0.006 * self.width:.1f}" y="{self.top - 10:.1f}" font-size="15.75"'
            f' font-weight="bold">{escape(text)}</text>'
        )

    def svg(self) -> str:
        """The overlay as SVG, for a box with ``position: relative`` around the figure's own markup."""
        frame = f'width="{self.right - self.left:.1f}" height="{self.bottom - self.top:.1f}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}"'
            f' aria-hidden="true" font-family="\'DejaVu Sans\',Verdana,Arial,sans-serif" font-size="{_POINT}"'
            f' fill="{style.INK}" style="position:absolute;left:0;top:0;width:100%;height:auto;'
            f'max-width:{self.width * 4 / 3:.0f}px;pointer-events:none">'
            f'<clipPath id="{self._name}"><rect x="{self.left:.1f}" y="{self.top:.1f}" {frame}/></clipPath>'
            f'<g clip-path="url(#{self._name})">{"".join(self._inside)}</g>{"".join(self._over)}</svg>'
        )
