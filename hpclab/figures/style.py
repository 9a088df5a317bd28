"""The one look of the course: colours by meaning, marks by origin, sizes that read on a projector.

White ground, few lines, direct labels instead of legends, Okabe–Ito colours that colour-blind readers can
tell apart, and the same colour for the same thing in every figure. Colour is never the only carrier: where a
number came from is told by the shape of its mark, and stacked parts carry a pattern and a label.

A figure is SVG text that stands alone: it can be shown by ``IPython.display.SVG``, put into
``widgets.HTML``, or written to a file. Sizes are in CSS pixels; 14 points are 18.7 of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from html import escape

from hpclab.results import Origin

TEXT = 19.0  # 14.25 pt, the smallest text in any figure
TITLE = 21.0
WIDTH = 800  # fits a notebook cell at 1280 pixels with JupyterLab's side bar open

INK = "#1a1a1a"  # text and the axes' lines
MUTED = "#595959"  # secondary text; 7:1 on white
GRID = "#dddddd"
GROUND = "#ffffff"

COLOUR = {
    # parts of a run (trace.COMPONENTS) and the words other lessons use for them
    "compute": "#0072B2",
    "transfer": "#D55E00",
    "communication": "#D55E00",
    "storage": "#009E73",
    "queue wait": "#E69F00",
    "waiting": "#E69F00",
    "worker start": "#F0E442",
    "idle": "#BFBFBF",
    "unexplained": "#ffffff",
    # data and models
    "measured": "#000000",
    "emulated": "#000000",
    "recorded": "#767676",
    "published": "#000000",
    "ideal": "#8c8c8c",
    "amdahl": "#CC79A7",
    "gustafson": "#E69F00",
    "usl": "#0072B2",
    "prediction": "#D55E00",
    "what if": "#009E73",
}

PATTERN = {  # the second carrier of a stacked part, beside its colour
    "transfer": "up",
    "communication": "up",
    "storage": "dots",
    "queue wait": "down",
    "waiting": "down",
    "worker start": "level",
    "unexplained": "cross",
}
_PATTERN_PATH = {
    "up": '<path d="M-2,2l4,-4M0,10l10,-10M8,12l4,-4" stroke="{0}"/>',
    "down": '<path d="M-2,8l4,4M0,0l10,10M8,-2l4,4" stroke="{0}"/>',
    "level": '<path d="M0,5h10" stroke="{0}"/>',
    "cross": '<path d="M0,0l10,10M0,10l10,-10" stroke="{0}"/>',
    "dots": '<circle cx="5" cy="5" r="1.7" fill="{0}"/>',
}


def ink(colour: str) -> str:
    """`colour` darkened until text in it has a contrast of 4.5:1 on white, as WCAG AA asks."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    while _luminance(red, green, blue) > 0.183:  # (1 + 0.05) / (0.183 + 0.05) = 4.5
        red, green, blue = int(red * 0.94), int(green * 0.94), int(blue * 0.94)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _luminance(*channels: int) -> float:
    linear = [c / 3294.6 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def text_width(string: str, size: float = TEXT, bold: bool = False) -> float:
    """About how wide `string` is, in pixels, in a wide sans-serif font (DejaVu); others are narrower."""
    ems = sum(0.37 if c in "iljtfr.,:;|!'() " else 0.95 if c in "mwMW@%—" else 0.63 for c in string)
    return size * ems * (1.13 if bold else 1)


def text(
    x: float,
    y: float,
    string: str,
    *,
    anchor: str = "start",
    size: float = TEXT,
    colour: str = INK,
    bold: bool = False,
) -> str:
    """A line of text whose baseline is at `y`; `anchor` is start, middle or end. Escaped here."""
    weight = ' font-weight="600"' if bold else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    scale = f' font-size="{size:g}"' if size != TEXT else ""
    fill = f' fill="{colour}"' if colour != INK else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{place}{scale}{fill}{weight}>{escape(string)}</text>'


def mark(
    origin: Origin | str, x: float, y: float, colour: str = INK, size: float = 6.0, tip: str = ""
) -> str:
    """The mark of one number at (x, y): its shape says where the number came from.

    Measured: filled circle; emulated: open circle; modelled: a short bar, as on a line; recorded: grey
    diamond; published: black cross. `tip` is shown under the mouse.
    """
    origin = Origin(origin)
    title = f"<title>{escape(tip)}</title>" if tip else ""
    if origin in (Origin.MEASURED, Origin.EMULATED):
        filled = origin is Origin.MEASURED
        look = f'fill="{colour if filled else GROUND}"'
        look += ' fill-opacity=".75"' if filled else f' stroke="{colour}" stroke-width="2"'
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:g}" {look}>{title}</circle>'
    side, across = size * 1.2, f"{2 * size:g}"
    shape, look = {
        Origin.RECORDED: (
            f"M{x:.1f},{y - side:.1f}l{side:g},{side:g}l-{side:g},{side:g}l-{side:g},-{side:g}z",
            f'fill="{COLOUR["recorded"]}"',
        ),
        Origin.PUBLISHED: (
            f"M{x - size:.1f},{y - size:.1f}l{across},{across}m0,-{across}l-{across},{across}",
            f'stroke="{COLOUR["published"]}" stroke-width="2.5" fill="none"',
        ),
        Origin.MODELLED: (f"M{x - size:.1f},{y:.1f}h{2 * size:g}", f'stroke="{colour}" stroke-width="4"'),
    }[origin]
    return f'<path d="{shape}" {look}>{title}</path>'


def pattern(name: str, prefix: str) -> str:
    """A ``<pattern>`` for the stacked part `name`, to be filled with ``url(#prefix-name)``; "" if plain."""
    kind = PATTERN.get(name)
    if kind is None:
        return ""
    lines = _PATTERN_PATH[kind].format(MUTED if name == "unexplained" else "#00000066")
    return (
        f'<pattern id="{prefix}-{name.replace(" ", "-")}" width="10" height="10"'
        ' patternUnits="userSpaceOnUse">'
        f'<rect width="10" height="10" fill="{COLOUR[name]}"/>{lines}</pattern>'
    )


def fill(name: str, prefix: str) -> str:
    """What to write as ``fill`` for the stacked part `name`: its pattern, or its plain colour."""
    return f"url(#{prefix}-{name.replace(' ', '-')})" if name in PATTERN else COLOUR[name]


def wrap(string: str, width: float, size: float = TEXT, bold: bool = False) -> list[str]:
    """`string` broken into lines of at most `width` pixels, at spaces."""
    lines = [""]
    for word in string.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size, bold) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def document(
    title: str,
    description: str,
    body: Iterable[str],
    *,
    width: float = WIDTH,
    height: float,
    draw_title: bool = True,
) -> str:
    """A whole figure: an SVG that scales down with its cell, is read aloud, and carries its title.

    `title` says the answer's form ("Speedup of 4 nodes: 1.9×"), is drawn at the top left and is the
    figure's name to a screen reader; `description` says in a sentence or two what somebody who cannot see
    it must know. The body starts below ``title_height(title)``.
    """
    name = f"h{zlib.crc32((title + description).encode()):08x}"
    drawn = [
        text(0, TITLE * (1 + 1.25 * row), line, size=TITLE, bold=True)
        for row, line in enumerate(wrap(title, width, TITLE, bold=True) if draw_title else ())
    ]
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img"'
            f' aria-labelledby="{name}-t {name}-d" font-family="system-ui,\'DejaVu Sans\',sans-serif"'
            f' font-size="{TEXT:g}" fill="{INK}"'
            f' style="background:{GROUND};width:100%;max-width:{width:g}px;height:auto;display:block">',
            f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>',
            *drawn,
            *body,
            "</svg>",
        ]
    )


def title_height(title: str, width: float = WIDTH) -> float:
    """Pixels taken by the drawn title, to be left free at the top of the body."""
    return TITLE * (0.6 + 1.25 * len(wrap(title, width, TITLE, bold=True)))


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move `places` (any order) as little as needed so that they are `gap` apart between `low` and `high`."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = [min(max(places[i], low), high) for i in order]
    for _ in range(60):
        for left in range(len(moved) - 1):
            overlap = gap - (moved[left + 1] - moved[left])
            if overlap > 0:
                moved[left] -= overlap / 2
                moved[left + 1] += overlap / 2
        moved = [
            min(max(place, low + gap * n), high - gap * (len(moved) - 1 - n)) for n, place in enumerate(moved)
        ]
    result = [0.0] * len(places)
    for place, index in zip(moved, order, strict=True):
        result[index] = place
    return result
