"""What the node scaler shows, from the Results so far: no control and no pool in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Protocol

from hpclab.figures import bars, speedup, style
from hpclab.models.scaling import Fit, Law, NoCurve
from hpclab.results import Origin, Result


class FittingExperiment(Protocol):
    """What is used of an Experiment here: `fit` gives an object with `amdahl` and `usl`."""

    def fit(self, results: Sequence[Result]) -> Any: ...


@dataclass(frozen=True, slots=True)
class View:
    """What the learner has set: axes up to `most` nodes, the `cursor`, a `law` to try out."""

    most: int
    cursor: int
    law: Law


@dataclass(frozen=True)
class Picture:
    """Results made ready to draw; a new one is made when Results arrive, not when a slider moves.

    `points` are speedups, `fits` the laws that they identify and `reasons` why others have no curve;
    `rank_seconds` by component for each node count; `cores` those the nodes share, None for their own.
    """

    points: tuple[Result, ...] = ()
    fits: tuple[Fit, ...] = ()
    reasons: tuple[str, ...] = ()
    rank_seconds: tuple[tuple[int, dict[str, float]], ...] = ()
    cores: int | None = None
    _curves: dict[int, list[speedup.Curve]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, results: Sequence[Result], experiment: FittingExperiment, cores: int | None) -> Picture:
        """Speedups, fitted laws (or why there is none) and bars of `results`."""
        calibration = experiment.fit(results) if results else None
        laws = (calibration.amdahl, calibration.usl) if calibration else ()
        return cls(
            tuple(speedup.speedups(results)),
            tuple(law for law in laws if isinstance(law, Fit)),
            tuple(law.reason for law in laws if isinstance(law, NoCurve)),
            tuple(bars.rank_seconds([r for r in results if r.origin is Origin.MEASURED]).items()),
            cores,
        )

    def speedup(self, view: View, prediction: tuple[int, float] | None) -> str:
        """The speedup figure as SVG; `prediction` is (nodes, speedup), left out where it is off the axis."""
        if view.most not in self._curves:  # the bands of a fit take longer to work out than to draw
            self._curves[view.most] = [speedup.Curve.of_fit(fit, view.most) for fit in self.fits]
        curves = [*self._curves[view.most], speedup.Curve.of_law(view.law, view.most)]
        return speedup.draw(
            self.points,
            curves,
            most=view.most,
            cores=self.cores,
            cursor=min(view.cursor, view.most),
            prediction=prediction if prediction and prediction[0] <= view.most else None,
        )

    def bars(self) -> str:
        """Where the time went, as SVG."""
        return bars.draw(dict(self.rank_seconds))

    def notes(self) -> str:
        """Under the speedup figure: what the fits rest on, and why a curve is missing, as HTML."""
        lines = []
        for fit in self.fits:
            shown = ", ".join(f"{p} {getattr(fit.law, p):.2g}" for p in fit.law.parameters)
            kind = "emulated" if fit.conditions else "measured"
            lines.append(
                f"{fit.law.name}: {shown}, from {fit.points} {kind} runs on 1 to {fit.largest:g} nodes"
                f" (residual {fit.error:.1%})."
            )
        lines += self.reasons
        conditions = {point.condition for point in self.points if point.origin is Origin.EMULATED}
        lines += [f"Emulated: {condition}." for condition in sorted(conditions)]
        said = "".join(f"<li>{escape(line)}</li>" for line in lines)
        return f'<ul style="margin:0;padding-left:1.2em;color:{style.MUTED}">{said}</ul>' if said else ""
