"""Diagrams that are no charts (a warp's memory, a collective step by step): SVG text that stands alone.

It can be shown by ``IPython.display.SVG``, put into ``widgets.HTML``, or written to a file. Sizes are in CSS
pixels; 14 points are 18.7 of them.
"""

import re
import uuid
from collections.abc import Iterable
from html import escape
from typing import Any

from hpclab.figures.style import GROUND, INK, TEXT, TITLE, WIDTH


def text_width(string: str, size: float = TEXT, bold: bool = False) -> float:
    """About how wide `string` is, in pixels, in a wide sans-serif font (DejaVu); others are narrower."""
    ems = sum(0.37 if c in "iljtfr.,:;|!'() " else 0.95 if c in "mwMW@%—" else 0.63 for c in string)
    return size * ems * (1.13 if bold else 1)


def text(
    x: float, y: float, string: str, *, anchor: str = "start", colour: str = INK, bold: bool = False
) -> str:
    """A line of text whose baseline is at `y`; `anchor` is start, middle or end. Escaped here."""
    weight = ' font-weight="600"' if bold else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    fill = f' fill="{colour}"' if colour != INK else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{place}{fill}{weight}>{escape(string)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, tip: str = "", **look: Any) -> str:
    """A rectangle; `look` are more of SVG's attributes (``stroke_width=2``), `tip` what the mouse shows."""
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in look.items())
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"{more}'
    return f"<rect {place}><title>{escape(tip)}</title></rect>" if tip else f"<rect {place}/>"


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


def document(title: str, description: str, body: Iterable[str], *, height: float) -> str:
    """A whole figure: an SVG that scales down with its cell, is read aloud, and carries its title.

    `title` says the answer's form ("Speedup of 4 nodes: 1.9×"), is drawn at the top left and is the
    figure's name to a screen reader; `description` says in a sentence or two what somebody who cannot see
    it must know. The body starts below ``title_height(title)``. No other figure has its ids, however alike:
    a page takes a pattern from the first of that id, and shows none where that one is hidden.
    """
    name = f"h{uuid.uuid4().hex[:8]}"
    inside = re.sub(r'( id="|url\(#)', rf"\1{name}-", "".join(body))
    lines = wrap(title, WIDTH, TITLE, bold=True)
    drawn = [text(0, TITLE * (1 + 1.25 * row), line, bold=True) for row, line in enumerate(lines)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" role="img"'
        f' aria-labelledby="{name}-t {name}-d" font-family="system-ui,\'DejaVu Sans\',sans-serif"'
        f' font-size="{TEXT:g}" fill="{INK}"'
        f' style="background:{GROUND};width:100%;max-width:{WIDTH:g}px;height:auto;display:block">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>'
        f'<g font-size="{TITLE:g}">{"".join(drawn)}</g>{inside}</svg>'
    )


def title_height(title: str) -> float:
    """Pixels taken by the drawn title, to be left free at the top of the body."""
    return TITLE * (0.6 + 1.25 * len(wrap(title, WIDTH, TITLE, bold=True)))
