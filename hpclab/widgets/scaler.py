"""What scalers share: a slider for the number of nodes or ranks, buttons to run at it, and a status line."""

import threading
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as widgets

from hpclab.cluster import Pool
from hpclab.exercises.prediction import Prediction
from hpclab.experiments.experiment import Experiment
from hpclab.figures import style, wording
from hpclab.results import Origin, Result, select
from hpclab.widgets import predict
from hpclab.widgets.explorer import Explorer, Row, button, control
from hpclab.widgets.point_runner import PointRunner, sentence_of

REST = 0.8  # seconds that the slider must rest before its point is measured


class Scaler(Explorer):
    """Measures `experiment` on `pool` at as many of its AXIS as the slider says, and draws what comes out.
    The points of a sweep are the experiment's own; the slider goes from 1 to the largest of them. With a
    `prediction` nothing measured is shown, and nothing is run, before it is committed or skipped. `results`
    are Results there already. Work runs in a thread: the notebook stays usable. ValueError for arguments of
    the wrong kind."""

    AXIS, EXAMPLE = "", ""
    experiment: Any

    def __init__(
        self, pool: Pool, experiment: Experiment, prediction: Prediction | None = None,
        results: Sequence[Result] = (),
    ) -> None:  # fmt: skip
        name = type(self).__name__
        if not all(hasattr(pool, word) for word in ("scale", "map", "cancel")):
            raise ValueError(f"{name} needs a Pool to scale, such as Pool(nodes=1), not {pool!r:.60}.")
        if not all(hasattr(experiment, word) for word in ("measure", "fit", "mine", self.AXIS)):
            raise ValueError(f"{name} needs an experiment, such as {self.EXAMPLE}(), not {experiment!r:.60}.")
        self.pool, self.experiment, self.prediction = pool, experiment, prediction
        self._sweep_at = sorted(getattr(experiment, self.AXIS))
        self._most = max(2, *self._sweep_at)
        self._timer: threading.Timer | None = None
        self._taking = threading.RLock()
        self._runner = PointRunner(pool, experiment, self._show_progress, results, self.AXIS)
        asked = [predict.ask(prediction, lambda _: self._show_progress())] if prediction is not None else []
        rows, below, under = self.own_rows()
        self._take_results()
        super().__init__([*asked, self._run_controls(), *rows, self._status_row(), *below], under=under)
        self.add_class("hpclab-scaler")
        self._show_progress()

    def own_rows(self) -> tuple[Sequence[Row], Sequence[Row], Sequence[Row]]:
        """Return a subclass's own controls: rows above the status, below it, and under the picture."""
        raise NotImplementedError

    def update_models(self) -> None:
        """Fit or predict anew: called when `self._results` has changed."""

    def on_busy(self, busy: bool) -> None:
        """Called at every change of the run; `busy`: something runs."""

    @property
    def results(self) -> list[Result]:
        """Every Result so far: those handed in, then those measured here, every repeat."""
        return list(self._runner.results)

    def run(self, *counts: int) -> None:
        """Measure at these counts, as the buttons do; returns at once."""
        if self._decided():
            self._request(counts)
        else:
            self._say("First enter a prediction, or press Skip.", urgent=True)

    def wait(self, timeout: float = 300.0) -> bool:
        """Wait until nothing runs, at most `timeout` seconds; return whether so. An interrupt cancels."""
        return self._runner.wait(timeout)

    def cancel(self) -> None:
        """End what runs and forget what waits; what was measured is kept, and so are the nodes."""
        self._rest()
        self._runner.cancel()

    def close(self) -> None:
        """Cancel and take the widget off the page; the pool stays open, for it is not the widget's."""
        if hasattr(self, "_runner"):  # ipywidgets closes what was refused while being made, too
            self._rest()
            self._runner.close()
        super().close()

    def conditions(self) -> list[str]:
        """A sentence for each condition under which what is shown was emulated."""
        points = select(self._results, "makespan")
        found = {one.condition for one in points if one.origin is Origin.EMULATED}
        return [f"Emulated: {text}." for text in sorted(found)]

    def switch_to(self, experiment: Any) -> None:
        """Measure and show another experiment from now on."""
        self.experiment = self._runner.experiment = experiment
        self._take_results()
        self.forget()

    def _run_controls(self) -> dict[str, Any]:
        every = ", ".join(map(str, self._sweep_at))
        self._count = control(widgets.IntSlider, self.AXIS.capitalize(), value=1, min=1, max=self._most)
        self._here = button("", "", lambda: self.run(self._count.value), button_style="primary")
        self._sweep = button("Sweep all", f"Run at {every} {self.AXIS}", lambda: self.run(*self._sweep_at))
        cancel = button("Cancel", "End what runs; keep what was measured", self.cancel)
        return {self.AXIS: self._count, "here": self._here, "sweep": self._sweep, "cancel": cancel}

    def _status_row(self) -> Row:
        self._bar = widgets.FloatProgress(min=0, max=1, layout={"width": "150px", "flex": "none"})
        self._status = widgets.HTML(layout={"flex": "1 1 auto", "margin": "0 0 0 8px"})
        self._status.add_class("hpclab-status")
        return widgets.HBox([self._bar, self._status], layout={"align_items": "center"})

    def _decided(self) -> bool:
        return self.prediction is None or self.prediction.decided

    def adapt(self, changed: str) -> None:
        here = wording.numbered(self._count.value, self.AXIS)
        self._here.description, self._here.tooltip = f"Run at {here}", f"Measure here: {here}"
        if changed == self.AXIS:
            self._rest()
            if self._decided():
                self._timer = threading.Timer(REST, lambda: self._request([self._count.value], instead=True))
                self._timer.daemon = True
                self._timer.start()

    def _rest(self) -> None:
        """Stop the timer that measures where the slider rests."""
        if self._timer is not None:
            self._timer.cancel()

    def _request(self, counts: Sequence[int], instead: bool = False) -> None:
        try:
            self._runner.request(counts, instead)
        except ValueError as error:  # a wrong count, or closed meanwhile
            self._say(str(error), urgent=True)

    def _show_progress(self) -> None:
        """Show new results, and the state of the run or of the prediction; from any thread."""
        if not self.children:  # a prediction that is decided already says so when nothing is on the page yet
            return
        with self._taking:
            state = self._runner.state
            self.on_busy(state.busy)
            self._bar.value = state.done / state.total if state.busy and state.total else 0.0
            if self._seen != (self._decided(), len(self.results)):
                self._take_results()
                self.redraw(anew=True)
            if self._trouble:
                self._say(self._trouble, urgent=True)
            else:
                self._say(state.sentence, state.spoken, urgent=state.failed)

    def _take_results(self) -> None:
        """Take in the Results of this experiment, if they may be seen."""
        self._results = self.experiment.mine(self.results) if self._decided() else []
        self._seen, self._trouble = (self._decided(), len(self.results)), ""
        try:
            self.update_models()
        except Exception as error:  # whatever a fit may meet; the points are drawn all the same
            self._trouble = sentence_of(error)

    def _say(self, sentence: str, spoken: str = "", urgent: bool = False) -> None:
        colour = style.ink(style.COLOUR["transfer"]) if urgent else style.INK
        css = f"color:{colour};min-height:34px;display:flex;align-items:center"
        self._status.value = f'<div style="{css}">{escape(sentence)}</div>'
        self.announce(spoken or sentence)
