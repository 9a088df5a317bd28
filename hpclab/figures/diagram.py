"""SVG written by hand, for diagrams that are no charts. Sizes are in CSS pixels."""

import re
import uuid
from collections.abc import Iterable
from html import escape
from typing import Any

from hpclab.figures.style import GROUND, INK, TEXT, TITLE, WIDTH


def text_width(string: str, size: float = TEXT, bold: bool = False) -> float:
    """The estimated width of `string` in DejaVu Sans, in pixels; other fonts are narrower."""
    ems = sum(0.37 if c in "iljtfr.,:;|!'() " else 0.95 if c in "mwMW@%—" else 0.63 for c in string)
    return size * ems * (1.13 if bold else 1)


def text(
    x: float, y: float, string: str, *, anchor: str = "start", colour: str = INK, bold: bool = False
) -> str:
    """SVG of a line of text, escaped, with its baseline at `y`; `anchor` is start, middle or end."""
    weight = ' font-weight="600"' if bold else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    fill = f' fill="{colour}"' if colour != INK else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{place}{fill}{weight}>{escape(string)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, tip: str = "", **attributes: Any) -> str:
    """SVG of a rectangle with more SVG `attributes` (``stroke_width=2``); `tip` is what the mouse shows."""
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
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
    """An SVG that scales with its cell, its `title` drawn at the top and `description` for screen readers.
    The body starts below ``title_height(title)``. Ids are made unique, because a page takes ``url(#id)`` from
    the first element with that id, even from a hidden one."""
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
    """Pixels that the drawn title takes."""
    return TITLE * (0.6 + 1.25 * len(wrap(title, WIDTH, TITLE, bold=True)))
