"""A kernel's source in a figure: the current line is marked, and beside each line stands what it has cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from hpclab.figures import diagram, style

ROW = 1.32 * style.TEXT
_NUMBER = 50.0  # pixels for the marker and the line's number
_COLUMN = 84.0  # pixels for a column of costs
_EM = 0.602  # width of a character of a monospaced font
_MOST = 11  # lines shown at once


def window(source: str, line: int, most: int = _MOST) -> range:
    """The lines shown while `line` runs, from 1: all from the `def` on, or as many around `line` as fit."""
    lines = source.splitlines()
    first = next((n for n, text in enumerate(lines, 1) if text.lstrip().startswith("def ")), 1)
    last = max(len(lines), first)
    if last - first < most:
        return range(first, last + 1)
    first = min(max(first, line - most // 2), last - most + 1)
    return range(first, first + most)


def height(source: str) -> float:
    """Pixels that `draw` takes: the same for every line of `source`."""
    return (len(window(source, 1)) + 1.3) * ROW


def draw(top: float, source: str, line: int, costs: Mapping[str, Mapping[int, str]]) -> str:
    """The listing at `top`; `costs` is a column each: its heading -> what stands beside a line."""
    lines = source.splitlines()
    right = style.WIDTH - _COLUMN * len(costs)
    markup = [diagram.text(0, top + ROW * 0.8, "the kernel", colour=style.MUTED)]
    for number, heading in enumerate(costs):
        x = style.WIDTH - 6 - _COLUMN * (len(costs) - 1 - number)
        markup.append(diagram.text(x, top + ROW * 0.8, heading, anchor="end", colour=style.MUTED))
    margin = _margin(lines)
    for row, shown in enumerate(window(source, line)):
        y = top + ROW * (row + 2)
        if shown == line:
            band = f'x="0" y="{y - ROW * 0.76:.1f}" width="{style.WIDTH}" height="{ROW:.1f}" fill="#FFF0C2"'
            arrow = f'<path d="M1,{y - 13:.1f}l11,7l-11,7z" fill="{style.INK}"/>'
            markup.append(f"<rect {band}/>{arrow}")
        markup.append(diagram.text(_NUMBER - 8, y, str(shown), anchor="end", colour=style.MUTED))
        markup.append(_code(y, lines[shown - 1][margin:] if shown <= len(lines) else "", right))
        for number, column in enumerate(costs.values()):
            x = style.WIDTH - 6 - _COLUMN * (len(costs) - 1 - number)
            markup.append(diagram.text(x, y, column.get(shown, ""), anchor="end", bold=shown == line))
    return "".join(markup)


def _margin(lines: Sequence[str]) -> int:
    return min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)


def _code(y: float, text: str, right: float) -> str:
    fits = int((right - _NUMBER) / (style.TEXT * _EM))
    shown = text if len(text) <= fits else text[: fits - 1].rstrip() + "…"
    return (
        f'<text x="{_NUMBER:g}" y="{y:.1f}" xml:space="preserve" style="white-space:pre"'
        f" font-family=\"ui-monospace,'DejaVu Sans Mono',monospace\"><title>{escape(text)}</title>"
        f"{escape(shown)}</text>"
    )
