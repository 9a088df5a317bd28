"""What fills a GPU's memory: a stacked bar for each plan, under the line of what there is."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from hpclab import checks
from hpclab.figures import stacks, style
from hpclab.models.memory import Memory
from hpclab.units import format_bytes

_COLOURS = {  # from the bottom up: what does not depend on the batch, then what does
    "parameters": "compute", "gradients": "communication", "optimizer": "optimizer",
    "activations": "storage", "buffers": "idle",
}  # fmt: skip


def draw(ax: Axes, bars: Mapping[str, Memory], capacity: float = 0.0, *, title: str = "") -> Axes:
    """Draw a bar of bytes for each name; `capacity` bytes are a line (0: none). ValueError for an empty
    mapping. The default `title` says whether the fullest of them fits."""
    checks.instances("bars", checks.instance("bars", bars, Mapping).values(), Memory)
    if not bars:
        raise ValueError("There is no memory to draw yet: give a name and a Memory for each bar.")
    total = max(memory.total for memory in bars.values())
    top, attributes = max(capacity, total), {kind: style.part(name) for kind, name in _COLOURS.items()}
    kinds = {name: asdict(memory) for name, memory in bars.items()}
    text = stacks.draw(ax, kinds, attributes, format_bytes, 1.12 * top)
    above: Any = {"va": "bottom", "bbox": style.BEHIND}
    for x, memory in enumerate(bars.values()):
        style.note(ax, format_bytes(memory.total), (x, memory.total), (0, 3), ha="center", zorder=5, **above)
    answer = f"{format_bytes(total)} at the peak"
    if capacity:
        ax.axhline(capacity, color=style.INK, linestyle=(0, (4, 3)), linewidth=1.5)
        style.note(ax, f"{format_bytes(capacity)} usable", (-0.55, capacity), (0, 3), **above)
        answer += f": {'it fits' if total <= capacity else 'too much'} for {format_bytes(capacity)}"
    ax.set(xlim=(-0.6, len(bars) - 0.5), ylabel="On one rank")
    ax.set_xticks(range(len(bars)), list(bars))
    ax.yaxis.set_major_locator(MultipleLocator(2 ** round(math.log2(top / 5))))
    ax.yaxis.set_major_formatter(lambda value, _: format_bytes(value))
    return style.describe(ax, title or answer, text)
