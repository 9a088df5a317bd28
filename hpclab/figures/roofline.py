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

from hpclab import checks
from hpclab.figures import style
from hpclab.figures.axes import Axes, Scale
from hpclab.figures.labels import Labels
from hpclab.figures.roofline_points import HIGH, LOW, Kernel, joined
from hpclab.models.device import PRECISIONS, Device, Roof
from hpclab.results import Origin
from hpclab.units import format_bytes, format_flops

COLOUR = {  # of a precision's flat roof, where several are drawn
    "fp64": style.INK, "fp32": style.COLOUR["compute"], "tf32": style.COLOUR["queue wait"],
    "fp16": style.COLOUR["amdahl"], "bf16": style.COLOUR["storage"], "fp8": style.COLOUR["communication"],
}  # fmt: skip
_HEIGHT = 520


def draw(
    device: Device,
    under: Sequence[Kernel] = (),
    precisions: Sequence[str] = ("fp32",),
    *,
    title: str = "",
    moved: tuple[Kernel, Kernel] | None = None,
) -> str:
    """The figure as SVG: the roofs of `device` in `precisions`, the kernels `under` them.

    `moved` is a kernel before and after a what-if, drawn with an arrow. ValueError for a precision that the
    device does not have, or for none.
    """
    checks.instance("device", device, Device)
    checks.instance("title", title, str, "text")
    checks.instances("under", under, Kernel)
    checks.instances("moved", () if moved is None else moved, Kernel)
    if not checks.instances("precisions", precisions, str, "a name"):
        raise ValueError("A roofline needs a precision, such as fp32.")
    roofs = {name: [device.roof(name, basis) for basis in device.bases] for name in precisions}
    main = roofs[precisions[0]][0]
    axes, unit, one = _axes(device, title or _title(device, main))
    labels = Labels((axes.left + 2, axes.top, axes.right, axes.bottom))
    for number, (name, pair) in enumerate(roofs.items()):
        colour = COLOUR[name] if len(roofs) > 1 else style.COLOUR["compute"]
        for roof in pair:
            dashed = roof.basis == "achievable" and len(pair) > 1
            _roof(axes, labels, roof, one, unit, colour, dashed=dashed)
        if number == 0:
            _along_slope(axes, labels, pair, one)
    _ridge(axes, labels, main, one)
    every = [*under, *(moved or ())]
    for kernel in every:
        x, y = axes.px(_scaled(kernel, one)[0]), axes.py(_scaled(kernel, one)[1])
        labels.marks.append((x - 9, y - 9, x + 9, y + 9))
    if moved:
        _arrow(axes, *(_scaled(kernel, one) for kernel in moved))
    for kernel in every:
        _marks(axes, kernel, one)
    for named in sorted(_named(axes, every, one), key=lambda one: _room(axes, *one)):
        axes.add(labels.beside(*named))
    _key(axes, [kernel.origin for kernel in every])
    return axes.svg(_said(device, roofs, every))


def _title(device: Device, roof: Roof) -> str:
    return f"{device.title}, {PRECISIONS[roof.precision]}: ridge at {_ridge_at(roof)} FLOP per byte"


def _axes(device: Device, title: str) -> tuple[Axes, str, float]:
    """Axes that hold every precision of the device; the unit of the upright one, and what it is in FLOP/s."""
    top = max(device.roof(name, device.bases[0]).rate for name in device.precisions)
    bandwidth = device.roof(device.precisions[0], device.bases[0]).bandwidth
    unit, one = ("TFLOP/s", 1e12) if top >= 3e12 else ("GFLOP/s", 1e9)
    low, high = bandwidth * LOW / 25 / one, top * 2 / one
    across = Scale("FLOP per byte of memory traffic", LOW, HIGH, 10)
    axes = Axes(across, Scale(unit, low, high, 10), title=title, height=_HEIGHT, left=74, right=190)
    return axes, unit, one


def _scaled(kernel: Kernel, one: float) -> tuple[float, float]:
    x, y = kernel.place
    return min(x, HIGH), y / one


def _roof(
    axes: Axes, labels: Labels, roof: Roof, one: float, unit: str, colour: str, *, dashed: bool
) -> None:
    ridge, flat = max(roof.ridge, LOW), roof.rate / one
    low, corner, end = (LOW, roof.bandwidth * LOW / one), (ridge, flat), (HIGH, flat)
    axes.line([low, corner], style.INK, dashed=dashed, width=2.5)
    axes.line([corner, end], colour, dashed=dashed)
    for start, stop in ((low, corner), (corner, end)):
        labels.keep_off_line((axes.px(start[0]), axes.py(start[1])), (axes.px(stop[0]), axes.py(stop[1])))
    axes.label(*end, f"{PRECISIONS[roof.precision]} {_kind(roof, 'rate')}\n{_figures(flat)} {unit}", colour)


def _kind(roof: Roof, what: str) -> str:
    return "peak" if roof.basis == "peak" else "assumed" if what in roof.assumed else "measured"


def _along_slope(axes: Axes, labels: Labels, pair: Sequence[Roof], one: float) -> None:
    """The bandwidths, written above the slope, the upper line's above the lower one's."""
    top, low = pair[0], (axes.px(LOW), axes.py(pair[0].bandwidth * LOW / one))
    corner = (axes.px(max(top.ridge, 4 * LOW)), axes.py(max(top.ridge, 4 * LOW) * top.bandwidth / one))
    slope, far = math.atan2(corner[1] - low[1], corner[0] - low[0]), math.dist(corner, low)
    words = [f"{format_bytes(r.bandwidth, binary=False)}/s {_kind(r, 'bandwidth')}" for r in pair]
    begin = max(0.0, far - max(map(style.text_width, words)) - 18)  # few kernels stand that far up
    for row, text in enumerate(reversed(words)):
        off = style.TEXT * (0.45 + 1.15 * row)
        x, y = (a + begin / far * (b - a) for a, b in zip(low, corner, strict=True))
        x, y = x + off * math.sin(slope), y - off * math.cos(slope)
        turn = f"translate({x:.1f},{y:.1f}) rotate({math.degrees(slope):.1f})"
        axes.add(f'<g transform="{turn}">{style.text(0, 0, text, colour=style.MUTED)}</g>')
        half = style.TEXT * 0.5
        x, y = x + half * math.sin(slope), y - half * math.cos(slope)
        length = style.text_width(text)
        end = (x + length * math.cos(slope), y + length * math.sin(slope))
        labels.keep_off_line((x, y), end, half, words=True)


def _ridge(axes: Axes, labels: Labels, roof: Roof, one: float) -> None:
    x, y = axes.px(roof.ridge), axes.py(roof.rate / one)
    axes.add(f'<path d="M{x:.1f},{y:.1f}V{axes.bottom:.1f}" stroke="{style.MUTED}" stroke-dasharray="2 5"/>')
    diamond, look = f"M{x:.1f},{y - 7:.1f}l7,7l-7,7l-7,-7z", f'fill="{style.GROUND}" stroke="{style.INK}"'
    axes.add(f'<path d="{diamond}" {look} stroke-width="2"/>')
    words = f"ridge {_ridge_at(roof)}"
    left = min(x + 6, axes.right - style.text_width(words))
    axes.add(style.text(left, axes.bottom - 8, words, colour=style.MUTED))
    labels.words.append((left, axes.bottom - 8 - style.TEXT, left + style.text_width(words), axes.bottom))
    labels.marks.append((x - 9, y - 9, x + 9, y + 9))


def _marks(axes: Axes, kernel: Kernel, one: float) -> None:
    """Every repeat as a mark; the tip says what it is."""
    for rate, bandwidth in zip(kernel.rates, kernel.bandwidths, strict=True):
        x, y = kernel.at(rate, bandwidth)
        tip = f"{kernel.name}: {_both(rate, bandwidth)}, {kernel.origin} {kernel.note}"
        place = axes.px(min(x, HIGH)), axes.py(y / one)
        axes.add(style.mark(kernel.origin, *place, kernel.colour, 7.0, tip))


def _named(axes: Axes, every: Sequence[Kernel], one: float) -> list[tuple[float, float, str, str]]:
    """Where to write what in which colour: kernels that stand on one spot share a label."""
    spots: list[tuple[float, float, list[Kernel]]] = []
    for kernel in every:
        x, y = axes.px(_scaled(kernel, one)[0]), axes.py(_scaled(kernel, one)[1])
        for left, top, there in spots:
            if abs(left - x) < 12 and abs(top - y) < 8 and there[0].colour == kernel.colour:
                there.append(kernel)
                break
        else:
            spots.append((x, y, [kernel]))
    return [(x, y, joined([kernel.name for kernel in there]), there[0].colour) for x, y, there in spots]


def _room(axes: Axes, x: float, _y: float, words: str, _colour: str) -> tuple[bool, float]:
    """Who chooses a place first: those with no room on the right of their mark, and of them the longest."""
    width = style.text_width(words)
    return x + 16 + width < axes.right, -width


def _arrow(axes: Axes, before: tuple[float, float], after: tuple[float, float]) -> None:
    (x, y), (right, up) = ((axes.px(a), axes.py(b)) for a, b in (before, after))
    far = math.dist((x, y), (right, up))
    if far < 24:
        return
    along, aside = (right - x) / far, (up - y) / far
    tip = (right - 11 * along, up - 11 * aside)
    wings = [(tip[0] - 9 * along + s * 6 * aside, tip[1] - 9 * aside - s * 6 * along) for s in (1, -1)]
    head = (
        f"M{wings[0][0]:.1f},{wings[0][1]:.1f}L{tip[0]:.1f},{tip[1]:.1f}L{wings[1][0]:.1f},{wings[1][1]:.1f}"
    )
    look = f'stroke="{style.COLOUR["what if"]}" stroke-width="2.5" fill="none"'
    axes.add(f'<path d="M{x:.1f},{y:.1f}L{tip[0]:.1f},{tip[1]:.1f}{head}" {look}/>')


def _key(axes: Axes, origins: Sequence[Origin]) -> None:
    """What the marks mean, above the axes: their shapes are the only carrier of the origin."""
    x, y = axes.left + style.text_width(axes.y.label) + 24, axes.top - 8 - style.TEXT * 1.2
    for origin in sorted(set(origins), key=list(Origin).index):
        axes.add(style.mark(origin, x, y - 6) + style.text(x + 14, y, origin))
        x += style.text_width(origin) + 42


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
