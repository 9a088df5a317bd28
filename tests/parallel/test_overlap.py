"""Overlap on real ranks: a rank waits for every gradient, or for what computing did not hide."""

import pytest

from hpclab.cluster import Pool
from hpclab.parallel.overlap import training_step

LAYERS, ELEMENTS, LINK = 4, 2**12, 2**14 / 0.1  # 0.1 s a gradient: with two ranks a ring sends each byte once

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool():
    with Pool(nodes=2, backend="local") as pool:
        yield pool


def test_without_overlap_every_layer_waits_as_long_as_the_link_is_busy(pool):
    for step, exposed, _ in pool.run(training_step, False, LINK, LAYERS, ELEMENTS):
        assert step > exposed >= LAYERS * 0.1


def test_with_overlap_the_link_is_as_busy_and_the_last_gradient_stays_exposed(pool):
    for step, exposed, _ in pool.run(training_step, True, LINK, LAYERS, ELEMENTS):
        computed = step - exposed
        assert step >= LAYERS * 0.1
        assert exposed >= max(0, LAYERS * 0.1 - computed)  # what the layers' computing could not hide
