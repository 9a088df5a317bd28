"""What checkpoints and failures cost, against a simulation."""

import math
import random

import pytest

from hpclab.models.checkpoints import lost


def test_lost_is_what_a_simulation_loses():
    interval, cost, mtbf, segments, draw = 300, 30, 400, 20_000, random.Random(1)
    again = 0.0
    for _ in range(segments):
        while (until := draw.expovariate(1 / mtbf)) < interval + cost:
            again += until
    wall = segments * (interval + cost) + again
    assert lost(interval, cost, mtbf) == pytest.approx(1 - segments * interval / wall, rel=0.03)
    assert lost(1e9, 1, 1) == pytest.approx(1)


def test_bad_numbers_get_a_sentence(refused):
    for wrong in (0, math.nan, "1"):
        refused(lambda wrong=wrong: lost(wrong, 1, 1))
        refused(lambda wrong=wrong: lost(1, wrong, 1))
        refused(lambda wrong=wrong: lost(1, 1, wrong))
