"""The one computation of speedups: over the median time of one, each origin over its own."""

import pytest

from hpclab.models.scaling import Amdahl
from hpclab.models.speedups import Curve, speedups, typical
from hpclab.results import Result
from tests.models.makespans import makespans

TIMES = {1: (8.0, 8.1, 9.9), 2: (4.0, 4.1, 4.2), 4: (2.0, 2.1, 2.2)}


def test_the_median_is_of_times_and_not_of_speeds_and_weak_scaling_counts_the_work_that_grew():
    points = speedups(makespans({1: (1.0, 2.0), 2: (1.0,)}))
    assert typical(points, "nodes") == {1: pytest.approx(1), 2: pytest.approx(1.5)}
    points = speedups(makespans({1: (8.0,), 4: (8.8,)}, along="threads", scaling="weak"), "threads")
    assert typical(points, "threads")[4] == pytest.approx(4 * 8 / 8.8)


def test_every_repeat_is_over_the_median_of_its_own_origin():
    halves = {n: [time / 2 for time in times] for n, times in TIMES.items()}
    points = speedups([*makespans(TIMES), *makespans(halves, "emulated")])
    assert len(points) == 18
    for origin in ("measured", "emulated"):
        mine = [p.value for p in points if p.origin == origin and p.parameters["nodes"] == 2]
        assert mine == pytest.approx([8.1 / t for t in TIMES[2]])
    assert {p.quantity for p in points} == {"speedup"}


def test_parts_and_other_quantities_and_runs_without_one_give_none():
    assert speedups(makespans({2: (4.0,), 4: (2.0,)})) == []
    part = Result("e", "makespan", 1.0, "measured", component="compute", parameters={"nodes": 1})
    other = Result("e", "cpu", 1.0, "measured", parameters={"nodes": 1})
    assert speedups([part, other]) == []


def test_a_curve_of_a_law_is_the_law():
    curve = Curve.of_law(Amdahl(0.1), 64)
    for n in range(1, 65):
        assert curve.at(n)[0] == pytest.approx(float(Amdahl(0.1).speedup(n)), rel=0.02)
