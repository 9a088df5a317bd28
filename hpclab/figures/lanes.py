"""The 32 lanes of a warp as a row of boxes, and the colours that follow each lane into memory.

Colour runs with the lane's number, dark to light. So a warp that reads neighbours paints memory with the same
smooth run, and one that does not leaves single stripes. The lines from lanes to words say so without colour.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.colors import LinearSegmentedColormap, to_hex

from hpclab.figures import diagram, style
from hpclab.models.gpu_memory import WARP

CELL = 22.0  # pixels across a lane, and across a 4-byte word below it
LEFT = style.WIDTH - WARP * CELL - 2  # free for the names of the rows
HEIGHT = 2.5 * style.TEXT  # of the lanes' numbers and boxes
RUN = LinearSegmentedColormap.from_list("lanes", ("#00345c", "#0072b2", "#009e73", "#f0e442"), WARP)


def colour(lane: int) -> str:
    """The colour of a lane, in a run that grows lighter."""
    return to_hex(RUN(lane))


def centre(lane: int) -> float:
    """The x of a lane's middle."""
    return LEFT + (lane + 0.5) * CELL


def draw(top: float, active: Iterable[int], waiting: Iterable[int] = (), tips: Mapping[int, str] = {}) -> str:
    """The row: `active` lanes filled, `waiting` ones crossed out, the rest (no such thread) dotted."""
    y, side = top + 1.35 * style.TEXT, CELL - 2
    markup = [diagram.text(0, y + CELL - 5, "lane", colour=style.MUTED)]
    for lane in range(WARP):
        if lane % 8 == 0 or lane == WARP - 1:
            markup.append(diagram.text(centre(lane), top + style.TEXT, str(lane), anchor="middle"))
        x = LEFT + lane * CELL + 1
        look: dict[str, Any] = {"fill": "none", "stroke": "#999", "stroke_dasharray": "2 3"}
        if lane in active:
            look = {"fill": colour(lane), "stroke": style.INK, "stroke_width": 0.7}
        elif lane in waiting:
            look = {"fill": style.GROUND, "stroke": style.MUTED}
        markup.append(diagram.box(x, y, side, side, tip=tips.get(lane, ""), **look))
        if lane in waiting:
            cross = f"M{x + 5:.0f},{y + 5:.0f}l10,10m0,-10l-10,10"
            markup.append(f'<path d="{cross}" stroke="{style.MUTED}" stroke-width="2"/>')
    return "".join(markup)
