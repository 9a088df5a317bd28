"""What a loader's processes do while an accelerator computes: workers and prefetch to try out, run for real.

    LoaderTimeline({"small files": files, "shards": shards}, batch=16, step=0.02)

Each choice is run once, in about a second, and kept; *Run again* repeats it.
"""

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
from matplotlib.axes import Axes

from hpclab import checks
from hpclab.figures import timeline, wording
from hpclab.storage import loaders
from hpclab.storage.loaders import Epoch
from hpclab.widgets.explorer import Explorer, control


class LoaderTimeline(Explorer):
    """Reads one of `data`, torch Datasets by name, in batches of `batch`, each worth `step` seconds of an
    accelerator that is emulated: the training process sleeps as long. ValueError where there is no data.
    """

    def __init__(self, data: Mapping[str, Any], batch: int = 16, step: float = 0.02) -> None:
        checks.instance("data", data, Mapping, "Datasets by name")
        if not data:
            raise ValueError("LoaderTimeline needs at least one Dataset, such as {'small files': samples}.")
        self._data, self._batch, self._step = dict(data), batch, step
        self.epochs: dict[tuple[str, int, int], Epoch] = {}
        slider, again = widgets.SelectionSlider, control(widgets.Button, "Run again")
        again.on_click(self._again)
        prefetch = control(slider, "Batches ahead, each", options=[1, 2, 4, 8], value=2)
        workers = control(slider, "Workers", options=[0, 1, 2, 3, 4])
        super().__init__(
            [
                {"name": control(widgets.Dropdown, "Data", options=list(self._data)), "again": again},
                {"workers": workers, "prefetch": prefetch},
            ],
            draw=self._timeline,
            note=lambda: ["", _NOTE],
            adapt=lambda changed: setattr(prefetch, "disabled", not workers.value),
            height=360,
        )

    def _epoch(self, name: str, workers: int, prefetch: int) -> Epoch:
        chosen = name, workers, prefetch if workers else 0
        if chosen not in self.epochs:
            self.epochs[chosen] = loaders.read(
                self._data[name], batch=self._batch, workers=workers, prefetch=prefetch, step=self._step
            )
        return self.epochs[chosen]

    def _timeline(self, ax: Axes, name: str, workers: int, prefetch: int) -> Axes:
        epoch = self._epoch(name, workers, prefetch)
        names = ["accelerator", *(f"worker {number + 1}" for number in range(workers))]
        busy = f"the accelerator is busy {epoch.utilisation:.0%} (emulated)"
        title = f"{name}, {wording.counted(workers, 'worker')}: {busy}"
        return timeline.draw(ax, epoch.trace, names=names, title=title)

    def _again(self, _button: object) -> None:
        self.epochs.clear()
        self.forget()
        self.redraw(aloud=True)


_NOTE = (
    "A real DataLoader; the accelerator is emulated: the training process sleeps while it would compute. "
    "Green on its row is waiting for data, on a worker's row fetching them; what is blue there is decoding."
)
