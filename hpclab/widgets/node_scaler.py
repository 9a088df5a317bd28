"""The node scaler: move a slider, and watch what more nodes are worth and where the time goes.

scaler = NodeScaler(pool, experiment, Prediction("Speedup at 4 nodes", "×", 0.1, 64))
scaler                      # the last line of a cell shows it
scaler.results              # every Result so far, as data
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from html import escape
from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab.cluster import Pool
from hpclab.exercises.prediction import Prediction
from hpclab.experiments.scale_out import ScaleOut
from hpclab.figures import bars, speedup, style
from hpclab.figures.overlay import Overlay
from hpclab.machine import allowance
from hpclab.models.scaling import USL, Fit, NoCurve
from hpclab.models.speedups import Curve
from hpclab.models.storage import Server, Store
from hpclab.results import Origin, Result, select
from hpclab.widgets import predict, queue_view, scaling_laws
from hpclab.widgets.explorer import Explorer, Row, control, show
from hpclab.widgets.point_runner import PointRunner, sentence_of

_RATES = (1, 2, 4, 8)  # MB/s: about what one to three nodes ask for
REST = 0.8  # seconds that the slider must rest before its point is measured


class NodeScaler(Explorer):
    """Measures `experiment` on `pool` at the nodes that the slider says, and draws what comes out.

    The points of a sweep are the experiment's `nodes`; the slider goes from 1 to the largest of them. With a
    `prediction` (the speedup there) nothing measured is shown, and nothing is run, before it is committed or
    skipped. `results` are Results there already. Work runs in a thread: the notebook stays usable, and
    `wait()` waits for it. Raises ValueError for arguments of the wrong kind.
    """

    def __init__(
        self,
        pool: Pool,
        experiment: ScaleOut,
        prediction: Prediction | None = None,
        results: Sequence[Result] = (),
    ):
        if not all(hasattr(pool, name) for name in ("scale", "map", "cancel")):
            raise ValueError(f"NodeScaler needs a Pool to scale, such as Pool(nodes=1), not {pool!r:.60}.")
        if not all(hasattr(experiment, name) for name in ("measure", "fit", "nodes")):
            raise ValueError(f"NodeScaler needs an experiment, such as ScaleOut(), not {experiment!r:.60}.")
        self.pool, self.experiment, self.prediction = pool, experiment, prediction
        self._most = max(2, *experiment.nodes)
        self._timer: threading.Timer | None = None
        self._runner = PointRunner(pool, experiment, self._ran, results)
        self._taking = threading.RLock()
        self._queue = queue_view.of_pool(pool, lambda: self._runner.state.nodes)
        self._bars = widgets.HTML()
        self._take_in()
        self._models = self._what_if_controls()
        asked = [predict.ask(prediction, lambda _: self._ran())] if prediction is not None else []
        super().__init__(
            [*asked, *self._above()],
            draw=self._points,
            move=self._what_if,
            describe=self._said,
            note=self._notes,
            adapt=self._moved,
            under=[self._models],
        )
        self.children = [*self.children[:-2], self._bars, *self.children[-2:]]
        self.add_class("hpclab-scaler")
        self._queue.refresh()
        self._ran()

    @property
    def results(self) -> list[Result]:
        """Every Result so far: those handed in, then those measured here, every repeat."""
        return list(self._runner.results)

    def run(self, *nodes: int) -> None:
        """Measure at these node counts, as the buttons do; returns at once."""
        if self._decided():
            self._request(nodes)
        else:
            self._say("First enter a prediction, or press Skip.", urgent=True)

    def wait(self, timeout: float = 300.0) -> bool:
        """Wait until nothing runs, at most `timeout` seconds; whether that is so. An interrupt cancels."""
        return self._runner.wait(timeout)

    def cancel(self) -> None:
        """End what runs and forget what waits; what was measured is kept, and so are the nodes."""
        self._rest()
        self._runner.cancel()

    def close(self) -> None:
        """Cancel and take the widget off the page; the pool stays open, for it is not the widget's."""
        if hasattr(self, "_queue"):  # ipywidgets closes what was refused while being made, too
            self._rest()
            self._runner.close()
            self._queue.stop()
        super().close()

    def _above(self) -> list[Row]:
        self._nodes = control(widgets.IntSlider, "Nodes", value=1, min=1, max=self._most)
        self._here = control(widgets.Button, "", button_style="primary")
        every = sorted(self.experiment.nodes)
        tip = f"Run at {', '.join(map(str, every))} nodes"
        self._sweep = control(widgets.Button, "Sweep all", tooltip=tip)
        self._cancel = control(widgets.Button, "Cancel", tooltip="End what runs; keep what was measured")
        self._here.on_click(lambda _button: self.run(self._nodes.value))
        self._sweep.on_click(lambda _button: self.run(*every))
        self._cancel.on_click(lambda _button: self.cancel())
        ends = [
            ("this machine's disk", 0.0),
            *((f"emulated store, {mb} MB/s a server", mb * 1e6) for mb in _RATES),
        ]
        self._lies = control(widgets.Dropdown, "Text on", options=ends)
        self._stripes = control(widgets.Dropdown, "Stripes", options=[1, 2, 4])
        self._bar = widgets.FloatProgress(min=0, max=1, layout={"width": "200px", "flex": "none"})
        self._status = widgets.HTML(layout={"flex": "1 1 auto", "margin": "0 0 0 8px"})
        self._status.add_class("hpclab-status")
        return [
            {"nodes": self._nodes, "here": self._here, "sweep": self._sweep, "cancel": self._cancel},
            {"lies": self._lies, "stripes": self._stripes},
            widgets.HBox([self._bar, self._status], layout={"align_items": "center"}),
            widgets.VBox([self._queue.picture, self._queue.status], layout={"min_height": "84px"}),
        ]

    def _what_if_controls(self) -> dict[str, Any]:
        def slider(name: str, **traits: Any) -> Any:
            short = {"width": "auto", "flex": "1 1 0", "min_width": "310px"}
            return control(widgets.FloatSlider, name, min=0, layout=short, **traits)

        ends = [(f"to {end}", end) for end in sorted({2 * self._most, max(64, 2 * self._most)})]
        name = f'<b style="color:{style.ink(style.COLOUR["what if"])}">What if</b>'
        return {
            "what if": widgets.HTML(name, layout={"margin": "2px 12px 2px 2px"}),
            "contention": slider("contention", value=0.15, max=0.5, step=0.01),
            "coherency": slider("coherency", value=0.0, max=0.05, step=0.001, readout_format=".3f"),
            "most": control(widgets.Dropdown, "Axis", options=ends),
        }

    def _points(self, ax: Axes, most: int) -> Axes:
        return speedup.draw(
            ax, self._results, self._curves(most), most=most, prediction=self._asked(most), named=False,
            cores=None if self._results else allowance.cores().whole,
        )  # fmt: skip

    def _what_if(self, ax: Axes, most: int, nodes: int, contention: float, coherency: float) -> Overlay:
        law = Curve.of_law(USL(contention, coherency), most)
        return speedup.over(ax, most, self._curves(most), law, min(nodes, most), self._asked(most))

    def _said(self, most: int, nodes: int, contention: float, coherency: float) -> str:
        curves = [Curve.of_law(USL(contention, coherency), most), *self._curves(most)]
        at = min(nodes, most)
        said = ", ".join(f"{curve.label} {speedup.times(curve.at(at)[0])}" for curve in curves)
        return f"Modelled at {style.counted(at, 'node')}: {said}."

    def _asked(self, most: int) -> tuple[int, float] | None:
        """The prediction, where the axes reach that far."""
        value = self.prediction.value if self.prediction is not None else None
        return (self._most, value) if value is not None and self._most <= most else None

    def _notes(self) -> list[str]:
        points = select(self._results, "makespan")
        conditions = sorted({r.condition for r in points if r.origin is Origin.EMULATED})
        knee = self.experiment.knee()
        fed = f"Store: its servers feed {knee:.1f} nodes (nodes × demand = bandwidth; modelled)."
        return [
            "",
            *[fed] * math.isfinite(knee),
            *map(scaling_laws.said, self._laws),
            *(f"Emulated: {text}." for text in conditions),
        ]

    def _store(self) -> Store | None:
        """Where the controls say that the text lies; each chunk is in stripes on every server."""
        return Store((Server(self._lies.value),) * self._stripes.value) if self._lies.value else None

    def _decided(self) -> bool:
        return self.prediction is None or self.prediction.decided

    def _moved(self, changed: str) -> None:
        self._here.description = f"Run at {style.counted(self._nodes.value, 'node')}"
        show(bool(self._lies.value), self._stripes)
        if changed in ("lies", "stripes"):
            self.experiment = self._runner.experiment = replace(self.experiment, store=self._store())
            self._take_in()
            self.forget()
        if changed == "nodes":
            self._rest()
            if self._decided():
                self._timer = threading.Timer(REST, lambda: self._request([self._nodes.value], instead=True))
                self._timer.daemon = True
                self._timer.start()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _request(self, nodes: Sequence[int], instead: bool = False) -> None:
        try:
            self._runner.request(nodes, instead)
        except ValueError as error:  # a wrong count, or closed meanwhile
            self._say(str(error), urgent=True)

    def _ran(self) -> None:
        """The runner's state or results changed, or the prediction was decided; from any thread."""
        if not self.children:  # a prediction that is decided already says so when nothing is on the page yet
            return
        with self._taking:
            state = self._runner.state
            (self._queue.start if state.busy else self._queue.stop)()
            self._bar.value = state.done / state.total if state.busy and state.total else 0.0
            if self._seen != (self._decided(), len(self.results)):
                self._take_in()
                self.forget()
                self.redraw()
            said, spoken = (self._trouble,) * 2 if self._trouble else (state.sentence, state.spoken)
            self._say(said, spoken, bool(self._trouble or state.error))

    def _take_in(self) -> None:
        """Other Results than those on the page, or a prediction: fit them, and have all drawn again."""
        self._results, self._trouble = self.experiment.mine(self.results) if self._decided() else [], ""
        self._seen = self._decided(), len(self.results)
        self._laws: list[Fit | NoCurve] = []
        try:
            if self._results:
                found = self.experiment.fit(self._results)
                self._laws = [found.amdahl, found.usl]
            with style.look():
                figure, ax = style.figure(height=400)
                bars.draw(ax, self._results)
            self._bars.value = style.svg(figure)
        except Exception as error:  # whatever a fit may meet; the points are drawn all the same
            self._trouble = sentence_of(error)
        fits = [law for law in self._laws if isinstance(law, Fit)]
        knee = self.experiment.knee()
        knees = [knee] if math.isfinite(knee) else []
        self._curves = cache(
            lambda most: [*(Curve.of_fit(fit, most) for fit in fits), *(Curve.fed(k, most) for k in knees)]
        )

    def _say(self, sentence: str, spoken: str = "", urgent: bool = False) -> None:
        colour = style.ink(style.COLOUR["transfer"]) if urgent else style.INK
        look = f"color:{colour};min-height:52px;display:flex;align-items:center"
        self._status.value = f'<div style="{look}">{escape(sentence)}</div>'
        self.announce(spoken or sentence)
