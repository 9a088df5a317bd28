"""Amdahl, Gustafson and USL beside your own points, with sliders for what each law thinks stops you."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import ipywidgets as widgets

from hpclab.experiments import laws
from hpclab.figures import scaling_laws, style
from hpclab.figures.speedup import Curve
from hpclab.models.scaling import USL, Amdahl, Fit, Gustafson, Law, NoCurve
from hpclab.results import Result
from hpclab.widgets import projected

LAWS: dict[str, type[Law]] = {law.name: law for law in (Amdahl, Gustafson, USL)}
_SLIDERS = {
    ("Amdahl", "serial"): ("Serial share s", 1.0, 0.005),
    ("Gustafson", "serial"): ("Serial share s", 1.0, 0.005),
    ("USL", "contention"): ("Contention σ", 1.0, 0.005),
    ("USL", "coherency"): ("Coherency κ", 0.1, 0.0005),
}


class ScalingLaws(widgets.VBox):
    """Draws one of `runs` (label -> Results with makespans `along` threads or processes) and one law.

    The law's sliders draw a dashed "what if" curve, to be brought onto the points by hand; where the points
    identify the law, the fitted curve with its 90 % band stands beside it, and "Fit to the points" moves the
    sliders there. Where they do not, the reason is shown instead of a curve. ValueError for runs without a
    makespan along threads or processes.
    """

    def __init__(self, runs: Mapping[str, Sequence[Result]]):
        super().__init__()
        self._runs = {label: list(results) for label, results in runs.items()}
        if not self._runs:
            raise ValueError("ScalingLaws needs at least one run: measure first, then show it.")
        self._along = {label: _along(label, results) for label, results in self._runs.items()}
        self._fits: dict[tuple[str, str], Fit | NoCurve] = {}
        self._curves: dict[tuple[str, str, int], Curve] = {}
        natural = {"description_width": "initial"}
        self.run = widgets.Dropdown(options=list(self._runs), description="Points", style=natural)
        self.law = widgets.Dropdown(options=list(LAWS), description="Law", style=natural)
        self.axis = widgets.Dropdown(
            options=[(f"to {n}", n) for n in (8, 16, 64, 1024)], value=16, description="Axes", style=natural
        )
        for control in (self.run, self.law, self.axis):
            control.layout.width = "auto"
        self.sliders = {
            key: widgets.FloatSlider(
                0.05 if key[1] != "coherency" else 0.0, min=0, max=high, step=step, description=name,
                readout_format=".3f" if step > 0.001 else ".4f", style=natural,
                layout={"width": "auto", "flex": "1 1 300px"},
            )
            for key, (name, high, step) in _SLIDERS.items()
        }  # fmt: skip
        self.to_fit = widgets.Button(description="Fit to the points", layout={"width": "auto"})
        self.picture, self.note = widgets.HTML(), widgets.HTML()
        for control in (self.run, self.law):
            control.observe(lambda _change: self._chosen(), "value")
        for control in (self.axis, *self.sliders.values()):
            control.observe(lambda _change: self._draw(), "value")
        self.to_fit.on_click(lambda _button: self._move_to_fit())
        line = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": "4px 20px"}
        self._row = widgets.HBox(layout=line)
        self.children = [
            widgets.HBox([self.run, self.law, self.axis], layout=line), self._row, self.picture, self.note,
            projected.look(self),
        ]  # fmt: skip
        self.add_class("hpclab-laws")
        self._chosen()

    def fit(self) -> Fit | NoCurve:
        """The chosen law fitted to the chosen points, or why there is no curve."""
        key = (self.run.value, self.law.value)
        if key not in self._fits:
            found = laws.fit(self._runs[key[0]], self._along[key[0]])
            self._fits.update({(key[0], name): one for name, one in found.items()})
        return self._fits[key]

    def _chosen(self) -> None:
        """Another run or law: its own sliders, and the note that says what the fit rests on."""
        found = self.fit()
        mine = [slider for (law, _), slider in self.sliders.items() if law == self.law.value]
        self._row.children = [*mine, self.to_fit]
        self.to_fit.disabled = isinstance(found, NoCurve)
        self.note.value = f'<div role="status" style="color:{style.MUTED}">{escape(_said(found))}</div>'
        self._draw()

    def _move_to_fit(self) -> None:
        found = self.fit()
        if isinstance(found, Fit):
            for parameter in found.law.parameters:
                slider = self.sliders[self.law.value, parameter]
                # A page's slider stands at whole steps; the title must say what it shows.
                slider.value = round(getattr(found.law, parameter) / slider.step) * slider.step

    def _draw(self) -> None:
        label, name, most = self.run.value, self.law.value, self.axis.value
        law = LAWS[name](*(slider.value for (key, _), slider in self.sliders.items() if key == name))
        curves, found = [Curve.of_law(law, most)], self.fit()
        if isinstance(found, Fit):
            if (label, name, most) not in self._curves:  # the band takes longer than the drawing
                self._curves[label, name, most] = Curve.of_fit(found, most)
            curves.append(self._curves[label, name, most])
        along, results = self._along[label], self._runs[label]
        self.picture.value = scaling_laws.draw(
            {label: scaling_laws.speedups(results, along)}, curves, along=along, most=most,
            cores=next((r.environment["cores"] for r in results if "cores" in r.environment), None),
            title=f"{name} with {_parameters(law)}: {_digits(float(law.speedup(most)))}× on {most} {along}",
        )  # fmt: skip


def _along(label: str, results: Sequence[Result]) -> str:
    for along in ("threads", "processes"):
        if any(along in result.parameters for result in results if result.quantity == "makespan"):
            return along
    raise ValueError(f"The run {label!r} holds no makespan along threads or processes: measure it first.")


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def _parameters(law: Law) -> str:
    symbols = {"serial": "s", "contention": "σ", "coherency": "κ"}
    return ", ".join(f"{symbols[name]} = {getattr(law, name):.3g}" for name in law.parameters)


def _said(found: Fit | NoCurve) -> str:
    if isinstance(found, NoCurve):
        return found.reason
    kind = "emulated" if found.conditions else "measured"
    ranges = []
    for name in found.law.parameters:
        low, high = found.interval(name)
        ranges.append(f"{name} {getattr(found.law, name):.3f} ({low:.3f} to {high:.3f})")
    text = (
        f"Fitted to {found.points} {kind} points up to {found.largest:g}: {', '.join(ranges)}; "
        f"{found.error:.1%} off on average; dashed beyond. The band is 90 % of a residual bootstrap."
    )
    return " ".join([text, *(f"Emulated: {condition}." for condition in found.conditions)])
