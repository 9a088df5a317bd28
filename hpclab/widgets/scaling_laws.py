"""Amdahl, Gustafson and USL beside your own points, with sliders for what each law thinks stops you."""

from collections.abc import Mapping, Sequence
from functools import cache

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab.experiments import laws
from hpclab.figures import speedup
from hpclab.figures.overlay import Overlay
from hpclab.models.scaling import USL, Amdahl, Fit, Gustafson, Law, NoCurve
from hpclab.models.speedups import Curve
from hpclab.results import Result
from hpclab.widgets.explorer import Explorer, button, choose, control, show

LAWS: dict[str, type[Law]] = {law.name: law for law in (Amdahl, Gustafson, USL)}
_SLIDERS = {  # Gustafson's serial share is of another time than Amdahl's: each has a slider of its own
    ("Amdahl", "serial"): ("Serial share s", 1.0, 0.005),
    ("Gustafson", "serial"): ("Serial share s", 1.0, 0.005),
    ("USL", "contention"): ("Contention σ", 1.0, 0.005),
    ("USL", "coherency"): ("Coherency κ", 0.1, 0.0005),
}
ALONG = ("threads", "processes", "processors", "nodes", "users")
"""What a run may be counted in."""
_SYMBOLS = {"serial": "s", "contention": "σ", "coherency": "κ"}


class ScalingLaws(Explorer):
    """Draws one of `runs` (label -> Results with makespans along one of ALONG) and one law. The law's sliders
    draw a dashed "what if" curve, to be brought onto the points by hand; where the points identify the law,
    the fitted curve with its 90 % band stands beside it, and "Fit to the points" moves the sliders there.
    Where they do not, the reason is shown instead of a curve. ValueError for runs without a makespan along
    any of those."""

    HEIGHT = 395

    def __init__(self, runs: Mapping[str, Sequence[Result]]):
        self._runs = {label: list(results) for label, results in runs.items()}
        if not self._runs:
            raise ValueError("ScalingLaws needs at least one run: measure first, then show it.")
        self._along = {label: _along(label, results) for label, results in self._runs.items()}
        self._fits = cache(lambda run: laws.fit(self._runs[run], self._along[run]))
        # Its band takes longer than the drawing.
        self._curve = cache(lambda run, law, most: Curve.of_fit(self._fits(run)[law], most))  # type: ignore[arg-type]
        axes = [(f"to {n}", n) for n in (8, 16, 64, 1024)]
        self.sliders = {
            key: control(
                widgets.FloatSlider, name, value=0.3 if high == 1 else 0.0, min=0, max=high, step=step,
                readout_format=".3f" if step > 0.001 else ".4f",
            )
            for key, (name, high, step) in _SLIDERS.items()
        }  # fmt: skip
        self.to_fit = button("Fit to the points", "Move the sliders to the fit", self._move_to_fit)
        super().__init__(
            [
                {
                    "run": choose("Points", self._runs),
                    "law": choose("Law", LAWS),
                    "most": choose("Axes", axes, 16),
                },
                {**{" ".join(key): slider for key, slider in self.sliders.items()}, "to fit": self.to_fit},
            ]
        )

    def fit(self) -> Fit | NoCurve:
        """The chosen law fitted to the chosen points, or why there is no curve."""
        return self._fits(self.at.run)[self.at.law]

    def notes(self, run: str, law: str) -> list[str]:
        found = self.fit()
        band = " In 90 % of fits to points that scatter like these the curve runs in the band."
        lines = ["", said(found) + band * isinstance(found, Fit)]
        lines += [f"Emulated: {text}." for text in getattr(found, "conditions", ())]
        sources = sorted({one.source for one in self._runs[run]})
        return lines + [f"Published: {text}." for text in sources if text]

    def adapt(self, changed: str) -> None:
        """Show the law's sliders, fit the axes to a new run's points, and enable the fit if there is one."""
        if changed == "run":
            along, axis = self._along[self.at.run], self.controls["most"]
            most = max(one.parameters.get(along, 1) for one in self._runs[self.at.run])
            axis.value = next(end for _, end in axis.options if end >= min(most, 1024))
        for (law, _), slider in self.sliders.items():
            show(law == self.at.law, slider)
        self.to_fit.disabled = isinstance(self.fit(), NoCurve)

    def _move_to_fit(self) -> None:
        found = self.fit()
        if isinstance(found, Fit):
            with self.at_once():
                for name in found.law.parameters:
                    slider = self.sliders[found.law.name, name]
                    # A page's slider stands at whole steps; the title must say what it shows.
                    slider.value = round(getattr(found.law, name) / slider.step) * slider.step

    def _law(self) -> Law:
        chosen = self.at.law
        return LAWS[chosen](*(slider.value for (law, _), slider in self.sliders.items() if law == chosen))

    def _curves(self) -> list[Curve]:
        at = self.at
        return [self._curve(at.run, at.law, at.most)] if isinstance(self.fit(), Fit) else []

    def draw(self, ax: Axes, run: str, law: str, most: int) -> Axes:
        along, results = self._along[run], self._runs[run]
        return speedup.draw(ax, results, self._curves(), along=along, most=most, title=" ", named=False)

    def move(self, ax: Axes, most: int) -> Overlay:
        over = speedup.over(ax, most, self._curves(), Curve.of_law(self._law(), most))
        over.title(self.describe())
        return over

    def describe(self) -> str:
        law, most = self._law(), self.at.most
        said = ", ".join(f"{_SYMBOLS[name]} = {getattr(law, name):.3g}" for name in law.parameters)
        gain = float(law.speedup(most))
        digits = f"{gain:.3g}" if gain < 999.5 else f"{gain:.0f}"
        return f"{law.name} with {said}: {digits}× on {most} {self._along[self.at.run]}"


def _along(label: str, results: Sequence[Result]) -> str:
    """The first of ALONG by which the run's makespans are given; ValueError for none."""
    for along in ALONG:
        if any(along in result.parameters for result in results if result.quantity == "makespan"):
            return along
    raise ValueError(f"The run {label!r} holds no makespan along {', '.join(ALONG)}: measure it first.")


def said(found: Fit | NoCurve) -> str:
    """A sentence: a fitted law with the intervals of its parameters, or why there is no curve."""
    if isinstance(found, NoCurve):
        return found.reason
    kind = "emulated " * bool(found.conditions)
    ranges = []
    for name in found.law.parameters:
        low, high = found.interval(name)
        ranges.append(f"{name} {getattr(found.law, name):.3g} ({low:.2g} to {high:.2g})")
    return (
        f"{found.law.name}, fitted to {found.points} {kind}points up to {found.largest:g}: "
        f"{', '.join(ranges)}; {found.error:.1%} off on average; dashed beyond."
    )
