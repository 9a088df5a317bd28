"""The first picture of the course: say how many times as fast, press, and watch processes start."""

import uuid
from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab.cluster import Pool
from hpclab.exercises.prediction import Prediction
from hpclab.experiments.measure_speedup import ProcessSweep
from hpclab.figures import nodes_view, speedup, style
from hpclab.figures.overlay import Overlay
from hpclab.models.speedups import speedups, typical
from hpclab.results import Origin, Result
from hpclab.widgets.explorer import Explorer, button, control, show
from hpclab.widgets.point_runner import PointRunner, sentence_of

# JupyterLab scrolls on to the cell after the one that was run, and this picture out of sight. Once only: a
# cell that is scrolled away and back is put into the page anew.
_INTO_SIGHT = (
    "<style onload=\"if(window.hpclabFirst!=='{0}'){{window.hpclabFirst='{0}';"
    "setTimeout(()=>this.closest('.hpclab-widget').scrollIntoView({{block:'center'}}),300)}}\"></style>"
)


class FirstSpeedup(Explorer):
    """Measures `experiment` on more and more processes of this machine, once the learner has committed to the
    speedup with the most of them, or skipped that `prediction`. The processes start when a button is pressed,
    and end with the run. What was measured lands in the picture as it comes; then the verdict stands below
    it."""

    HEIGHT = 310

    def __init__(self, experiment: ProcessSweep, prediction: Prediction):
        self.experiment, self.prediction = experiment, prediction
        self._most = experiment.processes[-1]
        self._runner: Any = None
        self._drawn_results: list[Result] = []
        self._lines = ["Drag the slider to what you expect, then press the blue button."]
        ask = f"How many times as fast with {self._most} processes?"
        self.guess = control(
            widgets.FloatSlider, ask, value=1, min=0.5, max=self._most, step=0.1, readout_format=".1f"
        )
        tip, blue = "Keep this number as my prediction, and measure", {"button_style": "primary"}
        self.commit = button("", tip, self._commit, **blue)
        self.skip = button("Just run it", "Measure without a prediction", self.run)
        tip = "End what runs; keep what was measured"
        self.stop = button("Stop", tip, lambda: self._busy() and self._runner.cancel())
        self._processes = widgets.HTML(layout={"min_height": "36px"})
        into_sight = _INTO_SIGHT.format(uuid.uuid4().hex)
        super().__init__(
            [{"guess": self.guess}, {"commit": self.commit, "skip": self.skip, "stop": self.stop}],
            under=[self._processes],
            after=[widgets.HTML(into_sight, layout={"height": "0", "margin": "0"})],
        )
        self.note.layout.min_height = "48px"  # for a verdict of two lines

    def run(self) -> None:
        """Measure, as the buttons do, without a prediction if none was made. Returns once it has begun."""
        if self._busy():
            return
        self.prediction.skip()
        self._tell("Starting Dask, which will hand out the work.")
        try:
            pool = Pool(nodes=0, backend="local")
            self._runner = PointRunner(pool, self.experiment, self._show_progress, (), "processes")
            self._runner.request(self.experiment.processes)
        except Exception as error:  # a button has nobody who would see a traceback
            self._tell(sentence_of(error))

    def _commit(self) -> None:
        if not self.prediction.decided:
            self.prediction.commit(self.guess.value)
        self.run()

    def _busy(self) -> bool:
        return self._runner is not None and self._runner.state.busy

    def _measured(self) -> list[Result]:
        found = self._runner.results if self._runner else []
        return [result for result in found if result.origin is Origin.MEASURED]

    def _show_progress(self) -> None:
        """Show processes, points, and at the end the verdict; the runner's thread calls it at each change."""
        state, pool = self._runner.state, self._runner.pool
        if state.busy:
            here = [nodes_view.box(f"process {one.pid}", "", "compute") for one in pool.workers()]
            here += [nodes_view.box("not started")] * (self._most - len(here))
            self._processes.value = f'<div role="list" aria-label="Processes">{"".join(here)}</div>'
            computing = state.total and not state.stage.startswith("starting")
            done = f": {state.done} of {state.total} tasks are done" if computing else ""
            self._tell(f"{(state.stage or 'starting').capitalize()}{done}.")
        else:
            pids = ", ".join(str(one.pid) for one in pool.workers())
            pool.close()
            self._processes.value = f"The processes {pids} have ended." * bool(pids)
            self._tell(state.ended if state.failed else self._verdict())

    def _verdict(self) -> str:
        found = typical(speedups(self._measured(), "processes"), "processes")
        if self._most not in found:
            return "Stopped before the last point: no verdict."
        return "{}. {}".format(*self.prediction.verdict(found[self._most], runs=self._measured()))

    def _tell(self, line: str) -> None:
        """Say `line` under the picture; where there are new points, draw them."""
        self._lines = [line]
        self.adapt("")
        if self._measured() != self._drawn_results:
            self.redraw(aloud=not self._busy(), anew=True)
        else:
            self.say(self._lines)

    def adapt(self, _changed: str) -> None:
        """Update what the controls offer: label, disable and hide them by what is decided and what runs."""
        decided, busy = self.prediction.decided, self._busy()
        said = f"I say {self.guess.value:.1f}×: run it"
        self.commit.description = ("Running" if busy else "Run it again") if decided else said
        self.guess.disabled, self.commit.disabled = decided, busy
        show(not decided, self.skip)
        show(busy, self.stop)

    def draw(self, ax: Axes) -> Axes:
        self._drawn_results = self._measured()
        return speedup.draw(ax, self._drawn_results, along="processes", most=self._most, named=False)

    def notes(self) -> list[str]:
        return self._lines

    def move(self, ax: Axes, guess: float) -> Overlay:
        value = self.prediction.value if self.prediction.decided else guess
        over = speedup.over(ax, self._most, prediction=None if value is None else (self._most, value))
        if value is not None:
            over.line((1, self._most), (1, value), style.COLOUR["prediction"])
        return over
