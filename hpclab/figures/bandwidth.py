"""Bytes per second that kernels' problems need, a row for each kernel, against a device's bandwidths."""

import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from hpclab import checks
from hpclab.figures import style, wording
from hpclab.figures.roofline import basis_of
from hpclab.figures.roofline_points import Kernel, mark, series_marks
from hpclab.models.device import Device


def draw(ax: Axes, device: Device, under: Sequence[Kernel]) -> Axes:
    """Draw the bandwidths of the kernels `under` those of `device`; their marks are those of `roofline`."""
    checks.instance("device", device, Device)
    checks.instances("under", under, Kernel)
    roofs = [device.roof(device.precisions[0], basis) for basis in device.bases]
    rows = {name: row for row, name in enumerate(dict.fromkeys(kernel.name for kernel in under))}
    series, best, said = series_marks(under), roofs[-1].bandwidth, []
    for kernel in under:
        row, own = rows[kernel.name], series[kernel.series]
        middle = statistics.median(kernel.bandwidths)
        ax.hlines(row, 0, middle, own["color"], linewidth=1.5)
        texts = (f"{kernel.name}: {wording.rate(one)}, {kernel.origin}" for one in kernel.bandwidths)
        style.plot(ax, kernel.bandwidths, [row] * len(kernel.bandwidths), mark(kernel, own), texts)
        text = f"{wording.rate(middle)}, {middle / best:.0%}"
        ax.annotate(text, (1.03, row), xycoords=("axes fraction", "data"), va="center")
        said.append(f"{kernel.name}: {text} of achievable, {kernel.origin}.")
    for roof, side in zip(roofs[::-1], ("right", "left"), strict=False):
        ax.axvline(roof.bandwidth, color=style.INK, linestyle="-" if side == "left" else "--", linewidth=2)
        words = f" {basis_of(roof, 'bandwidth')} {wording.rate(roof.bandwidth)} "
        top: Any = {"xycoords": ("data", "axes fraction"), "ha": side, "color": style.MUTED}
        style.note(ax, words, (roof.bandwidth, 1), (0, 5), **top)
    ax.set(xlim=(0, 1.3 * roofs[0].bandwidth), ylim=(len(rows) - 0.5, -0.5), yticks=[*rows.values()])
    ax.set(yticklabels=[*rows], xlabel="Needed bytes per second")
    ax.xaxis.set_major_formatter(lambda value, _: wording.rate(value) if value else "0")
    ax.locator_params("x", nbins=4)
    ax.grid(visible=False)
    origins = " and ".join(dict.fromkeys(kernel.origin for kernel in under))
    title = f"{device.title}: bytes per second, {origins}"
    return style.describe(ax, wording.doubted(title, *(k.doubt for k in under)), " ".join(said), above=1)
