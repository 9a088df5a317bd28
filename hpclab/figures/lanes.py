"""The 32 lanes of a warp as a row of boxes, and the colours that follow each lane into memory.

Colour runs with the lane's number, dark to light. So a warp that reads neighbours paints memory with the same
smooth run, and one that does not leaves single stripes. The lines from lanes to words say so without colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from hpclab.figures import diagram, style
from hpclab.models.gpu_memory import WARP

CELL = 22.0  # pixels across a lane, and across a 4-byte word below it
LEFT = style.WIDTH - WARP * CELL - 2  # free for the names of the rows
HEIGHT = 2.5 * style.TEXT  # of the lanes' numbers and boxes
_ANCHORS = ((0, 52, 92), (0, 114, 178), (0, 158, 115), (240, 228, 66))  # Okabe–Ito blue, green, yellow


def colour(part: float) -> str:
    """The colour at `part`, 0 (first) to 1 (last), of a run that grows lighter."""
    place = min(max(part, 0.0), 1.0) * (len(_ANCHORS) - 1)
    below = min(int(place), len(_ANCHORS) - 2)
    pairs = zip(_ANCHORS[below], _ANCHORS[below + 1], strict=True)
    return "#" + "".join(f"{round(low + (high - low) * (place - below)):02x}" for low, high in pairs)


def centre(lane: int) -> float:
    """The x of a lane's middle."""
    return LEFT + (lane + 0.5) * CELL


def draw(top: float, active: Iterable[int], waiting: Iterable[int] = (), tips: Mapping[int, str] = {}) -> str:
    """The row: `active` lanes filled, `waiting` ones crossed out, the rest (no such thread) dotted."""
    active, waiting = set(active), set(waiting)
    box = top + 1.35 * style.TEXT
    markup = [diagram.text(0, box + CELL - 5, "lane", colour=style.MUTED)]
    for lane in range(WARP):
        if lane % 8 == 0 or lane == WARP - 1:
            markup.append(diagram.text(centre(lane), top + style.TEXT, str(lane), anchor="middle"))
        x, side = LEFT + lane * CELL + 1, CELL - 2
        look = 'fill="none" stroke-dasharray="2 3" stroke="#999"'
        if lane in active:
            look = f'fill="{colour(lane / (WARP - 1))}" stroke="{style.INK}" stroke-width=".7"'
        elif lane in waiting:
            look = f'fill="{style.GROUND}" stroke="{style.MUTED}"'
        tip = f"<title>{escape(tips[lane])}</title>" if lane in tips else ""
        markup.append(
            f'<rect x="{x:.0f}" y="{box:.0f}" width="{side:.0f}" height="{side:.0f}" {look}>{tip}</rect>'
        )
        if lane in waiting:
            cross = f"M{x + 5:.0f},{box + 5:.0f}l10,10m0,-10l-10,10"
            markup.append(f'<path d="{cross}" stroke="{style.MUTED}" stroke-width="2"/>')
    return "".join(markup)
