"""Axes of a figure as SVG: scales, grid, lines, bands, marks, and labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpclab import checks
from hpclab.figures import style
from hpclab.results import Origin

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of values, `low` to `high`; `base` 0 is linear, 2 or 10 logarithmic; the label names the unit.

    Ticks stand at `at` (called `names`, if given), or else at 1, 2 or 5 times a power of ten, or at
    powers of the base.
    """

    label: str
    low: float
    high: float
    base: int = 0
    at: tuple[float, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.number(f"The lower end of the axis {self.label!r}", self.low, -1e30, 1e30)
        checks.number(f"The upper end of the axis {self.label!r}", self.high, -1e30, 1e30)
        if not self.low < self.high or (self.base and self.low <= 0):
            kind = "logarithmic axis must start above 0 and" if self.base else "axis must"
            raise ValueError(
                f"A {kind} end above its start, not {self.low:g} to {self.high:g} ({self.label})."
            )

    def part(self, value: float) -> float:
        """Where `value` lies between the ends: 0 to 1 inside the axis."""
        if self.base:
            return math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 7) -> list[float]:
        if self.at:
            return [value for value in self.at if self.low <= value <= self.high]
        if self.base:
            first, last = (math.log(end, self.base) for end in (self.low, self.high))
            powers = range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)
            step = max(1, math.ceil(len(powers) / most))
            return [float(self.base) ** power for power in powers[::step]]
        rough = (self.high - self.low) / most
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * k for k in (1, 2, 5, 10) if size * k >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [step * n for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def predicted(prediction: object) -> tuple[int, float]:
    """A learner's (number, speedup), or ValueError."""
    pair = checks.instance("prediction", prediction, tuple | list, "(number, speedup)")
    if len(pair) != 2:
        raise ValueError(f"prediction must be (number, speedup), not {checks.shown(prediction)}.")
    number = checks.integer("The number predicted for", pair[0], 1, 1_000_000)
    return number, checks.number("The predicted speedup", pair[1], 0, 1e12, "×")


class Axes:
    """A pair of scales to draw on; `svg` gives the whole figure. Fixed scales keep a moving slider calm.

    Positions are in the scales' own units; what lies outside is clipped. The labels given with `label` are
    placed last, in the right margin, spread apart, each led to its point by a thin line.
    """

    def __init__(
        self,
        x: Scale,
        y: Scale,
        *,
        title: str,
        width: float = style.WIDTH,
        height: float = 430,
        right: float = 215,
        left: float = 58,
    ) -> None:
        self.x, self.y, self.title, self.width, self.height = x, y, title, width, height
        self.left, self.right = left, width - right
        self.top = style.title_height(title, width) + 2.7 * style.TEXT
        self.bottom = height - 3.1 * style.TEXT
        self._body: list[str] = []
        self._over: list[str] = []
        self._labels: list[tuple[float, float, str, str]] = []

    def px(self, x: float) -> float:
        return self.left + self.x.part(x) * (self.right - self.left)

    def py(self, y: float) -> float:
        return self.bottom - self.y.part(y) * (self.bottom - self.top)

    def _path(self, points: Points) -> str:
        places = [(self.px(x), min(max(self.py(y), -2000), 4000)) for x, y in points]
        return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in places)

    def line(
        self, points: Points, colour: str, *, dashed: bool = False, dotted: bool = False, width: float = 3
    ) -> None:
        """A line through `points`; dashed where a model is extrapolated beyond what it was fitted to."""
        if len(points) > 1:
            dash = ' stroke-dasharray="9 6"' if dashed else ' stroke-dasharray="2 5"' if dotted else ""
            look = f'fill="none" stroke="{colour}" stroke-width="{width:g}"{dash}'
            self._body.append(f'<path d="{self._path(points)}" {look}/>')

    def band(self, low: Points, high: Points, colour: str) -> None:
        """The stretch between two lines, as a pale band: a model's uncertainty."""
        if len(low) > 1:
            path = self._path([*low, *reversed(high)])
            self._body.append(f'<path d="{path}z" fill="{colour}" fill-opacity=".18"/>')

    def mark(self, origin: Origin | str, x: float, y: float, colour: str = style.INK, tip: str = "") -> None:
        """One number, its shape by origin; drawn above all lines."""
        self._over.append(style.mark(origin, self.px(x), self.py(y), colour, tip=tip))

    def vertical(self, x: float, label: str, colour: str = style.MUTED, *, dashed: bool = True) -> None:
        """A line across the axes at `x`, its label above the axes."""
        place, dash = self.px(x), ' stroke-dasharray="3 4"' if dashed else ""
        look = f'stroke="{colour}" stroke-width="2"{dash}'
        line = f'<path d="M{place:.1f},{self.top:.1f}V{self.bottom:.1f}" {look}/>'
        half = style.text_width(label) / 2
        centre = min(max(place, self.left + half), self.width - half)
        self._over += [line, style.text(centre, self.top - 6, label, anchor="middle", colour=colour)]

    def add(self, markup: str) -> None:
        """Any SVG, above the lines, in pixels."""
        self._over.append(markup)

    def label(self, x: float, y: float, text: str, colour: str = style.INK) -> None:
        """Name the line or mark that ends at (x, y), in the right margin; a line break makes two lines."""
        self._labels.append((self.px(x), min(max(self.py(y), self.top), self.bottom), text, colour))

    def _placed_labels(self) -> list[str]:
        rows = [(x, y, line, colour) for x, y, text, colour in self._labels for line in text.split("\n")]
        places = style.spread(
            [y for _, y, _, _ in rows], style.TEXT * 1.2, self.top, self.bottom + style.TEXT
        )
        markup, led = [], set()
        for (x, y, line, colour), place in zip(rows, places, strict=True):
            if (x, y) not in led:
                led.add((x, y))
                path = f"M{min(x + 4, self.right):.1f},{y:.1f}H{self.right + 4:.1f}"
                path += f"L{self.right + 16:.1f},{place:.1f}"
                markup.append(f'<path d="{path}" fill="none" stroke="{colour}"/>')
            markup.append(
                style.text(self.right + 20, place + style.TEXT * 0.35, line, colour=style.ink(colour))
            )
        return markup

    def _frame(self) -> list[str]:
        markup = []
        for value in self.y.ticks():
            y = self.py(value)
            markup.append(f'<path d="M{self.left:.1f},{y:.1f}H{self.right:.1f}" stroke="{style.GRID}"/>')
            markup.append(style.text(self.left - 8, y + style.TEXT * 0.35, f"{value:g}", anchor="end"))
        names = self.x.names or tuple(f"{value:g}" for value in self.x.ticks())
        for value, name in zip(self.x.ticks(), names, strict=True):
            x = self.px(value)
            markup.append(f'<path d="M{x:.1f},{self.bottom:.1f}v6" stroke="{style.INK}"/>')
            markup.append(style.text(x, self.bottom + style.TEXT * 1.3, name, anchor="middle"))
        axis = f"M{self.left:.1f},{self.top:.1f}V{self.bottom:.1f}H{self.right:.1f}"
        markup.append(f'<path d="{axis}" fill="none" stroke="{style.INK}"/>')
        markup.append(style.text(0, self.top - 8 - style.TEXT * 1.2, self.y.label, colour=style.MUTED))
        centre = (self.left + self.right) / 2
        markup.append(style.text(centre, self.height - 6, self.x.label, anchor="middle", colour=style.MUTED))
        return markup

    def svg(self, description: str) -> str:
        """The whole figure; `description` is what a screen reader says after the title."""
        box = f'x="{self.left}" y="{self.top:.1f}" width="{self.right - self.left:.1f}"'
        box += f' height="{self.bottom - self.top:.1f}" overflow="hidden"'
        view = (
            f'viewBox="{self.left} {self.top:.1f} {self.right - self.left:.1f} {self.bottom - self.top:.1f}"'
        )
        body = [
            *self._frame(),
            f"<svg {box} {view}>",
            *self._body,
            "</svg>",
            *self._over,
            *self._placed_labels(),
        ]
        return style.document(self.title, description, body, width=self.width, height=self.height)
