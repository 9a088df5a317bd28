"""What a loader's processes do while an accelerator computes: workers and prefetch to try out, run for real.
Each choice is run once, in about a second, and kept; *Run again* repeats it."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from hpclab import checks
from hpclab.figures import timeline, wording
from hpclab.storage import loaders
from hpclab.storage.loaders import Epoch
from hpclab.widgets.explorer import Explorer, button, choose, slide


class LoaderTimeline(Explorer):
    """Reads one of `data`, torch Datasets by name, in batches of `batch`, each worth `step` seconds of an
    accelerator that is emulated: the training process sleeps as long. ValueError where there is no data."""

    HEIGHT = 360

    def __init__(self, data: Mapping[str, Any], batch: int = 16, step: float = 0.02) -> None:
        checks.instance("data", data, Mapping, "Datasets by name")
        if not data:
            raise ValueError("LoaderTimeline needs at least one Dataset, such as {'small files': samples}.")
        self._data, self._batch, self._step = dict(data), batch, step
        self.epochs: dict[tuple[str, int, int], Epoch] = {}
        again = button("Run again", "", self._again)
        super().__init__(
            [
                {"name": choose("Data", data), "again": again},
                {
                    "workers": slide("Workers", range(5)),
                    "prefetch": slide("Batches ahead, each", [1, 2, 4, 8], 2),
                },
            ]
        )

    def adapt(self, _changed: str) -> None:
        self.controls["prefetch"].disabled = not self.at.workers

    def _epoch(self, name: str, workers: int, prefetch: int) -> Epoch:
        """The Epoch of this choice, read when it is first asked for."""
        chosen = name, workers, prefetch if workers else 0
        if chosen not in self.epochs:
            self.epochs[chosen] = loaders.read(
                self._data[name], batch=self._batch, workers=workers, prefetch=prefetch, step=self._step
            )
        return self.epochs[chosen]

    def draw(self, ax: Axes, name: str, workers: int, prefetch: int) -> Axes:
        epoch = self._epoch(name, workers, prefetch)
        names = ["accelerator", *(f"worker {number + 1}" for number in range(workers))]
        busy = f"the accelerator is busy {epoch.utilisation:.0%} (emulated)"
        title = f"{name}, {wording.counted(workers, 'worker')}: {busy}"
        return timeline.draw(ax, epoch.trace, names=names, title=title)

    def notes(self) -> list[str]:
        return ["", _NOTE]

    def _again(self) -> None:
        self.epochs.clear()
        self.redraw(aloud=True, anew=True)


_NOTE = (
    "A real DataLoader; the accelerator is emulated: the training process sleeps while it would compute. "
    "Green on its row is waiting for data, on a worker's row fetching them; what is blue there is decoding."
)
