"""A kernel's source in a figure: the current line is marked, and beside each line stands what it has cost."""

import textwrap
from collections.abc import Mapping
from html import escape

from hpclab.figures import diagram, style

ROW = 1.32 * style.TEXT
_NUMBER = 50.0  # pixels for the marker and the line's number
_COLUMN = 84.0  # pixels for a column of costs
_EM = 0.602  # width of a character of a monospaced font
_MOST = 11  # lines shown at once


def window(source: str, line: int) -> range:
    """The lines shown while `line` runs, from 1: all from the `def` on, or as many around `line` as fit."""
    lines = source.splitlines()
    first = next((n for n, text in enumerate(lines, 1) if text.lstrip().startswith("def ")), 1)
    if len(lines) - first < _MOST:
        return range(first, len(lines) + 1)
    first = min(max(first, line - _MOST // 2), len(lines) - _MOST + 1)
    return range(first, first + _MOST)


def height(source: str) -> float:
    """Pixels that `draw` takes: the same for every line of `source`."""
    return (len(window(source, 1)) + 1.3) * ROW


def draw(top: float, source: str, line: int, costs: Mapping[str, Mapping[int, str]]) -> str:
    """The listing at `top`; `costs` is a column each: its heading -> what stands beside a line."""
    lines = textwrap.dedent(source).splitlines()
    ends = [style.WIDTH - 6 - _COLUMN * place for place in reversed(range(len(costs)))]
    fits = int((style.WIDTH - _COLUMN * len(costs) - _NUMBER) / (style.TEXT * _EM))
    markup = [diagram.text(0, top + ROW * 0.8, "the kernel", colour=style.MUTED)]
    for x, heading in zip(ends, costs, strict=True):
        markup.append(diagram.text(x, top + ROW * 0.8, heading, anchor="end", colour=style.MUTED))
    for row, number in enumerate(window(source, line)):
        y, code = top + ROW * (row + 2), lines[number - 1]
        if number == line:
            markup.append(diagram.box(0, y - ROW * 0.76, style.WIDTH, ROW, "#FFF0C2"))
            markup.append(f'<path d="M1,{y - 13:.1f}l11,7l-11,7z" fill="{style.INK}"/>')
        shown = code if len(code) <= fits else code[: fits - 1].rstrip() + "…"
        markup.append(diagram.text(_NUMBER - 8, y, str(number), anchor="end", colour=style.MUTED))
        markup.append(
            f'<text x="{_NUMBER:g}" y="{y:.1f}" xml:space="preserve" style="white-space:pre"'
            f" font-family=\"ui-monospace,'DejaVu Sans Mono',monospace\"><title>{escape(code)}</title>"
            f"{escape(shown)}</text>"
        )
        for x, column in zip(ends, costs.values(), strict=True):
            markup.append(diagram.text(x, y, column.get(number, ""), anchor="end", bold=number == line))
    return "".join(markup)
