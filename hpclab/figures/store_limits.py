"""The bandwidth of a shared store by its number of clients: measured, predicted, and the limits that bind."""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes

from hpclab.figures import direct_labels, scales, style, wording
from hpclab.figures.overlay import Overlay
from hpclab.models.storage import Reading, Store, predict
from hpclab.results import Result

_LEAST = 2e5  # B/s: half of what files of 4 KiB bring at 100 opens/s
CLIENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_COLOURS = {"servers": "storage", "clients' links": "transfer", "metadata": "waiting"}


def draw(ax: Axes, most: float, results: Sequence[Result] = ()) -> Axes:
    """Draw axes to `most` bytes/s with bandwidths (parameter "clients") as marks; `over` draws the curves."""
    found = [one for one in results if one.quantity == "bandwidth"]
    scales.logarithmic(ax, "y", "B/s", "All clients together")
    ax.set_xscale("log", base=2)
    ax.set(xlabel="Clients", xlim=(0.9, CLIENTS[-1] * 1.1), ylim=(min(most / 2000, _LEAST), most * 1.5))
    doublings = [2**n for n in range(7)]
    ax.set_xticks(doublings, [f"{clients}" for clients in doublings])
    ax.minorticks_off()
    for one in found:
        tip = f"{wording.rate(one.value)}, {one.origin}: {one.condition}"
        style.plot(ax, one.parameters["clients"], one.value, style.mark(one.origin), [tip])
    style.key(ax, [one.origin for one in found])
    if legend := ax.get_legend():
        legend.set_loc("lower right")  # limits run along the top
    style.root(ax).set_layout_engine("constrained", rect=(0, 0, 0.72, 1))
    values = "; ".join(f"{one.parameters['clients']}: {wording.rate(one.value)}" for one in found)
    return style.describe(ax, " ", f"Bandwidth by number of clients. {values or 'Nothing is measured'}.")


def over(ax: Axes, store: Store, reading: Reading) -> Overlay:
    """The overlay of the modelled curve, its limits, and what binds at ``reading.clients``."""
    layer = Overlay(ax)
    curve = [predict(store, replace(reading, clients=clients)).bandwidth for clients in CLIENTS]
    layer.line(CLIENTS, curve, style.COLOUR["modelled"])
    layer.vertical(reading.clients, f"{reading.clients}")
    layer.mark(reading.clients, predict(store, reading).bandwidth)
    labels = [direct_labels.Label(CLIENTS[-1], curve[-1], f"modelled:\n{wording.rate(curve[-1])}")]
    limits = {
        "servers": [sum(server.bandwidth for server in store.servers)] * len(CLIENTS),
        "clients' links": [store.link * clients for clients in CLIENTS],
        "metadata": [store.metadata * reading.size] * len(CLIENTS),
    }
    for name, values in limits.items():
        if values[0] < 100 * curve[-1]:  # else it is far from here, or there is none
            colour = style.COLOUR[_COLOURS[name]]
            layer.line(CLIENTS, values, colour)
            labels.append(direct_labels.Label(CLIENTS[-1], values[-1], f"limit of {name}", colour))
    layer.at_right(labels)
    layer.title(said(store, reading))
    return layer


def said(store: Store, reading: Reading) -> str:
    """A sentence: the modelled bytes/s and files/s of ``reading.clients`` clients, and which limit binds."""
    at = predict(store, reading)
    verb = "bind" if at.bound.endswith("s") else "binds"
    came = f"{wording.rate(at.bandwidth)}, {at.files_per_second:,.0f} files/s"
    return f"{wording.counted(reading.clients, 'client')}: {came}; {at.bound} {verb} (modelled)"
