"""Axes in the units of the field: counts of ranks, message sizes in bytes, times in seconds, rates."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MultipleLocator, NullLocator

from hpclab.units import format_bytes


def counts(ax: Axes, most: int, name: str) -> None:
    """Nodes, threads or ranks across and what they gain up, from 1 to `most`: in doublings from 17 up."""
    ax.set_xlabel(name)
    if most > 16:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=2)
        ax.set_ylim(0.5, most * 1.15)
        for axis, base in ((ax.xaxis, 2), (ax.yaxis, 4)):
            axis.set_major_locator(LogLocator(base))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_xlim(0.93, most * 1.07)
    else:
        ax.xaxis.set_major_locator(MultipleLocator(1 if most <= 8 else 2))
        ax.set_ylim(0, most * 1.08)
        ax.set_xlim(1 - (most - 1) / 60, most + (most - 1) / 60)


def quantity(axis: Axis, unit: str, name: str) -> None:
    """A logarithmic axis in `unit` with its prefixes: 10 µs, 1 ms, 2 TFLOP/s."""
    axis._set_axes_scale("log")  # type: ignore[attr-defined]
    axis.set_major_formatter(EngFormatter(unit))
    axis.set_label_text(name)


def message_sizes(axis: Axis) -> None:
    """A logarithmic axis of sizes: 1 KiB, 64 KiB, 4 MiB."""
    axis._set_axes_scale("log", base=2)  # type: ignore[attr-defined]
    axis.set_major_locator(LogLocator(2, numticks=7))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda size, _: format_bytes(size).replace(".0", "")))
    axis.set_label_text("Message size")
