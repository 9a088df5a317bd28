"""Memory below a warp, in rows of 128 bytes that are as wide as 32 lanes of 4 bytes each.

In global memory a row is a line of four sectors, and a sector comes whole: hatched is what was moved though
no lane asked for it. In shared memory a row is one word of each of the 32 banks, and different words in one
column must be served one after another: the bars below count them.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from hpclab.figures import diagram, lanes, style
from hpclab.models import gpu_memory
from hpclab.models.gpu_memory import BANKS, LINE, SECTOR, WARP, WORD, Request

LINKS = 48.0  # pixels between the lanes and the first row
WASTED = style.COLOUR["transfer"]
_ROOM, _TALLEST = 212.0, 34.0  # pixels for all rows, and the most for one
_BANKS = 2.9 * style.TEXT


def touched(request: Request) -> list[int]:
    """The rows that a request touches, as numbers in order."""
    return [int(row) for row in gpu_memory.lines(request.addresses, request.itemsize)]


def hatch(name: str) -> str:
    """The ``<pattern>`` of what was moved for nothing, to be filled with ``url(#name)``."""
    return (
        f'<pattern id="{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{style.GROUND}"/>'
        f'<path d="M-2,2l4,-4M0,8l8,-8M6,10l4,-4" stroke="{WASTED}" stroke-width="1.6"/></pattern>'
    )


@dataclass(frozen=True, slots=True)
class MemoryRows:
    """Room for at most `rows` rows, and for the banks' bars where `banks`: one height for all requests."""

    rows: int
    banks: bool

    @property
    def height(self) -> float:
        """Pixels for the request with the most rows."""
        return self.rows * _row(self.rows) + _BANKS * self.banks

    def draw(self, request: Request, base: int, top: float, tips: Mapping[int, str]) -> str:
        """Rows, words and the lines from the lanes; `base` is the address that the rows are counted from."""
        rows = touched(request)
        tall = _row(len(rows))
        at = {row: top + n * tall for n, row in enumerate(rows)}
        thick = tall - (5 if tall >= 16 else 1)
        name = f"w{zlib.crc32(repr((request.block, request.step)).encode()):x}"
        markup = [f"<defs>{hatch(name)}</defs>", diagram.text(0, top - 8, "byte", colour=style.MUTED)]
        labelled = -100.0
        for row, y in at.items():
            whole = _box(lanes.LEFT, y, WARP * lanes.CELL, thick)
            markup.append(f'<rect {whole} fill="#f4f4f4" stroke="#bbb"/>')
            if y - labelled >= 1.15 * style.TEXT:
                place, where = y + thick / 2 + style.TEXT * 0.36, f"{row * LINE - base:,}"
                markup.append(diagram.text(lanes.LEFT - 8, place, where, anchor="end", colour=style.MUTED))
                labelled = y
        moved = _sectors(request, at, thick) if request.space == "global" else []
        markup += [f'<rect {box} fill="url(#{name})"/>' for box in moved]
        markup += self._words(request, at, thick, top, tips)
        edge = 2.5 if tall >= 16 else 1
        markup += [f'<rect {box} fill="none" stroke="{style.INK}" stroke-width="{edge}"/>' for box in moved]
        return "".join(markup + _bars(request, top + len(rows) * tall))

    def _words(
        self, request: Request, at: Mapping[int, float], thick: float, top: float, tips: Mapping[int, str]
    ) -> list[str]:
        words, links = [], []
        for lane, address in zip(request.lanes, request.addresses, strict=True):
            tint = lanes.colour(lane / (WARP - 1))
            row, within = divmod(address, LINE)
            x = lanes.LEFT + within / WORD * lanes.CELL
            wide = min(request.itemsize, LINE - within) / WORD * lanes.CELL
            box = _box(x, at[row], wide, thick)
            title = f"<title>{escape(tips.get(lane, ''))}</title>"
            words.append(f'<rect {box} fill="{tint}" stroke="{style.INK}" stroke-width=".7">{title}</rect>')
            line = f"M{lanes.centre(lane):.1f},{top - LINKS + 3:.1f}L{x + wide / 2:.1f},{at[row]:.1f}"
            links.append(f'<path d="{line}" stroke="{style.ink(tint)}" stroke-width="1.4"/>')
        return links + words


def _row(rows: int) -> float:
    return min(_TALLEST, _ROOM / rows)


def _sectors(request: Request, at: Mapping[int, float], thick: float) -> list[str]:
    wide = SECTOR / WORD * lanes.CELL
    moved = gpu_memory.sectors(request.addresses, request.itemsize)
    places = (divmod(int(sector), LINE // SECTOR) for sector in moved)
    return [_box(lanes.LEFT + quarter * wide, at[row], wide, thick) for row, quarter in places]


def _box(x: float, y: float, width: float, height: float) -> str:
    return f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'


def _bars(request: Request, top: float) -> list[str]:
    """Below each bank a bar: how many different words it is asked for, which it serves one after another."""
    if request.space != "shared":
        return []
    counts = words_by_bank(request.addresses, request.itemsize)
    most = max(counts.values())
    unit = min(9.0, (_BANKS - 1.6 * style.TEXT) / most)
    markup = [diagram.text(0, top + style.TEXT, "banks", colour=style.MUTED)]
    for bank, count in counts.items():
        box = _box(lanes.LEFT + bank * lanes.CELL + 3, top + 2, lanes.CELL - 6, count * unit)
        fill = WASTED if count > 1 else style.COLOUR["compute"]
        markup.append(f'<rect {box} fill="{fill}"><title>bank {bank}: {count} words</title></rect>')
    worst = min(bank for bank, count in counts.items() if count == most)
    label = f"{most} word{'s' * (most > 1)} in bank {worst}" if most > 1 else "one word in each bank"
    half = diagram.text_width(label) / 2
    x = min(max(lanes.centre(worst), lanes.LEFT + half), style.WIDTH - half)
    markup.append(diagram.text(x, top + most * unit + style.TEXT + 2, label, anchor="middle"))
    return markup


def words_by_bank(addresses: Sequence[int], itemsize: int) -> dict[int, int]:
    """How many different words each bank is asked for, by bank."""
    words = {at // WORD + k for at in addresses for k in range(max(1, itemsize // WORD))}
    return dict(sorted(Counter(word % BANKS for word in words).items()))
