"""The node scaler: move a slider, and watch what more nodes are worth and where the time goes."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab.figures import bars, speedup, style, wording
from hpclab.figures.overlay import Overlay
from hpclab.machine import allowance
from hpclab.models.scaling import USL, Fit, NoCurve
from hpclab.models.speedups import Curve, speedups
from hpclab.models.storage import Server, Store
from hpclab.widgets import queue_view, scaling_laws
from hpclab.widgets.explorer import Row, choose, control, show
from hpclab.widgets.scaler import Scaler

_RATES = (1, 2, 4, 8)  # MB/s: about what one to three nodes ask for
VIEWS = ("speedup", "rank-seconds")


class NodeScaler(Scaler):
    """Measures a ScaleOut `experiment` on `pool` at the nodes that the slider says; see Scaler. The
    `prediction` is of the speedup at the most nodes."""

    AXIS, EXAMPLE, HEIGHT = "nodes", "ScaleOut", 355

    def own_rows(self) -> tuple[Sequence[Row], Sequence[Row], Sequence[Row]]:
        self._laws: list[Fit | NoCurve] = []
        self._queue = queue_view.pool_view(self.pool, lambda: self._runner.state.count)
        self._queue.refresh()
        stores = [(f"emulated, {mb} MB/s a server", mb * 1e6) for mb in _RATES]
        self._lies = choose("Text on", [("this machine's disk", 0.0), *stores])
        self._stripes = choose("Stripes", [1, 2, 4])
        queue = widgets.VBox([self._queue.picture, self._queue.status], layout={"min_height": "68px"})
        first = {"view": choose("Show", VIEWS), "lies": self._lies, "stripes": self._stripes}
        return [first], [queue], [self._what_if_controls(self._most)]

    def close(self) -> None:
        """Close the widget, and ask the queue no more."""
        if hasattr(self, "_queue"):
            self._queue.stop()
        super().close()

    def update_models(self) -> None:
        """Fit the laws to the results."""
        laws: list[Any] = []
        try:
            if self._results:
                found = self.experiment.fit(self._results)
                laws = [found.amdahl, found.usl]
        finally:  # both at once: a slider that moves meanwhile must not keep curves without the fits
            self._laws, self._curves = laws, cache(partial(self._modelled, laws))

    def _modelled(self, laws: list[Any], most: int) -> list[Curve]:
        """Curves of the fitted `laws`, and of the store's bandwidth where that is a limit."""
        fits = [Curve.of_fit(law, most) for law in laws if isinstance(law, Fit)]
        knee = self.experiment.knee()
        return [*fits, Curve.of_store(knee, most)] if math.isfinite(knee) else fits

    def on_busy(self, busy: bool) -> None:
        """Keep the view of the queue fresh while something runs."""
        (self._queue.start if busy else self._queue.stop)()

    def _what_if_controls(self, most: int) -> dict[str, Any]:
        def slider(name: str, **traits: Any) -> Any:
            short = {"width": "auto", "flex": "1 1 0", "min_width": "310px"}
            return control(widgets.FloatSlider, name, min=0, layout=short, **traits)

        ends = [(f"to {end}", end) for end in sorted({2 * most, max(64, 2 * most)})]
        name = f'<b style="color:{style.ink(style.COLOUR["what if"])}">What if</b>'
        self._models = {
            "what if": widgets.HTML(name, layout={"margin": "2px 12px 2px 2px"}),
            "contention": slider("contention", value=0.15, max=0.5, step=0.01),
            "coherency": slider("coherency", value=0.0, max=0.05, step=0.001, readout_format=".3f"),
            "most": choose("Axis", ends),
        }
        return self._models

    def draw(self, ax: Axes, view: str, most: int) -> Axes:
        withheld = "" if self._decided() else "Withheld until you commit to a number, or skip"
        if view == VIEWS[1]:
            return bars.draw(ax, self._results, doubt=withheld)
        return speedup.draw(
            ax, self._results, self._curves(most), most=most, prediction=self._asked(most), named=False,
            cores=None if speedups(self._results) else allowance.cores().whole, title=withheld or None,
        )  # fmt: skip

    def move(
        self, ax: Axes, view: str, most: int, nodes: int, contention: float, coherency: float
    ) -> Overlay | None:
        if view == VIEWS[1]:
            return None
        law = Curve.of_law(USL(contention, coherency), most)
        return speedup.over(ax, most, self._curves(most), law, min(nodes, most), self._asked(most))

    def describe(self, view: str, most: int, nodes: int, contention: float, coherency: float) -> str:
        if view == VIEWS[1]:
            bar = bars.rank_seconds(self._results).get(nodes)
            return f"{wording.counted(nodes, 'node')}: {bars.shares(bar) if bar else 'not run yet'}."
        curves = [Curve.of_law(USL(contention, coherency), most), *self._curves(most)]
        at = min(nodes, most)
        said = ", ".join(f"{curve.label} {speedup.times(curve.at(at)[0])}" for curve in curves)
        return f"Modelled at {wording.counted(at, 'node')}: {said}."

    def _asked(self, most: int) -> tuple[int, float] | None:
        """(nodes, speedup) of the prediction, where there is one and the axes reach that far."""
        value = self.prediction.value if self.prediction is not None else None
        return (self._most, value) if value is not None and self._most <= most else None

    def notes(self) -> list[str]:
        knee = self.experiment.knee()
        fed = f"Store: its servers feed {knee:.1f} nodes (nodes × demand = bandwidth; modelled)."
        laws = map(scaling_laws.said, self._laws)
        return ["", *[fed] * math.isfinite(knee), *laws, *self.conditions()]

    def _store(self) -> Store | None:
        """The emulated store chosen, None for this disk; each chunk is in stripes on every server."""
        return Store((Server(self._lies.value),) * self._stripes.value) if self._lies.value else None

    def adapt(self, changed: str) -> None:
        super().adapt(changed)
        show(bool(self._lies.value), self._stripes)
        for one in self._models.values():  # which leave their place free, so that nothing moves
            one.layout.visibility = "hidden" if self.controls["view"].value == VIEWS[1] else None
        if changed in ("lies", "stripes"):
            self.switch_to(replace(self.experiment, store=self._store()))
