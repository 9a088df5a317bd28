"""What moves over a figure that stands still: a transparent SVG, placed by the Axes' own transform.

A figure costs matplotlib some 50 ms, a path over it a fraction of one: controls that are dragged redraw only
this.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from hpclab.figures import style
from hpclab.figures.direct_labels import MARGIN, Label, spread
from hpclab.results import Origin

_POINT = 14.25  # of the text, as in the style sheet
_LINE = 1.2 * _POINT


@lru_cache(maxsize=1024)
def _width(text: str) -> float:
    return float(TextPath((0, 0), text, _POINT, prop=FontProperties(weight="bold")).get_extents().width)


class Overlay:
    """Draws over the figure of `ax` as ``style.svg`` drew it last; positions are in the data's units.

    What lies outside the axes is cut off. Labels go into the right margin (`direct_labels.room` keeps it
    free) and are spread apart.
    """

    def __init__(self, ax: Axes) -> None:
        whole = ax.get_figure(root=True)
        assert whole is not None
        wide, high = whole.get_size_inches()
        self.width, self.height = wide * 72, high * 72
        scale = 72 / whole.dpi
        frame = ax.bbox
        self.left, self.right = frame.x0 * scale, frame.x1 * scale
        self.top, self.bottom = self.height - frame.y1 * scale, self.height - frame.y0 * scale
        self._transform: Any = ax.transData.frozen()
        self._scale = scale
        self._inside: list[str] = []
        self._over: list[str] = []
        self._labels: list[Label] = []

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the data lies, in the SVG's units."""
        across, up = self._transform.transform((x, y)) * self._scale
        return float(across), float(self.height - up)

    def line(self, xs: Sequence[float], ys: Sequence[float], colour: str, dashed: bool = False) -> None:
        """A line through the points."""
        places = self._transform.transform([*zip(xs, ys, strict=True)]) * self._scale
        path = "L".join(f"{x:.1f},{min(max(self.height - y, -2000), 4000):.1f}" for x, y in places)
        dash = ' stroke-dasharray="7 4"' if dashed else ""
        self._inside.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.3"{dash}/>')

    def mark(self, origin: Origin | str, x: float, y: float, colour: str = style.INK) -> None:
        """One number; its shape is that of ``style.mark``."""
        (x, y), origin, r = self.at(x, y), Origin(origin), 4.5
        path = {
            Origin.MODELLED: f"M{x - r:.1f},{y:.1f}h{2 * r}",
            Origin.PUBLISHED: f"M{x - r:.1f},{y - r:.1f}l{2 * r},{2 * r}m0,-{2 * r}l-{2 * r},{2 * r}",
            Origin.RECORDED: f"M{x:.1f},{y - r:.1f}l{r},{r}l-{r},{r}l-{r},-{r}z",
        }.get(origin, f"M{x - r:.1f},{y:.1f}a{r},{r} 0 1 0 {2 * r},0a{r},{r} 0 1 0 -{2 * r},0z")
        colour = style.COLOUR[origin] if origin in (Origin.RECORDED, Origin.PUBLISHED) else colour
        filled = colour if origin in (Origin.MEASURED, Origin.RECORDED) else style.GROUND
        width = {Origin.MODELLED: 3, Origin.PUBLISHED: 2, Origin.EMULATED: 1.6}.get(origin, 0)
        self._over.append(f'<path d="{path}" fill="{filled}" stroke="{colour}" stroke-width="{width}"/>')

    def arrow(self, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        """An arrow from one point to another; none between points that are nearly one."""
        (x, y), (right, low) = self.at(*start), self.at(*end)
        far = math.hypot(right - x, low - y)
        if far > 18:
            along, down = (right - x) / far, (low - y) / far
            tip_x, tip_y = right - 8 * along, low - 8 * down
            wings = [(tip_x - 7 * along + s * down, tip_y - 7 * down - s * along) for s in (4.5, -4.5)]
            head = "M{:.1f},{:.1f}L{:.1f},{:.1f}L{:.1f},{:.1f}".format(*wings[0], tip_x, tip_y, *wings[1])
            self._over.append(
                f'<path d="M{x:.1f},{y:.1f}L{tip_x:.1f},{tip_y:.1f}{head}" fill="none" stroke="{colour}"'
                ' stroke-width="2"/>'
            )

    def beside(self, x: float, y: float, text: str, colour: str = style.INK) -> None:
        """A text at a point inside the axes, on the side where there is room."""
        x, y = self.at(x, y)
        side, anchor = (-9, "end") if x > (self.left + self.right) / 2 else (9, "start")
        self._over.append(
            f'<text x="{x + side:.1f}" y="{y + 5:.1f}" text-anchor="{anchor}" fill="{style.ink(colour)}"'
            f' stroke="{style.GROUND}" stroke-width="4" paint-order="stroke">{escape(text)}</text>'
        )

    def vertical(self, x: float, label: str) -> None:
        """A line across the axes at `x`, its label, on dark ground, over the axis below."""
        (place, _), low = self.at(x, 1), self.bottom + 1.3 * _POINT
        half = _width(label) / 2 + 5
        self._over.append(
            f'<path d="M{place:.1f},{self.top:.1f}V{self.bottom:.1f}" stroke="{style.INK}"/>'
            f'<rect x="{place - half:.1f}" y="{low - 14:.1f}" width="{2 * half:.1f}" height="18" rx="4"/>'
            f'<text x="{place:.1f}" y="{low:.1f}" text-anchor="middle" fill="{style.GROUND}"'
            f' font-weight="bold">{escape(label)}</text>'
        )

    def label(self, x: float, y: float, text: str, colour: str = style.INK) -> None:
        """A text, of one line or more, in the right margin, led to the point (x, y)."""
        self._labels.append(Label(x, y, text, colour))

    def title(self, text: str) -> None:
        """A title where that of the axes stands, which is then to be left empty."""
        self._over.append(
            f'<text x="{0.006 * self.width:.1f}" y="{self.top - 10:.1f}" font-size="15.75"'
            f' font-weight="bold">{escape(text)}</text>'
        )

    def svg(self) -> str:
        """The layer: to be laid over the figure's own markup, in a box whose position is relative."""
        name = f"o{uuid.uuid4().hex[:8]}"
        frame = f'width="{self.right - self.left:.1f}" height="{self.bottom - self.top:.1f}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}"'
            f' aria-hidden="true" font-family="\'DejaVu Sans\',Verdana,Arial,sans-serif" font-size="{_POINT}"'
            f' fill="{style.INK}" style="position:absolute;left:0;top:0;width:100%;height:auto;'
            f'max-width:{self.width * 4 / 3:.0f}px;pointer-events:none">'
            f'<clipPath id="{name}"><rect x="{self.left:.1f}" y="{self.top:.1f}" {frame}/></clipPath>'
            f'<g clip-path="url(#{name})">{"".join(self._inside)}</g>'
            f"{''.join(self._over)}{''.join(self._placed())}</svg>"
        )

    def _placed(self) -> list[str]:
        points = [self.at(label.x, label.y) for label in self._labels]
        ends = [min(max(y, self.top), self.bottom) for _, y in points]
        heights = [_LINE * len(label.text.splitlines()) for label in self._labels]
        begin = self.left + MARGIN * (self.right - self.left)
        markup = []
        for label, (x, _), end, height, place in zip(
            self._labels, points, ends, heights, spread(ends, heights, self.top, self.bottom), strict=True
        ):
            markup.append(
                f'<path d="M{x + 3:.1f},{end:.1f}L{begin - 2:.1f},{place:.1f}" fill="none"'
                f' stroke="{label.colour}" stroke-width=".8"/>'
            )
            colour = style.ink(label.colour)
            for row, line in enumerate(label.text.splitlines()):
                y = place - height / 2 + _LINE * (row + 0.8)
                markup.append(f'<text x="{begin:.1f}" y="{y:.1f}" fill="{colour}">{escape(line)}</text>')
        return markup
