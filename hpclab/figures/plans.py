"""Plans of a training: what their steps consist of, and where one of them puts its ranks."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.transforms import blended_transform_factory

from hpclab.figures import diagram, scales, stacks, style
from hpclab.models.plan import Plan
from hpclab.units import format_seconds

_PARTS = {  # drawn for the parts of `models.training_step.StepTime`; others are computing
    "recompute": "recompute", "tensor parallel": "tensor and context",
    "context parallel": "tensor and context", "gradients": "data", "sharded parameters": "data",
    "bubble": "pipeline", "pipeline messages": "pipeline", "optimizer": "optimizer",
}  # fmt: skip
_ATTRIBUTES = {
    "compute": style.part("compute"),
    "recompute": style.part("compute") | {"hatch": ".."},
    "tensor and context": style.part("communication"),
    "data": style.part("storage"),
    "pipeline": style.part("idle"),
    "optimizer": style.part("optimizer"),
}
_COLOURS = {"tensor": "communication", "context": "queue wait", "data": "storage", "pipeline": "compute"}
_FRAME: dict[str, Any] = {"stroke": style.GRID, "stroke_width": 2, "rx": 6}
_WHERE = ("inside the node", "across nodes")
_NODES, _SIZE, _HIGH, _ACROSS, _DOWN, _LEFT = 3, 46.0, 26.0, 80.0, 42.0, 92.0  # how many nodes; pixels


def grouped(parts: Mapping[str, float]) -> dict[str, float]:
    """Sum the seconds of a step's `parts` (of `StepTime`) by the part as which they are drawn."""
    found = dict.fromkeys(_ATTRIBUTES, 0.0)
    for part, seconds in parts.items():
        found[_PARTS.get(part, "compute")] += seconds
    return found


def name(plan: Plan) -> str:
    """The plan as text: ``"DP 4 · TP 8 · PP 16"``, and below it its micro-batch and what is unusual."""
    words = [f"DP {plan.data}", f"TP {plan.tensor}", f"PP {plan.pipeline}"]
    words += [f"CP {plan.context}"] * (plan.context > 1)
    more = [f"{plan.chunks} chunks"] * (plan.chunks > 1) + [f"micro-batch {plan.micro_batch}"]
    more += [f"ZeRO {plan.zero}"] * (plan.zero > 1) + ["recomputed"] * (plan.recompute == "full")
    return " · ".join(words) + "\n" + ", ".join(more)


def steps(ax: Axes, plans: Mapping[str, Mapping[str, float]], title: str) -> Axes:
    """Draw a horizontal bar for the step of each of `plans`, at least one, from its seconds by part."""
    bars = {label: grouped(parts) for label, parts in plans.items()}
    totals = [sum(bar.values()) for bar in bars.values()]
    top = max(totals)
    text = stacks.draw(ax, bars, _ATTRIBUTES, format_seconds, 1.15 * top, across=True)
    for row, total in enumerate(totals):
        style.note(ax, format_seconds(total), (total, row), (5, 0), va="center")
    ax.set(ylim=(len(bars) - 0.5, -0.5))
    style.rows(ax, list(bars), linespacing=1.1)
    scales.duration(ax.xaxis, top)
    seen = [part for part in _ATTRIBUTES if any(bar[part] > 0.002 * top for bar in bars.values())]
    style.key_above(
        ax, handles=[Patch(**_ATTRIBUTES[part], label=part) for part in seen], ncols=4, columnspacing=0.9,
        bbox_to_anchor=(0, 1),
        bbox_transform=blended_transform_factory(ax.figure.transSubfigure, ax.transAxes),  # names take room
    )  # fmt: skip
    return style.describe(ax, title, text.replace("\n", ", "), above=-(-len(seen) // 4))


def placement(plan: Plan, node_gpus: int) -> str:
    """SVG of the first nodes, of `node_gpus` GPUs, with rank 0's peers in its groups, and a line to each."""
    rows = {axis: row for axis, row in plan.groups(0).items() if len(row) > 1}
    others = {axis: sorted({peer // node_gpus for peer in row} - {0}) for axis, row in rows.items()}
    turns = (node for turn in zip_longest(*others.values()) for node in turn if node is not None)
    touched = [0, *dict.fromkeys(turns)]
    shown = sorted(touched[:_NODES])
    where = {text: [axis for axis in others if bool(others[axis]) == out] for out, text in enumerate(_WHERE)}
    said = [f"{', '.join(axes)} {text}" for text, axes in where.items() if axes]
    title = f"Rank 0: {'; '.join(said) or 'it is alone'}"
    top, x, body = diagram.title_height(title) + 34, _LEFT, list[str]()
    colours = {axis: style.COLOUR[_COLOURS[axis]] for axis in rows}
    place = {
        node * node_gpus + local: (_LEFT + local * _ACROSS, top + row * _DOWN)
        for row, node in enumerate(shown) for local in range(node_gpus)
    }  # fmt: skip
    for axis, row in rows.items():
        body.append(diagram.box(x, top - 38, 16, 16, colours[axis]))
        body.append(diagram.text(x + 22, top - 24, text := f"{axis} {len(row)}"))
        x += 40 + diagram.text_width(text)
    for node in shown:
        y, wide, frame = place[node * node_gpus][1], node_gpus * _ACROSS, f"node {node}"
        body.append(diagram.box(_LEFT - 8, y - 6, wide, _HIGH + 12, style.GROUND, frame, **_FRAME))
        body.append(diagram.text(0, y + 20, f"node {node}", colour=style.MUTED))
    for number, (axis, row) in enumerate(rows.items()):
        aside = 9.0 * (number - 1)  # lines side by side
        ends = [place[peer] for peer in row if peer and peer in place]
        body += [_line(place[0], end, style.ink(colours[axis]), aside) for end in ends]
    for gpu, (x, y) in place.items():
        group = next((axis for axis, row in rows.items() if gpu in row), "")
        fill = style.INK if not gpu else colours.get(group, style.GRID)
        told = f"rank {gpu}" + f": {group}" * bool(group and gpu)
        ink = style.GROUND if not gpu or group else style.INK
        body.append(diagram.box(x, y, _SIZE, _HIGH, fill, told, rx=4))
        body.append(diagram.text(x + _SIZE / 2, y + 20, f"{gpu}", anchor="middle", colour=ink))
    height = top + len(shown) * _DOWN
    if more := len(touched) - len(shown):
        text = f"and {more:,} more nodes with ranks of its groups"
        body.append(diagram.text(_LEFT, height + 8, text, colour=style.MUTED))
    groups = (f"{axis}: {', '.join(map(str, r[:8]))}{' and more' * (len(r) > 8)}" for axis, r in rows.items())
    return diagram.document(title, f"Its groups are {'. '.join(groups)}.", body, height=height + 14)


def _line(begin: tuple[float, float], end: tuple[float, float], colour: str, aside: float) -> str:
    """SVG of a line between two GPUs: an arc inside a node, else dashed and moved `aside` pixels."""
    (x, y), (to_x, to_y) = ((at[0] + _SIZE / 2, at[1] + _HIGH / 2) for at in (begin, end))
    if y == to_y:  # an arc over the GPUs between: NVLink
        path, dash = f"M{x:.1f},{y:.1f}Q{(x + to_x) / 2:.1f},{y - 34:.1f} {to_x:.1f},{to_y:.1f}", ""
    else:
        path, dash = f"M{x + aside:.1f},{y:.1f}L{to_x + aside:.1f},{to_y:.1f}", ' stroke-dasharray="6 5"'
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="3"{dash}/>'
