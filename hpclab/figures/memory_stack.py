"""What fills a GPU's memory: a bar for each plan, its kinds stacked, under the line of what there is."""

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

_LOOKS = {
    "parameters": style.part("compute"),
    "gradients": style.part("communication"),
    "optimizer": style.part("optimizer"),
    "activations": style.part("storage"),
    "buffers": style.part("idle"),
}
"""From the bottom up: what does not depend on the batch, then what does."""


def draw(ax: Axes, bars: Mapping[str, Memory], capacity: float = 0.0, *, title: str = "") -> Axes:
    """A bar of bytes for each name; `capacity` bytes are a line (0: none). ValueError for an empty mapping.

    Without a `title` the answer is whether the fullest of them fits.
    """
    for name, memory in checks.instance("bars", bars, Mapping).items():
        checks.instance(name, memory, Memory)
    if not bars:
        raise ValueError("There is no memory to draw yet: give a name and a Memory for each bar.")
    checks.number("capacity", capacity, 0, 1e18, "bytes")
    top = max(capacity, *(memory.total for memory in bars.values()))
    kinds = {name: asdict(memory) for name, memory in bars.items()}
    text = stacks.draw(ax, kinds, _LOOKS, format_bytes, 1.12 * top)
    look: Any = {"xytext": (0, 3), "textcoords": "offset points", "va": "bottom", "bbox": style.BEHIND}
    for place, memory in enumerate(bars.values()):
        ax.annotate(format_bytes(memory.total), (place, memory.total), ha="center", zorder=5, **look)
    if capacity:
        ax.axhline(capacity, color=style.INK, linestyle=(0, (4, 3)), linewidth=1.5)
        ax.annotate(f"{format_bytes(capacity)} usable", (-0.55, capacity), **look)
    ax.set(xlim=(-0.6, len(bars) - 0.5), ylabel="On one rank")
    ax.set_xticks(range(len(bars)), list(bars))
    ax.yaxis.set_major_locator(MultipleLocator(2 ** round(math.log2(top / 5))))
    ax.yaxis.set_major_formatter(lambda value, _: format_bytes(value))
    total = max(memory.total for memory in bars.values())
    answer = f"{format_bytes(total)} at the peak"
    if capacity:
        answer += f": {'it fits' if total <= capacity else 'too much'} for {format_bytes(capacity)}"
    return style.describe(ax, title or answer, text)
