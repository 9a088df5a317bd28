"""Latency and bandwidth from measured times: t = latency + bytes / bandwidth, the alpha-beta model.

R. W. Hockney, "The communication challenge for MPP: Intel Paragon and Meiko CS-2", Parallel Computing 20
(1994); alpha is the latency, beta the inverse of the bandwidth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy
from numpy.typing import ArrayLike

from hpclab import checks
from hpclab.models.scaling import NoCurve, within
from hpclab.models.speedup_laws import Array, array

LEAST_SIZES = 4  # the two parameters and two more
_DRAWS, _ROUNDS, _TUNING = 400, 15, 1.345  # the last is Huber's: 95 % efficiency on normal scatter


@dataclass(frozen=True)
class Line:
    """A line fitted to times of messages by size: `latency` in seconds, `bandwidth` in bytes/s (inf where
    larger messages took no longer), the run ids of the points, and `draws`, shape (400, 2), latency and
    seconds per byte fitted to resampled points."""

    latency: float
    bandwidth: float
    runs: tuple[str, ...]
    draws: Array = field(repr=False)

    @property
    def text(self) -> str:
        """Both parameters with the range that the scatter allows, on two lines."""
        shown = (("latency", 1e6, "µs"), ("bandwidth", 1e-9, "GB/s"))
        ends = {name: [unit * end for end in self.interval(name)] for name, unit, _ in shown}
        return "\n".join(
            f"{name} {unit * getattr(self, name):.3g} {of}, 90 % interval "
            f"{ends[name][0]:.3g} to {ends[name][1]:.3g}" for name, unit, of in shown
        )  # fmt: skip

    def time(self, size: ArrayLike) -> Array:
        """Seconds for messages of `size` bytes."""
        return self.latency + _sizes(size) / self.bandwidth

    def interval(self, parameter: str) -> tuple[float, float]:
        """The range of "latency" (s) or "bandwidth" (bytes/s) that the scatter allows, 90 % of the draws."""
        known = ("latency", "bandwidth")
        column = known.index(checks.choice("parameter", parameter, known))
        low, high = (float(end) for end in within(self.draws[:, column]))
        if not column:
            return low, high
        return 1 / high if high else math.inf, 1 / low if low else math.inf


def fit(size: ArrayLike, seconds: ArrayLike, runs: Sequence[str] = ()) -> Line | NoCurve:
    """The line through points (`size` in bytes, `seconds`), both 1-D, every repeat a point.

    Residuals are relative, so that microseconds count as much as seconds, and weighted after Huber, so that a
    disturbed repeat hardly counts (iteratively reweighted least squares). Neither parameter is negative. The
    uncertainty is a residual bootstrap. NoCurve from fewer than four different sizes.
    """
    sizes, times = _sizes(size), array("Every time must be a number of seconds", seconds, 1e-12, 1e12)
    distinct = sorted(set(sizes.tolist()))
    if len(distinct) < LEAST_SIZES:
        shown = ", ".join(f"{value:g}" for value in distinct) or "no size"
        return NoCurve(f"No line from {shown} bytes alone; it takes {LEAST_SIZES} different sizes.")
    best = _robust(sizes, times[None])[0]
    fitted = best[0] + best[1] * sizes
    residuals = times / fitted - 1
    chosen = numpy.random.default_rng(0).choice(residuals, (_DRAWS, len(residuals)))
    draws = _robust(sizes, fitted * (1 + chosen))
    bandwidth = float(1 / best[1]) if best[1] > 0 else math.inf
    return Line(float(best[0]), bandwidth, tuple(dict.fromkeys(runs)), draws)


def _robust(sizes: Array, times: Array) -> Array:
    """Latency and seconds per byte for each row of `times`, shape (rows, points): (rows, 2).

    Begins at the medians of each size, which a single wild repeat does not move.
    """
    which = numpy.unique(sizes, return_inverse=True)[1]
    typical = numpy.empty_like(times)
    for each in range(which.max() + 1):
        typical[:, which == each] = numpy.median(times[:, which == each], axis=1, keepdims=True)
    found, weights = _solve(sizes, typical, 1 / typical**2), numpy.ones_like(times)
    for _ in range(_ROUNDS):
        fitted = found[:, :1] + found[:, 1:] * sizes
        residuals = abs(times / fitted - 1)
        scale = 1.4826 * numpy.median(residuals, axis=1, keepdims=True) + 1e-12
        weights = numpy.minimum(1, _TUNING * scale / numpy.maximum(residuals, 1e-12))
        found = _solve(sizes, times, weights / fitted**2)
    return found


def _solve(sizes: Array, times: Array, weights: Array) -> Array:
    """Weighted least squares with neither coefficient below zero, row by row: exact, for there are two."""
    one, n, nn = weights.sum(1), (weights * sizes).sum(1), (weights * sizes**2).sum(1)
    t, nt = (weights * times).sum(1), (weights * times * sizes).sum(1)
    inverse = (one * nt - n * t) / (one * nn - n * n)
    latency = (t - inverse * n) / one
    inverse, latency = (
        numpy.where(latency < 0, nt / nn, numpy.maximum(inverse, 0)),
        numpy.where(inverse < 0, t / one, numpy.maximum(latency, 0)),
    )
    return numpy.stack([latency, inverse], axis=1)


def _sizes(size: ArrayLike) -> Array:
    """`size` as an array; ValueError where something in it is no number of bytes."""
    return array("Every size must be a number of bytes", size, 0, 1e18)
