"""The laws of speedup (`speedup_laws.py`) fitted to measured points, with the uncertainty of their scatter.

Least squares on relative residuals: written as a sum of times or rates, each law is a small non-negative
linear problem with an exact answer. The speed at n = 1 is fitted too, so a noisy first point does not tilt
the whole curve.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy
from numpy.typing import ArrayLike

from hpclab import checks
from hpclab.models.speedup_laws import USL, Amdahl, Array, Gustafson, Law, array, processors, serial_fraction
from hpclab.quality import doubt
from hpclab.results import Origin, Result, new_run_id, select

__all__ = ["USL", "Amdahl", "Fit", "Gustafson", "Law", "NoCurve", "fit", "fit_times", "serial_fraction"]

_DRAWS = 400


@dataclass(frozen=True)
class NoCurve:
    """Why no curve was fitted, in a sentence that a figure can show."""

    reason: str


@dataclass(frozen=True)
class Fit:
    """A fitted law: `speed_of_one` is the fitted speed at n = 1 (1/s or the unit of the points).

    Beyond `largest`, the largest n among the points, the curve is an extrapolation; `error` is the relative
    root-mean-square residual; `runs` are the run ids of the points and `conditions` what was imposed on them
    where they were emulated; `draws` are the laws fitted to resampled points.
    """

    law: Law
    speed_of_one: float
    largest: float
    error: float
    points: int
    runs: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    draws: tuple[Law, ...] = field(default=(), repr=False)

    def band(self, n: ArrayLike) -> tuple[Array, Array]:
        """Lower and upper speedup at each of `n` (1-D) that hold the curve with a probability of 90 %: a
        residual bootstrap, which shows what the scatter allows, not whether the law is the right one."""
        return within([law.speedup(n) for law in self.draws])

    def interval(self, parameter: str) -> tuple[float, float]:
        """The range of one of the law's parameters, from the same bootstrap as `band`."""
        low, high = within([getattr(law, parameter) for law in self.draws])
        return float(low), float(high)

    def predict(self, n: Iterable[float], experiment: str, along: str) -> list[Result]:
        """The modelled speedup at each of `n` as Results whose source names the runs behind the fit."""
        run, source = new_run_id(), "fitted to runs " + (", ".join(self.runs) or "without a run id")
        return [
            Result(
                experiment, "speedup", float(self.law.speedup(count)), Origin.MODELLED, run=run,
                component=self.law.name, parameters={along: count}, source=source,
                condition="; ".join(self.conditions),
            )
            for count in n
        ]  # fmt: skip


def within(draws: Sequence[Array] | Array) -> tuple[Array, Array]:
    """The range that holds 90 % of the draws, along their first axis."""
    low, high = numpy.quantile(draws, [0.05, 0.95], axis=0)
    return low, high


def fit(
    law: type[Law], n: ArrayLike, speed: ArrayLike, runs: Iterable[str] = (), conditions: Iterable[str] = ()
) -> Fit | NoCurve:
    """Fit `law` to the points (`n`, `speed`), 1-D and of one length, every repeat a point.

    `speed` is anything proportional to speed: 1/seconds, items per second, a speedup. Returns NoCurve where
    the distinct n, of which one must be 1, are fewer than the law's parameters plus two.
    """
    if law not in (Amdahl, Gustafson, USL):
        raise ValueError(f"law must be Amdahl, Gustafson or USL, not {checks.shown(law)}.")
    count, rate = processors(n), array("Every speed must be a positive number", speed, 1e-30, 1e30)
    if count.ndim != 1 or count.shape != rate.shape:
        raise ValueError(f"n and speed must be two lists of one length, not {count.shape} and {rate.shape}.")
    distinct, needed = sorted(set(count.tolist())), len(law.parameters) + 2
    if 1 not in distinct:
        return NoCurve(f"{law.name}: no curve without a point at 1, which a speedup is relative to.")
    if len(distinct) < needed:
        shown = ", ".join(f"{value:g}" for value in distinct)
        return NoCurve(f"{law.name}: no curve from {shown} alone; it takes {needed} different numbers.")
    terms, target = law.terms(count, rate)
    coefficients = nonnegative(terms / target[:, None])
    fitted = terms @ coefficients
    residuals, draws, generator = target / fitted - 1, [], numpy.random.default_rng(0)
    spread = residuals * (len(target) / max(1, len(target) - terms.shape[1])) ** 0.5
    for _ in range(_DRAWS):
        again = fitted * numpy.maximum(1 + generator.choice(spread, len(spread)), 0.01)
        draws.append(law.from_coefficients(*nonnegative(terms / again[:, None]))[0])
    error = float(numpy.sqrt(numpy.mean(residuals**2)))
    met = tuple(dict.fromkeys(runs)), tuple(dict.fromkeys(filter(None, conditions)))
    return Fit(*law.from_coefficients(*coefficients), max(distinct), error, len(target), *met, tuple(draws))


def fit_times(law: type[Law], results: Sequence[Result], along: str) -> Fit | NoCurve:
    """Fit `law` to the makespans among Results with `along` (such as "nodes") among their parameters.

    Gustafson's law is of work that grew with n (weak scaling), so n / seconds is the speed for it instead of
    1 / seconds. Results that `quality.doubt` finds worthless give no curve either.
    """
    if why := doubt(results):
        return NoCurve(f"{law.name}: no curve, for what was measured is {why}.")
    chosen = [result for result in select(results, "makespan") if along in result.parameters]
    if not chosen:
        return NoCurve(f"{law.name}: no curve, for there is no makespan along {along} yet.")
    n = numpy.array([checks.number(along, result.parameters[along], 1, 1e7) for result in chosen])
    seconds = array("Every makespan must be a number of seconds", [one.value for one in chosen], 1e-30, 1e30)
    runs, conditions = zip(*((result.run, result.condition) for result in chosen), strict=True)
    return fit(law, n, (n if law is Gustafson else 1) / seconds, runs, conditions)


def nonnegative(matrix: Array) -> Array:
    """x ≥ 0 with `matrix @ x` nearest to all ones (least squares), the best over every choice of columns.

    Every law keeps its first or second term, so that the time of one processor is never zero.
    """
    ones, columns = numpy.ones(len(matrix)), matrix.shape[1]
    best, least = numpy.zeros(columns), numpy.inf
    sizes = (itertools.combinations(range(columns), size) for size in range(1, columns + 1))
    for kept in itertools.chain.from_iterable(sizes):
        part = matrix[:, kept]
        solution = numpy.linalg.lstsq(part, ones, rcond=None)[0]
        miss = float(((part @ solution - 1) ** 2).sum())
        if kept[0] < 2 and (solution >= 0).all() and miss < least - 1e-15:
            best, least = numpy.zeros(columns), miss
            best[list(kept)] = solution
    return best
