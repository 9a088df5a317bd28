"""A kernel's source in a figure, long lines wrapped: the current one marked, and costs beside each."""

import textwrap
from collections.abc import Mapping
from html import escape

from hpclab.figures import diagram, style

ROW = 1.25 * style.TEXT
_NUMBER = 50.0  # pixels for the marker and the line's number
_COLUMN = 84.0  # pixels for a column of costs
_EM = 0.602  # width of a character of a monospaced font
_MOST = 7  # rows shown at once


def window(source: str, line: int, columns: int = 1) -> list[tuple[int, str]]:
    """(number of a line, code) for each row drawn around `line`, beside so many `columns` of costs."""
    fits = int((style.WIDTH - _COLUMN * columns - _NUMBER) / (style.TEXT * _EM))
    lines = textwrap.dedent(source).splitlines()
    first = next((n for n, text in enumerate(lines) if text.lstrip().startswith("def ")), 0)
    rows = []
    for number, code in enumerate(lines[first:], first + 1):
        inwards = " " * (len(code) - len(code.lstrip()) + 8)
        pieces = textwrap.wrap(code, fits, subsequent_indent=inwards) or [""]
        rows += [(number, piece) for piece in pieces]
    at = next((n for n, (number, _) in enumerate(rows) if number == line), 0)
    begin = min(max(0, at - _MOST // 2), max(0, len(rows) - _MOST))
    return rows[begin : begin + _MOST]


def height(source: str, columns: int = 1) -> float:
    """Pixels that `draw` takes, whatever the line."""
    return (len(window(source, 1, columns)) + 1.3) * ROW


def draw(top: float, source: str, line: int, costs: Mapping[str, Mapping[int, str]], heading: str) -> str:
    """SVG of the listing at `top`, `line` marked; `costs` are columns: by heading, the text beside a line."""
    ends = [style.WIDTH - 6 - _COLUMN * place for place in reversed(range(len(costs)))]
    markup = [diagram.text(0, top + ROW * 0.8, heading, colour=style.MUTED)]
    for x, name in zip(ends, costs, strict=True):
        markup.append(diagram.text(x, top + ROW * 0.8, name, anchor="end", colour=style.MUTED))
    before = 0
    for row, (number, code) in enumerate(window(source, line, len(costs))):
        y, begins, before = top + ROW * (row + 2), number != before, number
        if number == line:
            markup.append(diagram.box(0, y - ROW * 0.76, style.WIDTH, ROW, "#FFF0C2"))
        if number == line and begins:
            markup.append(f'<path d="M1,{y - 13:.1f}l11,7l-11,7z" fill="{style.INK}"/>')
        markup.append(
            f'<text x="{_NUMBER:g}" y="{y:.1f}" xml:space="preserve" style="white-space:pre"'
            f" font-family=\"ui-monospace,'DejaVu Sans Mono',monospace\">{escape(code)}</text>"
        )
        if begins:
            markup.append(diagram.text(_NUMBER - 8, y, str(number), anchor="end", colour=style.MUTED))
            for x, column in zip(ends, costs.values(), strict=True):
                markup.append(diagram.text(x, y, column.get(number, ""), anchor="end", bold=number == line))
    return "".join(markup)
