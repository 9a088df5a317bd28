"""Checkpoint times and intervals, against published numbers and a simulation."""

import math
import random

import pytest

from hpclab.models.checkpoints import BYTES_PER_PARAMETER, daly, lost, write_time, young


def test_the_narrowest_bounds():
    bloom = 176e9 * BYTES_PER_PARAMETER
    assert bloom == pytest.approx(2.3 * 2**40, rel=0.03)  # BigScience: "2.3 TB", in 40 s from 384 processes
    seconds, bound = write_time(bloom, ranks=384, rank=1e9, links=48 * 12.5e9, store=60e9)
    assert (round(seconds), bound) == (41, "store")
    assert write_time(100, 2, 5, 100, 100) == (10, "ranks")
    assert write_time(100, 2, 50, 20, 100) == (5, "links")


def test_lost_is_what_a_simulation_loses():
    interval, cost, mtbf, segments, draw = 300, 30, 400, 20_000, random.Random(1)
    again = 0.0
    for _ in range(segments):
        while (until := draw.expovariate(1 / mtbf)) < interval + cost:
            again += until
    wall = segments * (interval + cost) + again
    said = lost(interval, cost, mtbf)
    assert [said.checkpoints, said.work] == pytest.approx([segments * cost / wall, again / wall], rel=0.03)
    assert said.total == pytest.approx(1 - segments * interval / wall, rel=0.03)
    assert lost(1e9, 1, 1).total == pytest.approx(1)


@pytest.mark.parametrize("cost", [1, 60, 600])
def test_the_best_interval_loses_least(cost):
    mtbf = 6 * 3600
    best = daly(cost, mtbf)
    assert young(cost, mtbf) == math.sqrt(2 * cost * mtbf)
    assert all(lost(best * factor, cost, mtbf).total > lost(best, cost, mtbf).total for factor in (0.9, 1.1))
    assert daly(3 * mtbf, mtbf) == mtbf  # a checkpoint that seldom ends
    assert daly(5, 60) == pytest.approx(math.sqrt(600) * (1 + 0.204124 / 3 + 1 / 216) - 5, rel=1e-6)


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, "1", None])
def test_bad_numbers_get_a_sentence(refused, wrong):
    refused(lambda: young(wrong, 1))
    refused(lambda: daly(1, wrong))
    refused(lambda: lost(1, 1, wrong))
    refused(lambda: write_time(1, 1, wrong, 1, 1))
