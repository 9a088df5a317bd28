"""Latency and bandwidth come out of noisy points, with an uncertainty that holds the truth."""

import numpy
import pytest

from hpclab.models.latency_bandwidth import Line, fit
from hpclab.models.scaling import NoCurve

SIZES = numpy.repeat([4.0**power for power in range(2, 13)], 7)
LATENCY, BANDWIDTH = 20e-6, 2e9


def points(seed, scatter=0.1, wild=0.15):
    """Times with scatter, and some repeats up to fifty times too slow, as on a shared machine."""
    draw = numpy.random.default_rng(seed)
    times = (LATENCY + SIZES / BANDWIDTH) * numpy.exp(draw.normal(0, scatter, len(SIZES)))
    return times * numpy.where(draw.random(len(SIZES)) < wild, draw.uniform(3, 50, len(SIZES)), 1)


def test_exact_points():
    line = fit(SIZES, LATENCY + SIZES / BANDWIDTH, ["a", "b", "a"])
    assert line.latency == pytest.approx(LATENCY)
    assert line.bandwidth == pytest.approx(BANDWIDTH)
    assert line.runs == ("a", "b")
    assert line.time(0) == pytest.approx(LATENCY)
    assert line.text == "latency 20 µs, 90 % interval 20 to 20\nbandwidth 2 GB/s, 90 % interval 2 to 2"


def test_wild_repeats_hardly_count():
    lines = [fit(SIZES, points(seed)) for seed in range(10)]
    assert [line.latency for line in lines] == pytest.approx([LATENCY] * 10, rel=0.25)
    assert [line.bandwidth for line in lines] == pytest.approx([BANDWIDTH] * 10, rel=0.25)


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(25):
        line = fit(SIZES, points(seed, wild=0))
        for parameter, truth in (("latency", LATENCY), ("bandwidth", BANDWIDTH)):
            low, high = line.interval(parameter)
            assert low < getattr(line, parameter) < high
            hits += low <= truth <= high
    assert 0.75 <= hits / 50 <= 0.99


def test_no_parameter_is_negative():
    flat = fit(SIZES, numpy.linspace(2, 1, len(SIZES)))  # larger ones were quicker
    assert flat.bandwidth == numpy.inf
    assert flat.interval("bandwidth")[1] == numpy.inf
    assert fit(SIZES, SIZES**1.2).latency == 0


def test_too_few_sizes_give_no_line_and_the_reason():
    few = fit([1, 2, 3] * 9, [1.0] * 27)
    assert isinstance(few, NoCurve)
    assert "1, 2, 3 bytes alone; it takes 4" in few.reason
    assert "no size" in fit([], []).reason
    assert isinstance(fit([1, 2, 3, 4], [1.0, 1, 1, 1]), Line)
