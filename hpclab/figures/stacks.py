"""Stacked bars."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from hpclab.figures import direct_labels, style


def draw(
    ax: Axes, bars: Mapping[str, Mapping[str, float]], attributes: Mapping[str, Any],
    said: Callable[[float], str], end: float, *, at: Sequence[float] = (), thick: float = 0.6,
    across: bool = False, pale: Collection[str] = (),
) -> str:  # fmt: skip
    """Draw `bars`, each the sizes of its parts by name, at 0, 1, 2, ... or `at`, `thick` wide, on an axis
    that ends at `end`; `across`: horizontally. `attributes` are matplotlib's, by part; `said` formats a size;
    the bars named in `pale` are half transparent. Parts of the last upright bar are named beside it. Return
    the text for screen readers."""
    stack, labels = ax.barh if across else ax.bar, list[direct_labels.Label]()
    last, lines = [*bars][-1:], []
    for place, (name, bar) in zip(at or range(len(bars)), bars.items(), strict=True):
        edge = 0.0
        for part, size in bar.items():
            drawn = attributes[part] | ({"alpha": 0.5} if name in pale else {})
            style.tips(*stack(place, size, thick, edge, label=part, **drawn), f"{name}, {part}: {said(size)}")
            if name in last and size > 0.01 * end:
                text = f"{part} {said(size)}"
                labels.append(direct_labels.Label(place + thick / 2 + 0.02, edge + size / 2, text))
            edge += size
        parts = ", ".join(f"{part} {said(size)}" for part, size in bar.items() if size > 0)
        lines.append(f"{name}: {said(edge)} in all: {parts}.")
    ax.set(**{"xlim" if across else "ylim": (0, end)})
    ax.grid(visible=False, axis="y" if across else "x")
    if not across:
        direct_labels.at_right(ax, labels)
    return " ".join(lines)
