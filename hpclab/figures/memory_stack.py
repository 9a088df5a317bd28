"""What fills a GPU's memory: a bar for each plan, its kinds stacked, under the line of what there is."""

import math
from collections.abc import Mapping
from dataclasses import asdict

from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator

from hpclab import checks
from hpclab.figures import direct_labels, style
from hpclab.models.memory import Memory
from hpclab.units import format_bytes

_LOOK = {
    "parameters": style.part("compute"),
    "gradients": style.part("communication"),
    "optimizer": style.part("compute") | {"facecolor": style.COLOUR["optimizer"]},
    "activations": style.part("storage"),
    "buffers": style.part("idle"),
}
"""From the bottom up: what does not depend on the batch, then what does."""


def draw(ax: Axes, bars: Mapping[str, Memory], capacity: float = 0.0, *, title: str = "") -> Axes:
    """A bar of bytes for each name; `capacity` bytes are a line (0: none). ValueError for an empty mapping.

    Without a `title` the answer is whether the last of them fits.
    """
    for name, memory in checks.instance("bars", bars, Mapping).items():
        checks.instance(name, memory, Memory)
    if not bars:
        raise ValueError("There is no memory to draw yet: give a name and a Memory for each bar.")
    checks.number("capacity", capacity, 0, 1e18, "bytes")
    top = max(capacity, *(memory.total for memory in bars.values()))
    labels, last = list[direct_labels.Label](), len(bars) - 1
    for place, (name, memory) in enumerate(bars.items()):
        edge = 0.0
        for kind, size in asdict(memory).items():
            (drawn,) = ax.bar(place, size, 0.6, edge, **_LOOK[kind])
            style.tips(drawn, f"{name}, {kind}: {format_bytes(size)}")
            if place == last and size > 0.01 * top:
                text = f"{kind} {format_bytes(size)}"
                labels.append(direct_labels.Label(place + 0.32, edge + size / 2, text))
            edge += size
        ax.annotate(format_bytes(memory.total), (place, edge), (0, 3), textcoords="offset points",
                    ha="center", va="bottom", zorder=5, bbox=style.BEHIND)  # fmt: skip
    if capacity:
        ax.axhline(capacity, color=style.INK, linestyle=(0, (4, 3)), linewidth=1.5)
        ax.annotate(f"{format_bytes(capacity)} usable", (-0.55, capacity), (0, 3), textcoords="offset points",
                    va="bottom", bbox=style.BEHIND)  # fmt: skip
    ax.set(xlim=(-0.6, last + 0.5), ylim=(0, top * 1.12), ylabel="On one rank, at the peak")
    ax.set_xticks(range(len(bars)), list(bars))
    ax.yaxis.set_major_locator(MultipleLocator(2 ** round(math.log2(top / 5))))
    ax.yaxis.set_major_formatter(lambda value, _: format_bytes(value))
    ax.grid(visible=False, axis="x")
    direct_labels.at_right(ax, labels)
    lines = []
    for name, memory in bars.items():
        kinds = (f"{kind} {format_bytes(size)}" for kind, size in asdict(memory).items() if size)
        lines.append(f"{name}: {', '.join(kinds)}.")
    total = [*bars.values()][-1].total
    answer = f"{format_bytes(total)} at the peak"
    if capacity:
        answer += f": {'it fits' if total <= capacity else 'too much'} for {format_bytes(capacity)}"
    return style.describe(ax, title or answer, " ".join(lines))
