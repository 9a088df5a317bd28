"""Axes in the units of the field: counts of ranks, message sizes in bytes, times in seconds, rates."""

from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, MaxNLocator, MultipleLocator

from hpclab.units import format_bytes

_UNITS = (  # from how many seconds on, seconds of one, its name
    (259_200, 86_400, "d"), (10_800, 3600, "h"), (180, 60, "min"), (1, 1, "s"), (1e-3, 1e-3, "ms"),
    (1e-6, 1e-6, "µs"), (0, 1e-9, "ns"),
)  # fmt: skip


def counts(ax: Axes, most: int, name: str) -> None:
    """Make axes up to `most`: counts across, labelled `name`, and what they gain; in doublings from 17 up."""
    ax.set_xlabel(name)
    if most > 16:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=2)
        for axis, base in ((ax.xaxis, 2), (ax.yaxis, 4)):
            axis.set_major_locator(LogLocator(base))
            axis.set_major_formatter("{x:g}")
            axis.minorticks_off()
        ax.set(xlim=(0.93, most * 1.07), ylim=(0.5, most * 1.15))
    else:
        ax.xaxis.set_major_locator(MultipleLocator(1))
        ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        ax.set(xlim=(1 - (most - 1) / 60, most + (most - 1) / 60), ylim=(0, most * 1.08))


def logarithmic(ax: Axes, which: Literal["x", "y"], unit: str, name: str) -> None:
    """Make an axis, labelled `name`, logarithmic in `unit` with its prefixes: 10 µs, 1 ms, 2 TFLOP/s."""
    ax.set(**{f"{which}scale": "log", f"{which}label": name})
    axis: Axis = getattr(ax, f"{which}axis")
    axis.set_major_locator(LogLocator(10, numticks=9 if which == "y" else 6))
    axis.set_minor_locator(LogLocator(10, subs=(2, 5), numticks=16))  # all nine would double the drawing time
    axis.set_minor_formatter("")
    prefixed = EngFormatter(unit)
    whole: Any = lambda t, _: f"{t:,.12g} s" if t >= 1 else prefixed(t)  # noqa: E731 - 100 s, never 1 ks
    axis.set_major_formatter(whole if unit == "s" else prefixed)


def message_sizes(ax: Axes, low: float, high: float) -> None:
    """Make the x axis one of sizes in bytes, in powers of two: 1 KiB, 64 KiB, 4 MiB."""
    ax.set_xscale("log", base=2)
    ax.set(xlabel="Message size", xlim=(low, high))
    ax.xaxis.set_major_locator(LogLocator(2, numticks=7))
    ax.xaxis.minorticks_off()
    ax.xaxis.set_major_formatter(lambda size, _: format_bytes(size))


def duration(axis: Axis, span: float) -> None:
    """Make `axis` linear, for times up to `span` seconds, all of its ticks in one unit and round in it."""
    scale, unit = next((s, name) for least, s, name in _UNITS if span >= least)
    ticks = MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(0, span / scale)
    axis.set_major_locator(FixedLocator([tick * scale for tick in ticks]))
    axis.set_major_formatter(lambda t, _: f"{t / scale:,.6g} {unit}")
