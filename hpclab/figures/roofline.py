"""The roofline of a device with kernels under it: who waits for memory, who for the units, and how far off.

Both axes are logarithmic and stay where they are for a device, whatever its precision and kernels. The peak
is a solid line, what was measured to be achievable a dashed one; the ridge between slope and flat is
marked. A kernel is a mark whose shape says where its number is from. One that does no operations has no
place along the axis: it stands at the left edge, at the height that its bandwidth has there.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import offset_copy

from hpclab import checks
from hpclab.figures import direct_labels, scales, style
from hpclab.figures.direct_labels import Label
from hpclab.figures.overlay import Overlay
from hpclab.figures.roofline_points import HIGH, LOW, Kernel, joined
from hpclab.models.device import PRECISIONS, Device, Roof
from hpclab.units import format_bytes, format_flops


def draw(ax: Axes, device: Device, under: Sequence[Kernel] = (), precision: str = "fp32") -> Axes:
    """Draw the roofs of `device` in `precision` and the kernels `under` them.

    ValueError for a precision that the device does not have.
    """
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
        look = "--" if roof.basis == "achievable" and len(roofs) > 1 else "-"
        ridge, colour = max(roof.ridge, LOW), style.COLOUR["compute"]
        ax.plot([LOW, ridge], [roof.bandwidth * LOW, roof.rate], look, color=style.INK, linewidth=2)
        ax.plot([ridge, HIGH], [roof.rate, roof.rate], look, color=colour)
        words = f"{PRECISIONS[precision]} {_kind(roof, 'rate')}\n{format_flops(roof.rate, per_second=True)}"
        labels.append(Label(HIGH, roof.rate, words, colour))
    direct_labels.at_right(ax, labels)
    _bandwidths(ax, roofs)
    _ridge(ax, roofs[0])
    for kernel in under:  # every repeat is a mark; the tip says what it is
        repeats = list(zip(kernel.rates, kernel.bandwidths, strict=True))
        mark = style.mark(kernel.origin, kernel.colour, pale=bool(kernel.doubt))
        (line,) = ax.plot(*zip(*(kernel.at(*both) for both in repeats), strict=True), clip_on=False, **mark)
        about = f"{kernel.origin} {kernel.note}"
        style.tips(line, *(f"{kernel.name}: {_both(*both)}, {about}" for both in repeats))
    style.key(ax, [kernel.origin for kernel in under])
    direct_labels.beside(ax, _named(under))
    title = f"{device.title}, {PRECISIONS[precision]}: ridge at {_ridge_at(roofs[0])} FLOP per byte"
    answer = style.doubted(title, *(kernel.doubt for kernel in under))
    return style.describe(ax, answer, _said(device, roofs, under))


def over(ax: Axes, before: Kernel, after: Kernel) -> Overlay:
    """What moves over a drawn roofline: a modelled kernel, from `before` a what-if to `after` it, with an
    arrow."""
    layer = Overlay(ax)
    layer.mark(*before.place, before.colour)
    layer.mark(*after.place, after.colour)
    layer.arrow(before.place, after.place, after.name, after.colour)
    return layer


def _kind(roof: Roof, what: str) -> str:
    return "peak" if roof.basis == "peak" else "assumed" if what in roof.assumed else "measured"


def _bandwidths(ax: Axes, pair: Sequence[Roof]) -> None:
    """Written above the slope and turned as it is, the upper line's above the lower one's: few kernels stand
    that far up."""
    words = [f"{format_bytes(r.bandwidth, binary=False)}/s {_kind(r, 'bandwidth')}" for r in pair]
    end = max(pair[0].ridge, 4 * LOW)
    logarithms = offset_copy(ax.transLimits + ax.transAxes, ax.get_figure(root=True), -12, -5, "points")
    ax.text(
        math.log10(end), math.log10(end * pair[0].bandwidth), "\n".join(words), transform=logarithms,
        color=style.MUTED, ha="right", va="bottom", in_layout=False,
        rotation=45, rotation_mode="anchor", transform_rotates_text=True,  # of logarithms the slope is one
    )  # fmt: skip


def _ridge(ax: Axes, roof: Roof) -> None:
    ax.vlines(roof.ridge, 0, roof.rate, style.MUTED, (0, (2, 4)), linewidth=1, in_layout=False)
    ax.annotate(
        f"ridge {_ridge_at(roof)}", (roof.ridge, 0), (5, 6), color=style.MUTED,
        xycoords=("data", "axes fraction"), textcoords="offset points",
    )  # fmt: skip
    look: Any = {"markerfacecolor": style.GROUND, "markeredgecolor": style.INK, "markeredgewidth": 1.6}
    ax.plot(roof.ridge, roof.rate, "D", markersize=8, zorder=3, **look)


def _named(every: Sequence[Kernel]) -> list[Label]:
    """The names at the marks: kernels that stand on one spot share a label."""
    spots: dict[tuple[int, int, str], list[Kernel]] = {}
    for kernel in every:
        x, y = (round(4 * math.log(max(place, 1e-9))) for place in kernel.place)
        spots.setdefault((x, y, kernel.colour), []).append(kernel)
    return [
        Label(*there[0].place, joined([one.name for one in there]), there[0].colour)
        for there in spots.values()
    ]


def _said(device: Device, roofs: Sequence[Roof], every: Sequence[Kernel]) -> str:
    words = [f"Roofline of {device.title}, both axes logarithmic."]
    for roof in roofs:
        both, ridge = _both(roof.rate, roof.bandwidth), f"ridge at {_figures(roof.ridge)} FLOP per byte"
        words += [f"{PRECISIONS[roof.precision]}, {roof.basis}: {both}, {ridge}.", *roof.caveats]
    for kernel in every:
        both = _both(statistics.median(kernel.rates), statistics.median(kernel.bandwidths))
        how = ", ".join(filter(None, (both, kernel.origin, kernel.note)))
        words.append(f"{kernel.name}: {_figures(kernel.intensity)} FLOP per byte, {how}.")
    return " ".join(words)


def _both(rate: float, bandwidth: float) -> str:
    return f"{format_flops(rate, per_second=True)}, {format_bytes(bandwidth, binary=False)}/s"


def _ridge_at(roof: Roof) -> str:
    return f"{roof.ridge:.0f}" if roof.ridge >= 9.95 else f"{roof.ridge:.2g}"


def _figures(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}" if value >= 1 else f"{value:.2g}"
