"""The roofline of a device, the peak solid and the achievable roof dashed, with kernels under it. The axes
are the same for every precision. A kernel without operations is drawn by `bandwidth` instead."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy

from hpclab import checks
from hpclab.figures import direct_labels, scales, style, wording
from hpclab.figures.direct_labels import Label
from hpclab.figures.overlay import Overlay
from hpclab.figures.roofline_points import HIGH, LOW, Kernel, mark, series_marks
from hpclab.models.device import PRECISIONS, Device, Roof
from hpclab.results import Origin
from hpclab.units import format_flops

Series = Mapping[str, dict[str, Any]]  # as `series_marks` gives them


def draw(ax: Axes, device: Device, under: Sequence[Kernel] = (), precision: str = "fp32") -> Axes:
    """Draw the roofs of `device` in `precision`, ValueError if it has none, and the kernels `under` them."""
    checks.instance("device", device, Device)
    checks.instances("under", under, Kernel)
    roofs = [device.roof(precision, basis) for basis in device.bases]
    top = max(device.roof(name, device.bases[0]).rate for name in device.precisions)
    scales.logarithmic(ax, "x", "", "FLOP per byte of memory traffic")
    scales.logarithmic(ax, "y", "FLOP/s", "Rate")
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set(xlim=(LOW, HIGH), ylim=(roofs[0].bandwidth * LOW / 25, top * 2))  # for every precision
    labels: list[Label] = []
    for roof in roofs:
        line = "--" if roof.basis == "achievable" and len(roofs) > 1 else "-"
        ridge, colour = max(roof.ridge, LOW), style.COLOUR["compute"]
        ax.plot([LOW, ridge], [roof.bandwidth * LOW, roof.rate], line, color=style.INK, linewidth=2)
        ax.plot([ridge, HIGH], [roof.rate, roof.rate], line, color=colour)
        text = f"{PRECISIONS[precision]} {basis_of(roof, 'rate')}\n{format_flops(roof.rate, per_second=True)}"
        labels.append(Label(HIGH, roof.rate, text, colour))
    direct_labels.at_right(ax, labels)
    _bandwidths(ax, roofs)
    _ridge(ax, roofs[-1])
    series, shown = series_marks(under), [kernel for kernel in under if kernel.on_axis]
    for kernel in shown:  # every repeat is a mark; the tip says what it is
        at, own = min(kernel.intensity, HIGH), mark(kernel, series[kernel.series]) | {"clip_on": False}
        both = zip(kernel.rates, kernel.bandwidths, strict=True)
        texts = (f"{kernel.name}: {_rate_and_bandwidth(*one)}, {kernel.origin} {kernel.note}" for one in both)
        style.plot(ax, [at] * len(kernel.rates), kernel.rates, own, texts)
    steps = Counter(kernel.series for kernel in {kernel.name: kernel for kernel in shown}.values())
    several = {name: one for name, one in series.items() if steps[name] > 1}
    _legend(ax, shown, several)
    direct_labels.beside(ax, _named(shown, series, several))
    title = f"{device.title}, {PRECISIONS[precision]}: {ridge_of(roofs[-1])}"
    answer = wording.doubted(title, *(kernel.doubt for kernel in shown))
    return style.describe(ax, answer, _said(device, roofs, under))


def over(ax: Axes, before: Kernel, after: Kernel) -> Overlay:
    """The overlay of a what-if: an arrow from the kernel `before` it to `after` it."""
    layer, colour = Overlay(ax), style.COLOUR["what if"]
    layer.mark(*after.place, colour)
    layer.arrow(before.place, after.place, after.name, colour)
    return layer


def basis_of(roof: Roof, what: str) -> str:
    """ "peak", "assumed" or "measured": what the "rate" or the "bandwidth" (`what`) of `roof` rests on."""
    return "peak" if roof.basis == "peak" else "assumed" if what in roof.assumed else "measured"


def ridge_of(roof: Roof) -> str:
    """The ridge point in words: ``"achievable ridge at 17"`` FLOP per byte."""
    return f"{roof.basis} ridge at {roof.ridge:.{0 if roof.ridge >= 9.95 else 1}f}"


def _bandwidths(ax: Axes, pair: Sequence[Roof]) -> None:
    """Write the roofs' bandwidths above the slope, turned as it is."""
    words = [f"{wording.rate(r.bandwidth)} {basis_of(r, 'bandwidth')}" for r in pair]
    end = max(pair[0].ridge, 4 * LOW)
    logarithms = offset_copy(ax.transLimits + ax.transAxes, ax.get_figure(root=True), -12, -5, "points")
    ax.text(
        math.log10(end), math.log10(end * pair[0].bandwidth), "\n".join(words), transform=logarithms,
        color=style.MUTED, ha="right", va="bottom", in_layout=False,
        rotation=45, rotation_mode="anchor", transform_rotates_text=True,  # of logarithms the slope is one
    )  # fmt: skip


def _ridge(ax: Axes, roof: Roof) -> None:
    """Mark the ridge point, and write its FLOP per byte beside it."""
    ax.vlines(roof.ridge, 0, roof.rate, style.MUTED, (0, (2, 4)), linewidth=1, in_layout=False)
    left = roof.ridge > math.sqrt(LOW * HIGH)  # in the right half it would run into the key
    side: Any = {"xycoords": ("data", "axes fraction"), "ha": "right" if left else "left"}
    style.note(ax, ridge_of(roof), (roof.ridge, 0), (-5 if left else 5, 6), color=style.MUTED, **side)
    diamond: Any = {"markerfacecolor": style.GROUND, "markeredgecolor": style.INK, "markeredgewidth": 1.6}
    ax.plot(roof.ridge, roof.rate, "D", markersize=8, zorder=3, **diamond)


def _legend(ax: Axes, shown: Sequence[Kernel], several: Series) -> None:
    """Draw the legend in the margin, below the roofs' names: series in `several`, and origins."""
    lines = {name: Line2D([], [], linestyle="none", **one) for name, one in several.items()}
    for origin in Origin:
        if of_it := [kernel for kernel in shown if kernel.origin is origin]:
            grey = {"color": style.MUTED, "marker": "o"}
            lines[str(origin)] = Line2D([], [], **{**mark(of_it[0], grey), "alpha": 1})
    if lines:
        ax.legend([*lines.values()], [*lines], loc="lower left", bbox_to_anchor=(1.0, -0.03), borderpad=0)


def _named(shown: Sequence[Kernel], series: Series, several: Series) -> list[Label]:
    """A label for each spot with kernels; those in `several`, named in the legend, have only their step."""
    spots: dict[tuple[int, ...], list[Kernel]] = {}
    for kernel in shown:
        spot = tuple(round(4 * math.log(max(place, 1e-9))) for place in kernel.place)
        spots.setdefault(spot, []).append(kernel)
    labels = []
    for same in spots.values():
        names = (k.step if k.series in several else k.name.replace(", ", ": ") for k in same)
        colours = {series[kernel.series]["color"] for kernel in same}
        text, mixed = ", ".join(dict.fromkeys(names)), len(colours) > 1
        labels.append(Label(*same[0].place, text, style.INK if mixed else colours.pop()))
    return labels


def _said(device: Device, roofs: Sequence[Roof], every: Sequence[Kernel]) -> str:
    """The text for screen readers."""
    words = [f"Roofline of {device.title}, both axes logarithmic."]
    for roof in roofs:
        both = _rate_and_bandwidth(roof.rate, roof.bandwidth)
        words.append(f"{PRECISIONS[roof.precision]}, {roof.basis}: {both}, {ridge_of(roof)} FLOP per byte.")
    words += filter(None, [roofs[-1].caveat])
    for kernel in every:
        both = _rate_and_bandwidth(statistics.median(kernel.rates), statistics.median(kernel.bandwidths))
        where = f"{_figures(kernel.intensity)} FLOP per byte, {both}" if kernel.on_axis else "no place here"
        words.append(f"{kernel.name}: {', '.join(filter(None, (where, kernel.origin, kernel.note)))}.")
    return " ".join(words)


def _rate_and_bandwidth(rate: float, bandwidth: float) -> str:
    return f"{format_flops(rate, per_second=True)}, {wording.rate(bandwidth)}"


def _figures(value: float) -> str:
    """A number as text, with two or three significant digits, or as a whole number from 100 on."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}" if value >= 1 else f"{value:.2g}"
