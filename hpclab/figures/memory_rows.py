"""Memory below a warp, in rows of 128 bytes that are as wide as 32 lanes of 4 bytes each.

In global memory a row is a line of four sectors, and a sector comes whole: hatched is what was moved though
no lane asked for it. In shared memory a row is one word of each of the 32 banks, and different words in one
column must be served one after another: the bars below count them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from hpclab.figures import diagram, lanes, style
from hpclab.models import gpu_memory
from hpclab.models.gpu_memory import BANKS, LINE, SECTOR, WARP, WORD, Request

LINKS = 38.0  # pixels between the lanes and the first row
WASTED = style.COLOUR["transfer"]
_ROOM, _TALLEST = 112.0, 30.0  # pixels for all rows, and the most for one
_BANKS = 2.6 * style.TEXT


def height(requests: Sequence[Request]) -> float:
    """Pixels for the one of `requests` that touches most rows, and for the banks' bars where needed."""
    rows = max((request.lines for request in requests), default=1)
    return rows * _row(rows) + _BANKS * any(request.space == "shared" for request in requests)


def hatch(name: str) -> str:
    """The pattern of what was moved for nothing, to be filled with ``url(#name)``."""
    return (
        f'<defs><pattern id="{name}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{style.GROUND}"/>'
        f'<path d="M-2,2l4,-4M0,8l8,-8M6,10l4,-4" stroke="{WASTED}" stroke-width="1.6"/></pattern></defs>'
    )


def draw(request: Request, base: int, top: float, tips: Mapping[int, str]) -> str:
    """Rows, words and the lines from the lanes; `base` is the address that the rows are counted from."""
    rows = gpu_memory.sectors(request.addresses, request.itemsize, LINE)
    tall = _row(len(rows))
    at = {row: top + n * tall for n, row in enumerate(rows)}
    thick = tall - (5 if tall >= 16 else 1)
    name = "moved"
    markup = [hatch(name), diagram.text(0, top - 8, "byte", colour=style.MUTED)]
    labelled = -100.0
    for row, y in at.items():
        markup.append(diagram.box(lanes.LEFT, y, WARP * lanes.CELL, thick, "#f4f4f4", stroke="#bbb"))
        if y - labelled >= 1.15 * style.TEXT:
            place, where = y + thick / 2 + style.TEXT * 0.36, f"{row * LINE - base:,}"
            markup.append(diagram.text(lanes.LEFT - 8, place, where, anchor="end", colour=style.MUTED))
            labelled = y
    found = gpu_memory.sectors(request.addresses, request.itemsize) if request.space == "global" else []
    quarter = SECTOR / WORD * lanes.CELL
    moved = [
        (lanes.LEFT + place * quarter, at[row], quarter, thick)
        for row, place in (divmod(sector, LINE // SECTOR) for sector in found)
    ]
    markup += [diagram.box(*sector, f"url(#{name})") for sector in moved]
    markup += _words(request, at, thick, top, tips)
    edge = 2.5 if tall >= 16 else 1
    markup += [diagram.box(*sector, "none", stroke=style.INK, stroke_width=edge) for sector in moved]
    return "".join(markup + _bars(request, top + len(rows) * tall))


def _row(rows: int) -> float:
    return min(_TALLEST, _ROOM / rows)


def _words(
    request: Request, at: Mapping[int, float], thick: float, top: float, tips: Mapping[int, str]
) -> list[str]:
    words, links = [], []
    for lane, address in zip(request.lanes, request.addresses, strict=True):
        tint = lanes.colour(lane)
        row, within = divmod(address, LINE)
        x = lanes.LEFT + within / WORD * lanes.CELL
        wide = min(request.itemsize, LINE - within) / WORD * lanes.CELL
        box = x, at[row], wide, thick
        words.append(diagram.box(*box, tint, tips.get(lane, ""), stroke=style.INK, stroke_width=0.7))
        line = f"M{lanes.centre(lane):.1f},{top - LINKS + 3:.1f}L{x + wide / 2:.1f},{at[row]:.1f}"
        links.append(f'<path d="{line}" stroke="{style.ink(tint)}" stroke-width="1.4"/>')
    return links + words


def _bars(request: Request, top: float) -> list[str]:
    """Below each bank a bar: how many different words it is asked for, which it serves one after another."""
    if request.space != "shared":
        return []
    counts = words_by_bank(request.addresses, request.itemsize)
    most = max(counts.values())
    unit = min(9.0, (_BANKS - 1.6 * style.TEXT) / most)
    markup = [diagram.text(0, top + style.TEXT, "banks", colour=style.MUTED)]
    for bank, count in counts.items():
        x, fill = lanes.LEFT + bank * lanes.CELL + 3, WASTED if count > 1 else style.COLOUR["compute"]
        tip = f"bank {bank}: {count} words"
        markup.append(diagram.box(x, top + 2, lanes.CELL - 6, count * unit, fill, tip))
    worst = min(bank for bank, count in counts.items() if count == most)
    label = f"{most} words in bank {worst}" if most > 1 else "one word in each bank"
    half = diagram.text_width(label) / 2
    x = min(max(lanes.centre(worst), lanes.LEFT + half), style.WIDTH - half)
    markup.append(diagram.text(x, top + most * unit + style.TEXT + 2, label, anchor="middle"))
    return markup


def words_by_bank(addresses: Sequence[int], itemsize: int) -> dict[int, int]:
    """How many different words each bank is asked for, by bank."""
    words = {at // WORD + k for at in addresses for k in range(max(1, itemsize // WORD))}
    return dict(sorted(Counter(word % BANKS for word in words).items()))
