"""The first picture of the course: say how many times as fast, press, and watch processes start.

first = FirstSpeedup(ProcessSweep(task, items), asked.four_processes())
first                       # the last line of a cell shows it
first.run()                 # what its buttons do
first.results               # what was measured, as data
"""

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab.cluster import Pool
from hpclab.exercises.prediction import Prediction
from hpclab.experiments.measure_speedup import ProcessSweep
from hpclab.figures import nodes_view, speedup, style
from hpclab.figures.overlay import Overlay
from hpclab.models.speedups import speedups, typical
from hpclab.results import Origin, Result
from hpclab.widgets.explorer import Explorer, control, show
from hpclab.widgets.point_runner import PointRunner, sentence_of


class FirstSpeedup(Explorer):
    """Measures `experiment` on more and more processes of this machine, once the learner has committed to
    the speedup with the most of them, or skipped that `prediction`.

    The processes start when a button is pressed, and end with the run. What was measured lands in the picture
    as it comes; then the verdict stands below it.
    """

    def __init__(self, experiment: ProcessSweep, prediction: Prediction):
        self.experiment, self.prediction = experiment, prediction
        self._most = experiment.processes[-1]
        self._runner: PointRunner | None = None
        self._lines = ["Drag the slider to what you expect, then press the blue button."]
        ask = f"How many times as fast with {self._most} processes?"
        first = 1.0 if prediction.value is None else prediction.value
        self.guess = control(
            widgets.FloatSlider, ask, value=first, min=0.5, max=self._most, step=0.1, readout_format=".1f"
        )
        tip = "Keep this number as my prediction, and measure"
        self.commit = control(widgets.Button, "", button_style="primary", tooltip=tip)
        self.skip = control(widgets.Button, "Just run it", tooltip="Measure without a prediction")
        self.stop = control(widgets.Button, "Stop", tooltip="End what runs; keep what was measured")
        self.commit.on_click(lambda _button: self._committed())
        self.skip.on_click(lambda _button: self.run())
        self.stop.on_click(lambda _button: self._runner and self._runner.cancel())
        self._processes = widgets.HTML(layout={"min_height": "40px"})
        super().__init__(
            [{"guess": self.guess}, {"commit": self.commit, "skip": self.skip, "stop": self.stop}],
            draw=self._points, move=self._said, describe=self._words, note=lambda: self._lines,
            adapt=self._look, under=[self._processes], height=310,
        )  # fmt: skip

    @property
    def results(self) -> list[Result]:
        """What was measured so far, every repeat."""
        found = self._runner.results if self._runner else []
        return [result for result in found if result.origin is Origin.MEASURED]

    @property
    def busy(self) -> bool:
        return self._runner is not None and self._runner.state.busy

    def run(self) -> None:
        """Measure; the processes start now, and without a prediction before it there is none."""
        if self.busy:
            return
        self.prediction.skip()
        self._tell("Starting Dask, which will hand out the work.")
        try:
            self._runner = PointRunner(
                Pool(nodes=0, backend="local"), self.experiment, self._ran, (), "processes"
            )
            self._runner.request(self.experiment.processes)
        except Exception as error:  # a button has nobody who would see a traceback
            self._tell(sentence_of(error))

    def wait(self, timeout: float = 300.0) -> bool:
        """Wait until nothing runs, at most `timeout` seconds; whether that is so. An interrupt stops it."""
        return self._runner is None or self._runner.wait(timeout)

    def _committed(self) -> None:
        if not self.prediction.decided:
            self.prediction.commit(self.guess.value)
        self.run()

    def _ran(self) -> None:
        """A point came, a process joined, or the run has ended; from the runner's thread."""
        assert self._runner is not None
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
            self._tell(*(self._verdict() if not state.error else [state.error]))

    def _verdict(self) -> list[str]:
        found = typical(speedups(self.results, "processes"), "processes")
        if self._most not in found:
            return ["Stopped before the last point: no verdict."]
        title, text, _ = self.prediction.judge(found[self._most], runs=self.results)
        return [f"{title}. {text}"]

    def _tell(self, *lines: str) -> None:
        """Say `lines` under the picture; where there are new points, draw them."""
        self._lines = [*lines]
        self._look("")
        if len(self.results) != self._drawn_so_far:
            self.forget()
            self.redraw(aloud=not self.busy)
        else:
            self.say(self._lines)

    def _look(self, _changed: str) -> None:
        """What the buttons offer now."""
        said = f"I say {self.guess.value:.1f}×: run it"
        after = "Running" if self.busy else "Run it again"
        self.commit.description = after if self.prediction.decided else said
        self.guess.disabled, self.commit.disabled = self.prediction.decided, self.busy
        show(not self.prediction.decided, self.skip)
        show(self.busy, self.stop)

    def _points(self, ax: Axes) -> Axes:
        self._drawn_so_far = len(self.results)
        return speedup.draw(ax, self.results, along="processes", most=self._most, named=False)

    def _said(self, ax: Axes, guess: float) -> Overlay:
        value = self.prediction.value if self.prediction.decided else guess
        asked = None if value is None else (self._most, value)
        over = speedup.over(ax, self._most, prediction=asked)
        if asked:
            over.line((1, self._most), (1, asked[1]), style.COLOUR["prediction"])
        return over

    def _words(self, guess: float) -> str:
        if self.results:
            return self._headline()
        return f"You say that {self._most} processes are {guess:.1f} times as fast as one."
