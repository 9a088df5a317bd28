"""The roofline of a device with kernels under it: who waits for memory, who for the units, and how far off.

Both axes are logarithmic and stay where they are for a device, whatever its precision and kernels. The peak
is a solid line, what was measured to be achievable a dashed one; the ridge between slope and flat is
marked. A kernel is a mark whose shape says where its number is from. One that does no operations has no
place along the axis: it stands at the left edge, at the height that its bandwidth has there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Text

from hpclab import checks
from hpclab.figures import direct_labels, scales, style
from hpclab.figures.direct_labels import Label
from hpclab.figures.overlay import Overlay
from hpclab.figures.roofline_points import HIGH, LOW, Kernel, joined
from hpclab.models.device import PRECISIONS, Device, Roof
from hpclab.units import format_bytes, format_flops

COLOUR = {  # of a precision's flat roof, where several are drawn
    "fp64": style.INK, "fp32": style.COLOUR["compute"], "tf32": style.COLOUR["queue wait"],
    "fp16": style.COLOUR["amdahl"], "bf16": style.COLOUR["storage"], "fp8": style.COLOUR["communication"],
}  # fmt: skip


def draw(
    ax: Axes, device: Device, under: Sequence[Kernel] = (), precisions: Sequence[str] = ("fp32",), *,
    title: str = "",
) -> Axes:  # fmt: skip
    """Draw the roofs of `device` in `precisions` and the kernels `under` them.

    ValueError for a precision that the device does not have, or for none.
    """
    checks.instance("device", device, Device)
    checks.instances("under", under, Kernel)
    if not checks.instances("precisions", precisions, str, "a name"):
        raise ValueError("A roofline needs a precision, such as fp32.")
    roofs = {name: [device.roof(name, basis) for basis in device.bases] for name in precisions}
    main = roofs[precisions[0]][0]
    _axes(ax, device)
    lines: list[Artist] = []
    labels: list[Label] = []
    for name, pair in roofs.items():
        colour = COLOUR[name] if len(roofs) > 1 else style.COLOUR["compute"]
        for roof in pair:
            look = "--" if roof.basis == "achievable" and len(pair) > 1 else "-"
            ridge = max(roof.ridge, LOW)
            slope = [roof.bandwidth * LOW, roof.rate]
            lines += ax.plot([LOW, ridge], slope, look, color=style.INK, linewidth=2)
            lines += ax.plot([ridge, HIGH], [roof.rate, roof.rate], look, color=colour)
            words = f"{PRECISIONS[name]} {_kind(roof, 'rate')}\n{format_flops(roof.rate, per_second=True)}"
            labels.append(Label(HIGH, roof.rate, words, colour))
    direct_labels.at_right(ax, labels)
    lines += [_along_slope(ax, roofs[precisions[0]]), *_ridge(ax, main)]
    lines += [_marks(ax, kernel) for kernel in under]
    lines += style.key(ax, [kernel.origin for kernel in under])
    direct_labels.beside(ax, _named(under), lines)
    answer = style.doubted(title or _title(device, main), *(kernel.doubt for kernel in under))
    return style.describe(ax, answer, _said(device, roofs, under))


def over(ax: Axes, before: Kernel, after: Kernel) -> Overlay:
    """What moves over a drawn roofline: a kernel, from `before` a what-if to `after` it, with an arrow."""
    layer = Overlay(ax)
    start, end = ((min(place[0], HIGH), place[1]) for place in (before.place, after.place))
    layer.mark(before.origin, *start, before.colour)
    layer.arrow(start, end, style.COLOUR["what if"])
    layer.mark(after.origin, *end, after.colour)
    layer.beside(*end, after.name, after.colour)
    return layer


def _title(device: Device, roof: Roof) -> str:
    return f"{device.title}, {PRECISIONS[roof.precision]}: ridge at {_ridge_at(roof)} FLOP per byte"


def _axes(ax: Axes, device: Device) -> None:
    """Axes that hold every precision of the device."""
    top = max(device.roof(name, device.bases[0]).rate for name in device.precisions)
    bandwidth = device.roof(device.precisions[0], device.bases[0]).bandwidth
    scales.logarithmic(ax, "x", "", "FLOP per byte of memory traffic")
    scales.logarithmic(ax, "y", "FLOP/s", "Rate")
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set(xlim=(LOW, HIGH), ylim=(bandwidth * LOW / 25, top * 2))


def _kind(roof: Roof, what: str) -> str:
    return "peak" if roof.basis == "peak" else "assumed" if what in roof.assumed else "measured"


def _along_slope(ax: Axes, pair: Sequence[Roof]) -> Text:
    """The bandwidths, written above the slope, the upper line's above the lower one's."""
    words = [f"{format_bytes(r.bandwidth, binary=False)}/s {_kind(r, 'bandwidth')}" for r in pair]
    low, high = LOW, max(pair[0].ridge, 4 * LOW)
    ends = (low, low * pair[0].bandwidth), (high, high * pair[0].bandwidth)
    return direct_labels.along(ax, *ends, "\n".join(words), style.MUTED)  # few kernels stand that far up


def _ridge(ax: Axes, roof: Roof) -> list[Artist]:
    line = ax.vlines(roof.ridge, 0, roof.rate, style.MUTED, (0, (2, 4)), linewidth=1)
    line.set_in_layout(False)
    right = roof.ridge > math.sqrt(HIGH * 100)
    word = ax.annotate(
        f"ridge {_ridge_at(roof)}", (roof.ridge, 0), (-5 if right else 5, 6), color=style.MUTED,
        xycoords=("data", "axes fraction"), textcoords="offset points", ha="right" if right else "left",
    )  # fmt: skip
    look: Any = {"markerfacecolor": style.GROUND, "markeredgecolor": style.INK, "markeredgewidth": 1.6}
    return [word, *ax.plot(roof.ridge, roof.rate, "D", markersize=8, zorder=3, **look)]


def _marks(ax: Axes, kernel: Kernel) -> Line2D:
    """Every repeat as a mark; the tip says what it is."""
    places = [kernel.at(*both) for both in zip(kernel.rates, kernel.bandwidths, strict=True)]
    xs, ys = zip(*places, strict=True)
    look = style.mark(kernel.origin, kernel.colour, pale=bool(kernel.doubt))
    (line,) = ax.plot([min(x, HIGH) for x in xs], ys, clip_on=False, **look)
    tips = (_both(*both) for both in zip(kernel.rates, kernel.bandwidths, strict=True))
    style.tips(line, *(f"{kernel.name}: {tip}, {kernel.origin} {kernel.note}" for tip in tips))
    return line


def _named(every: Sequence[Kernel]) -> list[Label]:
    """The names at the marks: kernels that stand on one spot share a label."""
    spots: dict[tuple[int, int, str], list[Kernel]] = {}
    for kernel in every:
        x, y = (round(4 * math.log(place)) for place in kernel.place)
        spots.setdefault((x, y, kernel.colour), []).append(kernel)
    return [
        Label(min(there[0].place[0], HIGH), there[0].place[1], joined([one.name for one in there]), colour)
        for (_, _, colour), there in spots.items()
    ]


def _said(device: Device, roofs: dict[str, list[Roof]], every: Sequence[Kernel]) -> str:
    words = [f"Roofline of {device.title}, both axes logarithmic."]
    for name, pair in roofs.items():
        for roof in pair:
            words.append(
                f"{PRECISIONS[name]}, {roof.basis}: {format_bytes(roof.bandwidth, binary=False)}/s, "
                f"{format_flops(roof.rate, per_second=True)}, ridge at {_figures(roof.ridge)} FLOP per byte."
            )
            words += roof.caveats
    for kernel in every:
        rate, bandwidth = statistics.median(kernel.rates), statistics.median(kernel.bandwidths)
        note = f", {kernel.note}" * bool(kernel.note)
        place = f"{kernel.name}: {_figures(kernel.intensity)} FLOP per byte"
        words.append(f"{place}, {_both(rate, bandwidth)}, {kernel.origin}{note}.")
    return " ".join(words)


def _both(rate: float, bandwidth: float) -> str:
    return f"{format_flops(rate, per_second=True)}, {format_bytes(bandwidth, binary=False)}/s"


def _ridge_at(roof: Roof) -> str:
    return f"{roof.ridge:.0f}" if roof.ridge >= 9.95 else f"{roof.ridge:.2g}"


def _figures(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}" if value >= 1 else f"{value:.2g}"
