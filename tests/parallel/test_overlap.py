"""Overlap on real ranks: a rank waits for every gradient, or for what computing did not hide."""

import pytest

from hpclab.cluster import Pool
from hpclab.parallel.overlap import training_step

LAYERS, ELEMENTS, LINK = 4, 2**12, 2**14 / 0.1  # 0.1 s a gradient: with two ranks a ring sends each byte once


@pytest.mark.slow
def test_a_rank_waits_for_every_gradient_or_for_what_computing_did_not_hide():
    with Pool(nodes=2, backend="local") as pool:
        for step, exposed, _ in pool.run(training_step, False, LINK, LAYERS, ELEMENTS):
            assert step > exposed >= LAYERS * 0.1  # as long as the link is busy
        for step, exposed, _ in pool.run(training_step, True, LINK, LAYERS, ELEMENTS):
            computed = step - exposed
            assert step >= LAYERS * 0.1  # the link is as busy, and the last gradient stays exposed
            assert exposed >= max(0, LAYERS * 0.1 - computed)
