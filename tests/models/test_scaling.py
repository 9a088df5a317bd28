"""What holds of the laws for any parameters; the fit against scipy's and known ones, and what it refuses."""

from unittest.mock import patch

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import least_squares

from hpclab.models import scaling
from hpclab.models.scaling import USL, Amdahl, Fit, Gustafson, NoCurve, fit, fit_times, serial_fraction
from hpclab.models.speedups import Curve
from hpclab.results import Origin, Result
from tests.models.makespans import makespans, of_law

LAWS = {Amdahl: Amdahl(0.07), Gustafson: Gustafson(0.2), USL: USL(0.05, 0.003)}
COUNTS = numpy.repeat([1.0, 2, 3, 4, 6, 8], 3)


@given(some.floats(0, 1), some.floats(1.5, 1e4))
def test_the_serial_fraction_is_found_again(serial, n):
    assert serial_fraction(n, float(Amdahl(serial).speedup(n))) == pytest.approx(serial, abs=1e-6)


def test_known_values():
    assert Amdahl(0.05).speedup(16) == pytest.approx(1 / (0.05 + 0.95 / 16))
    assert Gustafson(0.05).speedup(16) == pytest.approx(16 - 0.05 * 15)
    assert USL(0.05, 0.001).speedup(16) == pytest.approx(16 / (1 + 0.05 * 15 + 0.001 * 16 * 15))
    assert Amdahl(0.1).speedup(numpy.ones((2, 3))).shape == (2, 3)


def noisy(law, seed=3, spread=0.02):
    noise = numpy.random.default_rng(seed).normal(0, spread, COUNTS.size)
    return 5 * law.speedup(COUNTS) * (1 + noise)


@pytest.mark.parametrize("law", LAWS)
def test_the_same_answer_as_scipy(law):
    speed = noisy(LAWS[law])
    target = speed if law is Gustafson else 1 / speed  # rates for Gustafson, times for the others

    def residuals(guess):
        model = guess[0] * law(*guess[1:]).speedup(COUNTS)
        return (model if law is Gustafson else 1 / model) / target - 1

    size = len(law.parameters)
    found = least_squares(
        residuals, [speed[0], *[0.1] * size], bounds=([1e-9, *[0] * size], [1e9, *[1] * size]),
        xtol=1e-14, ftol=1e-14, gtol=1e-14,
    )  # fmt: skip
    ours = fit(law, COUNTS, speed)
    assert ours.speed_of_one == pytest.approx(found.x[0], rel=1e-4)
    values = [getattr(ours.law, name) for name in law.parameters]
    assert values == pytest.approx(list(found.x[1:]), rel=1e-3, abs=1e-6)
    assert ours.error == pytest.approx(0.02, rel=0.6)


@settings(max_examples=30, deadline=None)
@given(some.lists(some.floats(0.01, 100), min_size=5, max_size=5))
def test_any_points_give_physical_parameters(speed):
    for law in LAWS:
        with patch.object(scaling, "_DRAWS", 20):  # refits are most of a fit's time
            found = fit(law, [1, 2, 3, 4, 5], speed)
        assert len(found.draws) == 20
        assert found.law.speedup(1) == pytest.approx(1)
        low, high = found.band([1.0, 16.0])
        assert (low <= high).all()


def test_too_few_points_are_no_curve():
    for law, counts in ((Amdahl, [1, 1, 1, 2, 2]), (USL, [1, 2, 4]), (Gustafson, [1, 2])):
        answer = fit(law, counts, counts)
        assert isinstance(answer, NoCurve)
        assert f"it takes {len(law.parameters) + 2} different numbers" in answer.reason
    assert "without a point at 1" in fit(Amdahl, [2, 3, 4], [2, 3, 4]).reason
    assert "no makespan along nodes yet" in fit_times(Amdahl, [], "nodes").reason


def test_bad_points_are_refused():
    with pytest.raises(ValueError, match="one length"):
        fit(Amdahl, [1, 2, 4], [1, 2])
    for bad in (0, numpy.inf):
        with pytest.raises(ValueError, match="positive number"):
            fit(Amdahl, [1, 2, 4], [1, 2, bad])


def test_a_fit_of_results_keeps_runs_and_conditions():
    results = [
        Result("e", "makespan", 8 / float(USL(0.1, 0.01).speedup(n)), Origin.EMULATED, run=f"r{n}", repeat=k,
               parameters={"nodes": n}, condition="CPU time instead of wall time")
        for n in (1, 2, 3, 4) for k in range(2)
    ]  # fmt: skip
    found = fit_times(USL, results, "nodes")
    assert isinstance(found, Fit)
    assert found.runs == ("r1", "r2", "r3", "r4")
    assert (found.points, found.largest) == (8, 4)
    predicted = found.predict([1, 16], "e", "nodes")
    assert [result.origin for result in predicted] == [Origin.MODELLED] * 2
    assert predicted[1].value == pytest.approx(float(USL(0.1, 0.01).speedup(16)), rel=1e-6)
    assert predicted[1].source == "fitted to runs r1, r2, r3, r4"
    assert predicted[1].condition == "CPU time instead of wall time"
    weak = makespans(of_law(Gustafson(0.2), (1, 2, 4)), along="threads")
    assert fit_times(Gustafson, weak, "threads").law.serial == pytest.approx(0.2)  # work per second


def test_the_range_is_of_90_percent_and_its_low_end_comes_first():
    assert scaling.within(numpy.arange(101.0)) == (5, 95)
    found = fit(USL, COUNTS, noisy(LAWS[USL]))
    for name in USL.parameters:
        low, high = found.interval(name)
        assert low < getattr(found.law, name) < high
    speedup, low, high = Curve.of_fit(found, 64).at(16)
    assert low < speedup < high


def test_the_bootstrap_gives_back_the_freedom_that_the_fit_took():
    """Residuals of a fit are smaller than the scatter: its range is as wide as linear theory says."""
    widths = []
    for seed in range(10):
        found = fit(Amdahl, COUNTS, noisy(LAWS[Amdahl], seed))
        times = numpy.stack([1 / COUNTS, numpy.ones_like(COUNTS)], axis=1)
        scaled = times * 5 * LAWS[Amdahl].speedup(COUNTS)[:, None]
        spread = found.error * (len(COUNTS) / (len(COUNTS) - 2)) ** 0.5
        covariance = numpy.linalg.inv(scaled.T @ scaled) * spread**2
        parallel, serial = 0.93 / 5, 0.07 / 5
        slope = numpy.array([-serial, parallel]) / (parallel + serial) ** 2
        expected = 2 * 1.645 * float(slope @ covariance @ slope) ** 0.5
        low, high = found.interval("serial")
        widths.append((high - low) / expected)
    assert numpy.mean(widths) == pytest.approx(1, abs=0.04)
