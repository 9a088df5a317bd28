"""The training scaler: train on more ranks, over other links, and see what a step consists of."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes

from hpclab.figures import loss_against_time, speedup, step_bars, wording
from hpclab.models import gpu_cluster
from hpclab.models.gpu_cluster import GpuCluster
from hpclab.models.speedups import Curve
from hpclab.models.storage import Server, Store
from hpclab.models.transformer import MODELS
from hpclab.parallel.link import Link
from hpclab.results import Result, select
from hpclab.units import format_seconds
from hpclab.widgets.explorer import Row, choose
from hpclab.widgets.scaler import Scaler

LARGE = MODELS["GPT-2 XL, 1.6 B"]
"""The model that is carried on to many GPUs."""
MANY = (1, 8, 64, 1024)
CLUSTERS = {"DGX A100": "dgx-a100", "DGX H100": "dgx-h100", "Omni-Path": "a100-omni-path"}
VIEWS = ["a step", "loss against time"]  # and the speedup to MANY on each of CLUSTERS
_LINKS = [("this machine's", None), *((f"emulated, {gb:g} Gb/s", Link(gb * 1e9 / 8)) for gb in (0.1, 1, 10))]
_SLOW = Store((Server(20e6),) * 2, metadata=500, latency=5e-3)
_SETTINGS: dict[str, tuple[str, list[tuple[str, Any]]]] = {  # fields of TrainSteps: label, names and values
    "link": ("Link", _LINKS),
    "bucket": ("Buckets", [("256 KiB", 2**18), ("1 MiB", 2**20), ("4 MiB", 2**22), ("all in one", 2**40)]),
    "overlap": ("Sent", [("during backward", True), ("after it", False)]),
    "batch": ("Batch", [("4", 4), ("8", 8), ("16", 16)]),
    "scaling": ("of", [("each rank", "weak"), ("all ranks", "strong")]),
    "store": ("Tokens on", [("this disk", None), ("slow store", _SLOW)]),
}


class TrainingScaler(Scaler):
    """Trains a TrainSteps `experiment` on `pool` on the ranks that the slider says; see Scaler. Once one rank
    was measured, what `experiment.predict` says stands beside what was measured. The speedup is carried on to
    GPUs of a cluster of the catalogue, for a model of 1.6 billion parameters."""

    AXIS, EXAMPLE, HEIGHT = "ranks", "TrainSteps", 280

    def own_rows(self) -> tuple[Sequence[Row], Sequence[Row], Sequence[Row]]:
        self._predicted: list[Result] = []
        self._settings = {name: self._setting(name, *listed) for name, listed in _SETTINGS.items()}
        controls = [*self._settings.items()]
        carried = [(f"{MANY[-1]:,} × {name}", gpu_cluster.named(one)) for name, one in CLUSTERS.items()]
        view = choose("Show", [*((view, view) for view in VIEWS), *carried])
        return [dict(controls[:3]), {**dict(controls[3:]), "view": view}], [], []

    def _setting(self, name: str, label: str, options: Sequence[tuple[str, Any]]) -> Any:
        """A control of the experiment's field `name`; the value that it has is among the `options`."""
        value = getattr(self.experiment, name)
        other = [(f"{value}", value)] * (value not in dict(options).values())
        return choose(label, [*options, *other], value)

    def update_models(self) -> None:
        """Predict the step on every number of ranks from what was measured over this machine's own link."""
        self._predicted = []
        if self._decided() and select(self.results, "makespan", ranks=1):
            self._predicted = self.experiment.predict(None, self.experiment.fit(self.results))

    def adapt(self, changed: str) -> None:
        super().adapt(changed)
        if changed in self._settings:
            self.switch_to(
                replace(self.experiment, **{name: one.value for name, one in self._settings.items()})
            )

    def draw(self, ax: Axes, view: str | GpuCluster) -> Axes:
        if view == VIEWS[1]:
            return loss_against_time.draw(ax, select(self._results, "loss"))
        if not isinstance(view, GpuCluster):
            return step_bars.draw(ax, [*self._results, *self._predicted])
        curves = [Curve.through(self._many(view), "ranks", "usl", f"GPT-2 XL on\n{view.title}")]
        if self._predicted:
            curves.insert(0, Curve.through(self._predicted, "ranks", "modelled", "here"))
        return speedup.draw(ax, self._results, curves, along="ranks", most=MANY[-1])

    def _many(self, cluster: GpuCluster) -> list[Result]:
        """Modelled Results of these settings for the LARGE model: 16 samples on each GPU, or 1,024 in all."""
        batch = MANY[-1] if self.experiment.scaling == "strong" else 16
        spec = replace(self.experiment, ranks=MANY, shape=LARGE, store=None, batch=batch)
        return spec.predict(cluster, None, MANY)

    def describe(self, ranks: int) -> str:
        came = [one.value for one in select(self._results, "makespan", ranks=ranks)]
        said = [one.value for one in select(self._predicted, "makespan", ranks=ranks)]
        words = [f"predicted {format_seconds(one)}" for one in said]
        words += [f"came {', '.join(map(format_seconds, came))}"] * bool(came)
        return f"A step on {wording.counted(ranks, 'rank')}: {'; '.join(words) or 'not run yet'}."

    def notes(self, ranks: int, view: str | GpuCluster) -> list[str]:
        lines = [self.describe(ranks)]
        rates = select(self._results, "tokens per second", ranks=ranks)
        lines += [f"{one.value:,.0f} tokens/s." for one in rates[-1:]]
        if isinstance(view, GpuCluster):
            parts = step_bars.parts(self._many(view))[MANY[-1], True]
            total = sum(parts.values())
            shares = ", ".join(
                f"{value / total:.0%} {name}" for name, value in parts.items() if value > 0.005 * total
            )
            lines.append(f"Modelled at {MANY[-1]:,} GPUs: a step of {format_seconds(total)}: {shares}.")
        return lines + self.conditions()
