"""A wrong type where a schedule or its buffers should be: one sentence."""

from __future__ import annotations

import numpy
import pytest

from hpclab import schedules

RING = schedules.collective("all_reduce", "ring", 4, 8)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), 1e30, "two", None, []], ids=repr)
def test_what_is_no_schedule_and_no_buffers(bad, refused):
    refused(lambda: schedules.layout(bad, 0))
    refused(lambda: schedules.place(bad, 0, numpy.ones(8)))
    refused(lambda: schedules.replay(bad, [numpy.ones(8)] * 4))
    refused(lambda: schedules.replay(RING, bad))
    refused(lambda: schedules.replay(RING, [numpy.ones(8)] * 3))
    refused(lambda: schedules.replay(RING, [numpy.ones(7)] * 4))
