"""Checkpoint sizes, times and intervals, against published numbers and a simulation."""

import math
import random

import pytest

from hpclab.models.checkpoints import daly, lost, size, write_time, young


def test_bloom():
    """BigScience: 2.3 TB of 176 billion parameters, in 40 s from 384 processes."""
    assert size(176e9) == pytest.approx(2.3 * 2**40, rel=0.03)
    seconds, bound = write_time(size(176e9), ranks=384, rank=1e9, links=48 * 12.5e9, store=60e9)
    assert (round(seconds), bound) == (41, "store")
    assert write_time(100, 2, 5, 100, 100) == (10, "ranks")
    assert write_time(100, 2, 50, 20, 100) == (5, "links")


@pytest.mark.parametrize("restart", [0, 50])
def test_lost_is_what_a_simulation_loses(restart):
    interval, cost, mtbf, draw, saved, wall, segments = 300, 30, 400, random.Random(1), 0.0, 0.0, 20_000
    work_again = restarts = 0.0
    while saved < segments:
        if (until := draw.expovariate(1 / mtbf)) >= interval + cost:
            wall, saved = wall + interval + cost, saved + 1
            continue
        work_again += until
        while (until := draw.expovariate(1 / mtbf)) < restart:
            restarts += until
        restarts += restart
    wall += work_again + restarts
    said = lost(interval, cost, mtbf, restart)
    expected = [segments * cost / wall, work_again / wall, restarts / wall]
    assert [said.checkpoints, said.work, said.restarts] == pytest.approx(expected, rel=0.03)
    assert said.total == pytest.approx(1 - segments * interval / wall, rel=0.03)


@pytest.mark.parametrize("cost", [1, 60, 600])
def test_the_best_interval_loses_least(cost):
    mtbf = 6 * 3600
    best = daly(cost, mtbf)
    assert young(cost, mtbf) == math.sqrt(2 * cost * mtbf)
    assert best == pytest.approx(young(cost, mtbf), rel=0.2)
    least = lost(best, cost, mtbf).total
    assert all(lost(best * factor, cost, mtbf).total > least for factor in (0.8, 1.25))
    assert least <= lost(young(cost, mtbf), cost, mtbf).total
    assert daly(3 * mtbf, mtbf) == mtbf  # a checkpoint that seldom ends
    assert lost(1e9, 1, 1).total == pytest.approx(1)


def test_bad_numbers_get_a_sentence(refused):
    for wrong in (0, -1, math.nan, math.inf, "1", None):
        for call in (size, lambda x: young(x, 1), lambda x: daly(1, x), lambda x: lost(1, 1, x),
                     lambda x: write_time(1, 1, x, 1, 1)):  # fmt: skip
            refused(lambda call=call, wrong=wrong: call(wrong))
