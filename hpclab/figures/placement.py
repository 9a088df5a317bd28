"""Where a plan puts its ranks: nodes of GPUs, and whom one rank talks to along each axis, over which link.

Notice which lines leave the node. Tensor parallelism talks in every layer, so it should not.
"""

from itertools import zip_longest

from hpclab.figures import diagram, style
from hpclab.models.plan import Plan

_LOOK = {"tensor": "communication", "context": "queue wait", "data": "storage", "pipeline": "compute"}
_WHERE = ("inside the node", "across nodes")
_NODES, _SIZE, _HIGH, _ACROSS, _DOWN, _LEFT = 3, 46.0, 26.0, 80.0, 42.0, 92.0  # how many nodes; pixels


def draw(plan: Plan, node_gpus: int) -> str:
    """SVG of the first nodes, of `node_gpus` GPUs, that rank 0 and its groups touch."""
    rows = {name: row for name, row in plan.groups(0).items() if len(row) > 1}
    others = {name: sorted({peer // node_gpus for peer in row} - {0}) for name, row in rows.items()}
    touched = [0, *dict.fromkeys(node for turn in zip_longest(*others.values()) for node in turn)]
    touched = [node for node in touched if node is not None]
    shown = sorted(touched[:_NODES])
    where = {text: [name for name in others if bool(others[name]) == out] for out, text in enumerate(_WHERE)}
    said = [f"{', '.join(names)} {text}" for text, names in where.items() if names]
    title = f"Rank 0: {'; '.join(said) or 'it is alone'}"
    top, x, body = diagram.title_height(title) + 34, _LEFT, list[str]()
    colours = {name: style.COLOUR[_LOOK[name]] for name in rows}
    place = {
        node * node_gpus + local: (_LEFT + local * _ACROSS, top + row * _DOWN)
        for row, node in enumerate(shown) for local in range(node_gpus)
    }  # fmt: skip
    for name, row in rows.items():
        body.append(diagram.box(x, top - 38, 16, 16, colours[name]))
        body.append(diagram.text(x + 22, top - 24, text := f"{name} {len(row)}"))
        x += 40 + diagram.text_width(text)
    for node in shown:
        y = place[node * node_gpus][1]
        look = {"stroke": style.GRID, "stroke_width": 2, "rx": 6}
        width = node_gpus * _ACROSS
        body.append(diagram.box(_LEFT - 8, y - 6, width, _HIGH + 12, style.GROUND, f"node {node}", **look))
        body.append(diagram.text(0, y + 20, f"node {node}", colour=style.MUTED))
    for number, (name, row) in enumerate(rows.items()):
        aside = 9.0 * (number - 1)  # lines side by side
        ends = [place[peer] for peer in row if peer and peer in place]
        body += [_line(place[0], end, style.ink(colours[name]), aside) for end in ends]
    for gpu, (x, y) in place.items():
        group = next((name for name, row in rows.items() if gpu in row), "")
        fill = style.INK if not gpu else colours.get(group, style.GRID)
        told = f"rank {gpu}" + f": {group}" * bool(group and gpu)
        ink = style.GROUND if not gpu or group else style.INK
        body.append(diagram.box(x, y, _SIZE, _HIGH, fill, told, rx=4))
        body.append(diagram.text(x + _SIZE / 2, y + 20, f"{gpu}", anchor="middle", colour=ink))
    height = top + len(shown) * _DOWN
    if more := len(touched) - len(shown):
        text = f"and {more:,} more nodes with ranks of its groups"
        body.append(diagram.text(_LEFT, height + 8, text, colour=style.MUTED))
    groups = (
        f"{name}: {', '.join(map(str, row[:8]))}{' and more' * (len(row) > 8)}" for name, row in rows.items()
    )
    return diagram.document(title, f"Its groups are {'. '.join(groups)}.", body, height=height + 14)


def _line(begin: tuple[float, float], end: tuple[float, float], colour: str, aside: float) -> str:
    (x, y), (to_x, to_y) = ((at[0] + _SIZE / 2, at[1] + _HIGH / 2) for at in (begin, end))
    if y == to_y:  # an arc over the GPUs between: NVLink
        path, dash = f"M{x:.1f},{y:.1f}Q{(x + to_x) / 2:.1f},{y - 34:.1f} {to_x:.1f},{to_y:.1f}", ""
    else:
        path, dash = f"M{x + aside:.1f},{y:.1f}L{to_x + aside:.1f},{to_y:.1f}", ' stroke-dasharray="6 5"'
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="3"{dash}/>'
