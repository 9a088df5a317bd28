"""The 32 lanes of a warp as boxes, and memory below them in rows of 128 bytes: lines of four sectors, hatched
where no lane asked; or in shared memory one word of each of the 32 banks, and below it a bar of the different
words in a bank, which are served in turn."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.colors import LinearSegmentedColormap, to_hex

from hpclab.figures import diagram, style
from hpclab.models.gpu_memory import BANKS, LINE, SECTOR, WARP, WORD, Request, sectors

CELL = 22.0  # pixels across a lane, and across a 4-byte word below it
LEFT = style.WIDTH - WARP * CELL - 2  # free for the names of the rows
HEIGHT = 2.5 * style.TEXT  # of the lanes' numbers and boxes
LINKS = 38.0  # pixels between the lanes and the first row
WASTED = style.COLOUR["transfer"]
_RUN = LinearSegmentedColormap.from_list("lanes", ("#00345c", "#0072b2", "#009e73", "#f0e442"), WARP)
_ROOM, _TALLEST = 112.0, 30.0  # pixels for all rows, and the most for one
_BANKS = 2.6 * style.TEXT


def colour(lane: int) -> str:
    """The colour of a lane: the higher its number, the lighter."""
    return to_hex(_RUN(lane))


def _centre(lane: int) -> float:
    """The x of a lane's middle, in pixels."""
    return LEFT + (lane + 0.5) * CELL


def draw(top: float, active: Iterable[int], waiting: Iterable[int] = (), tips: Mapping[int, str] = {}) -> str:
    """SVG of the lanes below `top`: `active` ones filled, `waiting` ones crossed out, the rest (no such
    thread) dotted; `tips` by lane are what the mouse shows."""
    y, side = top + 1.35 * style.TEXT, CELL - 2
    markup = [diagram.text(0, y + CELL - 5, "lane", colour=style.MUTED)]
    for lane in range(WARP):
        if lane % 8 == 0 or lane == WARP - 1:
            markup.append(diagram.text(_centre(lane), top + style.TEXT, str(lane), anchor="middle"))
        x = LEFT + lane * CELL + 1
        attributes: dict[str, Any] = {"fill": "none", "stroke": "#999", "stroke_dasharray": "2 3"}
        if lane in active:
            attributes = {"fill": colour(lane), "stroke": style.INK, "stroke_width": 0.7}
        elif lane in waiting:
            attributes = {"fill": style.GROUND, "stroke": style.MUTED}
        markup.append(diagram.box(x, y, side, side, tip=tips.get(lane, ""), **attributes))
        if lane in waiting:
            cross = f"M{x + 5:.0f},{y + 5:.0f}l10,10m0,-10l-10,10"
            markup.append(f'<path d="{cross}" stroke="{style.MUTED}" stroke-width="2"/>')
    return "".join(markup)


def memory_height(requests: Sequence[Request]) -> float:
    """Pixels that `memory` takes for the one of `requests` that has most rows, and for any banks' bars."""
    rows = max((request.lines for request in requests), default=1)
    return rows * _row(rows) + _BANKS * any(request.space == "shared" for request in requests)


def hatch(name: str) -> str:
    """SVG definition of the pattern of bytes moved though no lane asked; to be filled with ``url(#name)``."""
    return (
        f'<defs><pattern id="{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{style.GROUND}"/>'
        f'<path d="M-2,2l4,-4M0,8l8,-8M6,10l4,-4" stroke="{WASTED}" stroke-width="1.6"/></pattern></defs>'
    )


def memory(request: Request, base: int, top: float, tips: Mapping[int, str]) -> str:
    """SVG of the memory of `request`: its rows, their words and a line to each from its lane. Rows are
    numbered in bytes from the address `base`."""
    rows = sectors(request.addresses, request.itemsize, LINE)
    tall = _row(len(rows))
    at = {row: top + n * tall for n, row in enumerate(rows)}
    thick, edge = (tall - 5, 2.5) if tall >= 16 else (tall - 1, 1)
    markup = [hatch("moved"), diagram.text(0, top - 8, "byte", colour=style.MUTED)]
    labelled = -100.0
    for row, y in at.items():
        markup.append(diagram.box(LEFT, y, WARP * CELL, thick, "#f4f4f4", stroke="#bbb"))
        if y - labelled >= 1.15 * style.TEXT:
            place, where = y + thick / 2 + style.TEXT * 0.36, f"{row * LINE - base:,}"
            markup.append(diagram.text(LEFT - 8, place, where, anchor="end", colour=style.MUTED))
            labelled = y
    found = sectors(request.addresses, request.itemsize) if request.space == "global" else []
    places, wide = (divmod(sector, LINE // SECTOR) for sector in found), SECTOR / WORD * CELL
    moved = [(LEFT + place * wide, at[row], wide, thick) for row, place in places]
    markup += [diagram.box(*sector, "url(#moved)") for sector in moved]
    markup += _words(request, at, thick, top, tips)
    markup += [diagram.box(*sector, "none", stroke=style.INK, stroke_width=edge) for sector in moved]
    return "".join(markup + _bars(request, top + len(rows) * tall))


def _row(rows: int) -> float:
    """The height of each of so many `rows`, in pixels."""
    return min(_TALLEST, _ROOM / rows)


def _words(
    request: Request, at: Mapping[int, float], thick: float, top: float, tips: Mapping[int, str]
) -> list[str]:
    """SVG of each lane's bytes, in the row whose y is in `at`, and of the lines to them from the lanes."""
    words, links = [], []
    for lane, address in zip(request.lanes, request.addresses, strict=True):
        row, within = divmod(address, LINE)
        x, tint = LEFT + within / WORD * CELL, colour(lane)
        wide = min(request.itemsize, LINE - within) / WORD * CELL
        box = x, at[row], wide, thick
        words.append(diagram.box(*box, tint, tips.get(lane, ""), stroke=style.INK, stroke_width=0.7))
        line = f"M{_centre(lane):.1f},{top - LINKS + 3:.1f}L{x + wide / 2:.1f},{at[row]:.1f}"
        links.append(f'<path d="{line}" stroke="{style.ink(tint)}" stroke-width="1.4"/>')
    return links + words


def _bars(request: Request, top: float) -> list[str]:
    """SVG of a bar below each bank of shared memory: how many different words it is asked for."""
    if request.space != "shared":
        return []
    counts = words_by_bank(request.addresses, request.itemsize)
    most = max(counts.values())
    unit = min(9.0, (_BANKS - 1.6 * style.TEXT) / most)
    markup = [diagram.text(0, top + style.TEXT, "banks", colour=style.MUTED)]
    for bank, count in counts.items():
        x, fill = LEFT + bank * CELL + 3, WASTED if count > 1 else style.COLOUR["compute"]
        markup.append(diagram.box(x, top + 2, CELL - 6, count * unit, fill, f"bank {bank}: {count} words"))
    worst = min(bank for bank, count in counts.items() if count == most)
    label = f"{most} words in bank {worst}" if most > 1 else "one word in each bank"
    half = diagram.text_width(label) / 2
    x = min(max(_centre(worst), LEFT + half), style.WIDTH - half)
    markup.append(diagram.text(x, top + most * unit + style.TEXT + 2, label, anchor="middle"))
    return markup


def words_by_bank(addresses: Sequence[int], itemsize: int) -> dict[int, int]:
    """How many different words each bank is asked for, by bank."""
    words = {at // WORD + k for at in addresses for k in range(max(1, itemsize // WORD))}
    return dict(sorted(Counter(word % BANKS for word in words).items()))
