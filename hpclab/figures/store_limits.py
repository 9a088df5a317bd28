"""What clients of a shared store get between them, by how many they are: measured, predicted, and what binds.

Notice the corner: up to it each client brings its own speed, beyond it all share what the store gives.
"""

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.axes import Axes

from hpclab import checks
from hpclab.figures import direct_labels, scales, style
from hpclab.figures.overlay import Overlay
from hpclab.models.storage import Forecast, Reading, Store, predict
from hpclab.results import Result
from hpclab.units import format_bytes

CLIENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_LOOK = {name: style.COLOUR[part] for name, part in (
    ("servers", "storage"), ("clients' links", "transfer"), ("metadata", "waiting")
)}  # fmt: skip


def forecasts(store: Store, reading: Reading) -> list[Forecast]:
    """What the model says at each number of CLIENTS."""
    return [predict(store, replace(reading, clients=clients)) for clients in CLIENTS]


def draw(ax: Axes, most: float, results: Sequence[Result] = ()) -> Axes:
    """Empty axes up to `most` bytes/s, with the bandwidths in `results` (parameter "clients") as marks.

    The curves come over it: `over`. ValueError for results that are no bandwidth.
    """
    top = checks.number("most", most, 1, 1e15, "B/s")
    found = [one for one in checks.instances("results", results, Result) if one.quantity == "bandwidth"]
    scales.logarithmic(ax, "y", "B/s", "All clients together")
    ax.set_xscale("log", base=2)
    ax.set(xlabel="Clients", xlim=(0.9, CLIENTS[-1] * 1.1), ylim=(top / 2000, top * 1.5))
    doublings = [2**n for n in range(7)]
    ax.set_xticks(doublings, [f"{clients}" for clients in doublings])
    ax.minorticks_off()
    for origin in {one.origin for one in found}:
        same = [one for one in found if one.origin is origin]
        places = [one.parameters["clients"] for one in same], [one.value for one in same]
        (line,) = ax.plot(*places, **style.mark(origin))
        style.tips(line, *(f"{_rate(one.value)}, {origin}: {one.condition}" for one in same))
    style.key(ax, [one.origin for one in found])
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.set_layout_engine("constrained", rect=(0, 0, 0.72, 1))
    said = "; ".join(f"{one.parameters['clients']}: {_rate(one.value)}" for one in found)
    return style.describe(ax, " ", f"Bandwidth by number of clients. {said or 'Nothing is measured'}.")


def over(ax: Axes, store: Store, reading: Reading) -> Overlay:
    """The modelled curve for `store` and `reading`, the limits that it meets, and what binds at
    ``reading.clients``."""
    layer, curve = Overlay(ax), forecasts(store, reading)
    at = predict(store, reading)
    layer.line(CLIENTS, [one.bandwidth for one in curve], style.COLOUR["modelled"])
    layer.vertical(reading.clients, f"{reading.clients}")
    layer.mark(reading.clients, at.bandwidth)
    labels = [
        direct_labels.Label(CLIENTS[-1], curve[-1].bandwidth, f"modelled:\n{_rate(curve[-1].bandwidth)}")
    ]
    limits = {
        "servers": [sum(server.bandwidth for server in store.servers)] * len(CLIENTS),
        "clients' links": [store.link * clients for clients in CLIENTS],
        "metadata": [store.metadata * reading.size] * len(CLIENTS),
    }
    for name, values in limits.items():
        if values[0] < 100 * curve[-1].bandwidth:  # else it is far from here, or there is none
            layer.line(CLIENTS, values, _LOOK[name])
            labels.append(direct_labels.Label(CLIENTS[-1], values[-1], f"limit of {name}", _LOOK[name]))
    layer.at_right(labels)
    layer.title(said(reading, at))
    return layer


def said(reading: Reading, at: Forecast) -> str:
    """The answer: what so many clients get, and what binds."""
    verb = "bind" if at.bound.endswith("s") else "binds"
    rate = f"{_rate(at.bandwidth)}, {at.files_per_second:,.0f} files/s"
    return f"{style.counted(reading.clients, 'client')}: {rate}; {at.bound} {verb} (modelled)"


def _rate(value: float) -> str:
    return f"{format_bytes(value, binary=False)}/s"
