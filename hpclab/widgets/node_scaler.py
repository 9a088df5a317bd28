"""The node scaler: move a slider, and watch what more nodes are worth and where the time goes.

scaler = NodeScaler(pool, experiment, Prediction("Speedup at 4 nodes", "×", 0.1, 64))
scaler                      # the last line of a cell shows it
scaler.results              # every Result so far, as data
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from hpclab import checks
from hpclab.figures import style
from hpclab.machine import allowance
from hpclab.models.scaling import USL
from hpclab.results import Result
from hpclab.widgets import predict, projected
from hpclab.widgets.cluster_watch import ClusterWatch
from hpclab.widgets.point_runner import PointRunner, sentence_of
from hpclab.widgets.scaler_picture import Picture, View

if TYPE_CHECKING:
    from hpclab.cluster import Pool
    from hpclab.exercises.prediction import Prediction
    from hpclab.experiments.scale_out import ScaleOut

REST = 0.8  # seconds that the slider must rest before its point is measured


class NodeScaler(widgets.VBox):
    """Measures `experiment` on `pool` at the nodes that the slider says, and draws what comes out.

    The points of a sweep are the experiment's `nodes`; the slider goes from 1 to `most` (default: the
    largest of them). With a `prediction` (the speedup at `most` nodes) nothing measured is shown, and nothing
    is run, before it is committed or skipped. `results` are Results there already. Work runs in a thread: the
    notebook stays usable, and `wait()` waits for it. Raises ValueError for arguments of the wrong kind.
    """

    def __init__(
        self,
        pool: Pool,
        experiment: ScaleOut,
        prediction: Prediction | None = None,
        *,
        most: int | None = None,
        results: Sequence[Result] = (),
    ):
        if not all(hasattr(pool, name) for name in ("scale", "map", "cancel")):
            raise ValueError(f"NodeScaler needs a Pool to scale, such as Pool(nodes=1), not {pool!r:.60}.")
        if not all(hasattr(experiment, name) for name in ("measure", "fit", "nodes")):
            raise ValueError(f"NodeScaler needs an experiment, such as ScaleOut(), not {experiment!r:.60}.")
        most = checks.integer("most", max(experiment.nodes) if most is None else most, 2, 1024, "nodes")
        super().__init__()
        self.pool, self.experiment, self.prediction = pool, experiment, prediction
        self._most = most
        self._runner = PointRunner(pool, experiment, self._changed, results)
        self._drawing = threading.RLock()
        self._timer: threading.Timer | None = None
        self._counted, self._trouble = -1, ""
        self._picture = Picture()
        self._build()
        self._watch = ClusterWatch(pool, lambda html: setattr(self._live, "value", html))
        self.children = self._rows()
        self.add_class("hpclab-scaler")
        self._watch.look()
        self._changed()

    @property
    def results(self) -> list[Result]:
        """Every Result so far: those handed in, then those measured here, every repeat."""
        return self._runner.results

    def run(self, *nodes: int) -> None:
        """Measure at these node counts, as the buttons do; returns at once."""
        if not self._decided():
            self._say("First enter a prediction, or press Skip.", urgent=True)
            return
        try:
            self._runner.request(nodes)
        except ValueError as error:
            self._say(str(error), urgent=True)

    def wait(self, timeout: float = 300.0) -> bool:
        """Wait until nothing runs, at most `timeout` seconds; whether that is so. An interrupt cancels."""
        return self._runner.wait(timeout)

    def cancel(self) -> None:
        """End what runs and forget what waits; what was measured is kept, and so are the nodes."""
        self._rest()
        self._runner.cancel()

    def close(self) -> None:
        """Cancel and take the widget off the page; the pool stays open, for it is not the widget's."""
        if hasattr(self, "_watch"):  # ipywidgets closes what was refused while being made, too
            self._rest()
            self._runner.close()
            self._watch.stop()
        super().close()

    # ---- what is on the page

    def _build(self) -> None:
        wide = {"width": "auto", "flex": "1 1 300px"}
        natural = {"description_width": "initial"}
        self._nodes = widgets.IntSlider(1, 1, self._most, description="Nodes", style=natural, layout=wide)
        self._here = widgets.Button(description="Run at 1 node", button_style="primary")
        self._sweep = widgets.Button(description="Sweep all", tooltip=f"Run at {self._sweep_text()} nodes")
        self._cancel = widgets.Button(description="Cancel", tooltip="End what runs; keep what was measured")
        for button in (self._here, self._sweep, self._cancel):
            button.layout.width = "auto"
        self._bar = widgets.FloatProgress(
            value=0.0, min=0.0, max=1.0, layout={"width": "200px", "flex": "none"}
        )
        self._status = widgets.HTML(layout={"flex": "1 1 auto", "margin": "0 0 0 8px"})
        self._status.add_class("hpclab-status")
        self._announcer = projected.Announcer()
        self._live = widgets.HTML(layout={"min_height": "84px"})
        self._speedup, self._notes, self._bars = widgets.HTML(), widgets.HTML(), widgets.HTML()
        even = {"width": "auto", "flex": "1 1 0", "min_width": "310px"}
        self._contention = widgets.FloatSlider(
            0.15, min=0, max=0.5, step=0.01, description="contention", style=natural, layout=even
        )
        self._coherency = widgets.FloatSlider(
            0.0, min=0, max=0.05, step=0.001, readout_format=".3f", description="coherency",
            style=natural, layout=even,
        )  # fmt: skip
        ends = sorted({2 * self._most, max(64, 2 * self._most)})
        self._axis = widgets.Dropdown(
            options=[(f"to {end}", end) for end in ends], description="Axis", style=natural,
            layout={"width": "auto"},
        )  # fmt: skip
        self._nodes.observe(self._moved, "value")
        for control in (self._contention, self._coherency, self._axis):
            control.observe(lambda _change: self._draw_speedup(), "value")
        self._here.on_click(lambda _button: self.run(self._nodes.value))
        self._sweep.on_click(lambda _button: self.run(*sorted(self.experiment.nodes)))
        self._cancel.on_click(lambda _button: self.cancel())

    def _rows(self) -> list[widgets.Widget]:
        line: dict[str, Any] = {"align_items": "center", "flex_flow": "row wrap"}
        asked = (
            [predict.ask(self.prediction, lambda _: self._changed())] if self.prediction is not None else []
        )
        what_if = widgets.HTML(
            f'<b style="color:{style.ink(style.COLOUR["what if"])}">What if</b>',
            layout={"margin": "2px 12px 2px 2px"},
        )
        return [
            *asked,
            widgets.HBox([self._nodes, self._here, self._sweep, self._cancel], layout=line),
            widgets.HBox([self._bar, self._status], layout={"align_items": "center"}),
            self._live,
            self._speedup,
            widgets.HBox([what_if, self._contention, self._coherency, self._axis], layout=line),
            self._notes,
            self._bars,
            self._announcer,
            projected.look(self),
        ]

    def _sweep_text(self) -> str:
        return ", ".join(str(count) for count in sorted(self.experiment.nodes))

    # ---- what happens

    def _decided(self) -> bool:
        return self.prediction is None or self.prediction.decided

    def _moved(self, change: dict[str, Any]) -> None:
        count = change["new"]
        self._here.description = f"Run at {count} node{'s' * (count > 1)}"
        self._draw_speedup()
        self._rest()
        if self._decided():
            self._timer = threading.Timer(REST, self._rested)
            self._timer.daemon = True
            self._timer.start()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _rested(self) -> None:
        try:
            self._runner.request([self._nodes.value], instead=True)
        except ValueError as error:  # closed meanwhile
            self._say(str(error), urgent=True)

    def _changed(self) -> None:
        """The runner's state or results changed, or the prediction was decided; from any thread."""
        with self._drawing:
            state, results = self._runner.state, self._runner.results
            if state.busy:
                self._watch.start(state.nodes)
            else:
                self._watch.stop()
            self._bar.value = state.done / state.total if state.busy and state.total else 0.0
            shown = len(results) if self._decided() else 0
            if shown != self._counted:
                self._counted = shown
                self._take_in(results[:shown])
            self._say(
                self._trouble or state.sentence,
                self._trouble or state.spoken,
                bool(self._trouble or state.error),
            )

    def _take_in(self, results: Sequence[Result]) -> None:
        self._trouble = ""
        try:
            self._picture = Picture.of(results, self.experiment, self._cores(results))
        except Exception as error:  # whatever a fit may meet; the points so far stay on the page
            self._trouble = sentence_of(error)
        self._notes.value, self._bars.value = self._picture.notes(), self._picture.bars()
        self._draw_speedup()

    def _draw_speedup(self) -> None:
        with self._drawing:
            law = USL(self._contention.value, self._coherency.value)
            asked = self.prediction.value if self.prediction is not None else None
            prediction = (self._most, asked) if asked is not None else None
            self._speedup.value = self._picture.speedup(
                View(self._axis.value, self._nodes.value, law), prediction
            )

    def _cores(self, results: Sequence[Result]) -> int | None:
        """Cores that the nodes share: what the Results say, else this machine's on its own processes."""
        shared = [result.environment for result in results if "shared" in result.environment]
        if shared:
            return shared[-1]["cores"] if shared[-1]["shared"] else None
        return allowance.cores().whole

    def _say(self, sentence: str, spoken: str = "", urgent: bool = False) -> None:
        colour = style.ink(style.COLOUR["transfer"]) if urgent else style.INK
        look = f"color:{colour};min-height:52px;display:flex;align-items:center"
        self._status.value = f'<div style="{look}">{escape(sentence)}</div>'
        self._announcer.say(spoken or sentence)
