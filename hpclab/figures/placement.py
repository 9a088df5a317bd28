"""Where a plan puts its ranks: nodes of GPUs, and whom one rank talks to along each axis, over which link.

Notice which lines leave the node. Tensor parallelism talks in every layer, so it should not.
"""

from collections.abc import Mapping
from itertools import zip_longest

from hpclab.figures import diagram, style
from hpclab.models.placement import Axis
from hpclab.models.plan import Plan

_AXES = {"tensor": "communication", "context": "queue wait", "data": "storage", "pipeline": "compute"}
_NODES, _SIZE, _GAP, _LEFT = 4, 46.0, 34.0, 92.0


def draw(plan: Plan, axes: Mapping[str, Axis], node_gpus: int, rank: int = 0) -> str:
    """SVG of the first nodes that `rank` and its groups touch; `axes` are those of `models.placement`."""
    groups = {name: next(row for row in axis.groups if rank in row) for name, axis in axes.items()}
    groups = {name: row for name, row in groups.items() if len(row) > 1}
    own = rank // node_gpus
    others = [sorted({int(peer) // node_gpus for peer in row} - {own}) for row in groups.values()]
    touched = [
        own,
        *dict.fromkeys(node for turn in zip_longest(*others) for node in turn if node is not None),
    ]
    shown = sorted(touched[:_NODES])
    title = f"Rank {rank} of {plan.gpus:,}: " + (
        ", ".join(
            f"{name} {'across nodes' if axes[name].crosses.any() else 'inside the node'}" for name in groups
        )
        or "it is alone"
    )
    top = diagram.title_height(title) + 34
    place = {
        node * node_gpus + local: (_LEFT + local * (_SIZE + _GAP), top + row * (_SIZE + 40))
        for row, node in enumerate(shown) for local in range(node_gpus)
    }  # fmt: skip
    body = []
    for row, node in enumerate(shown):
        y = top + row * (_SIZE + 40)
        width = node_gpus * (_SIZE + _GAP)
        look = {"stroke": style.GRID, "stroke_width": 2, "rx": 6}
        body.append(diagram.box(_LEFT - 8, y - 10, width, _SIZE + 20, style.GROUND, f"node {node}", **look))
        body.append(diagram.text(0, y + 28, f"node {node}", colour=style.MUTED))
    for number, (name, row) in enumerate(groups.items()):
        colour, aside = style.ink(style.COLOUR[_AXES[name]]), 9.0 * (number - 1)  # lines side by side
        for peer in map(int, row):
            if peer != rank and peer in place:
                body.append(_line(place[rank], place[peer], colour, aside))
    for gpu, (x, y) in place.items():
        with_it = [name for name, row in groups.items() if gpu in row and gpu != rank]
        fill = style.INK if gpu == rank else style.COLOUR[_AXES[with_it[0]]] if with_it else style.GRID
        told = f"rank {gpu}" + (f": {with_it[0]}" if with_it else "")
        body.append(diagram.box(x, y, _SIZE, _SIZE, fill, told, rx=4))
        ink = style.GROUND if gpu == rank or with_it else style.INK
        body.append(diagram.text(x + _SIZE / 2, y + 30, f"{gpu}", anchor="middle", colour=ink))
    x = _LEFT
    for name, row in groups.items():
        body.append(diagram.box(x, top - 38, 16, 16, style.COLOUR[_AXES[name]]))
        text = f"{name} {len(row)}"
        body.append(diagram.text(x + 22, top - 24, text))
        x += 40 + diagram.text_width(text)
    more = len(touched) - len(shown)
    height = top + len(shown) * (_SIZE + 40)
    if more:
        body.append(
            diagram.text(
                _LEFT, height, f"and {more:,} more nodes with ranks of its groups", colour=style.MUTED
            )
        )
    said = ". ".join(
        f"{name}: {', '.join(map(str, row[:8]))}{' and more' * (len(row) > 8)}"
        for name, row in groups.items()
    )
    return diagram.document(title, f"Its groups are {said}.", body, height=height + 14)


def _line(begin: tuple[float, float], end: tuple[float, float], colour: str, aside: float) -> str:
    (x, y), (to_x, to_y) = ((at[0] + _SIZE / 2, at[1] + _SIZE / 2) for at in (begin, end))
    if y == to_y:  # an arc over the GPUs between: NVLink
        path, dash = f"M{x:.1f},{y:.1f}Q{(x + to_x) / 2:.1f},{y - 52:.1f} {to_x:.1f},{to_y:.1f}", ""
    else:
        path, dash = f"M{x + aside:.1f},{y:.1f}L{to_x + aside:.1f},{to_y:.1f}", ' stroke-dasharray="6 5"'
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="3"{dash}/>'
