"""Pipelines as data: everything computed once, nothing waits for ever, no rank holds more than it must."""

import numpy
import pytest

from hpclab import schedules
from hpclab.schedules.pipelines import BACKWARD, FORWARD, Pipeline

SHAPES = [(name, *shape) for name in ("GPipe", "1F1B") for shape in ((1, 3), (2, 2), (4, 3), (5, 20))]
SHAPES += [("interleaved 1F1B", 2, 2, 3), ("interleaved 1F1B", 4, 8, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_stage_has_every_micro_batch_once_each_way_after_what_it_takes_in(shape):
    pipeline = schedules.pipeline(*shape)
    steps, last = pipeline.steps, pipeline.stages - 1
    every = [(k, m, s) for k in (FORWARD, BACKWARD) for m in range(shape[2]) for s in range(last + 1)]
    assert sorted(tuple(step)[2:] for step in steps.tolist()) == every
    assert (steps["rank"] == steps["stage"] % pipeline.ranks).all()
    assert steps["order"].tolist() == [*range(2 * shape[2] * pipeline.chunks)] * pipeline.ranks
    assert sorted(numpy.concatenate(pipeline.slots)) == [*range(len(steps))]
    slot = {tuple(steps[row])[2:]: n for n, rows in enumerate(pipeline.slots) for row in rows}
    for _, m, s in every:
        assert s == 0 or slot[FORWARD, m, s - 1] < slot[FORWARD, m, s]
        assert slot[FORWARD, m, s] < slot[BACKWARD, m, s]
        assert s == last or slot[BACKWARD, m, s + 1] < slot[BACKWARD, m, s]
    sent, taken = (steps[end] for end in pipeline.messages.T)
    assert len(sent) == 2 * last * shape[2]  # each way for each border of two stages
    assert (sent[["kind", "micro_batch"]] == taken[["kind", "micro_batch"]]).all()
    assert (taken["stage"] - sent["stage"] == numpy.where(sent["kind"] == FORWARD, 1, -1)).all()


def test_the_order_and_what_a_rank_holds_are_the_published_ones():
    """Narayanan and others, SC 2021, figure 4; 1 + (p - 1) / (p v) times 1F1B's: Korthikanti, MLSys 2023."""
    interleaved = schedules.pipeline("interleaved 1F1B", 4, 8, 2)
    last = [f"{'FB'[k]}{m + 1}" for _, _, k, m, _ in interleaved.steps[interleaved.bounds[-2] :]]
    assert " ".join(last).startswith("F1 F2 F3 F4 F1 B1 F2 B2 F3 B3 F4 B4 F5 B1 F6 B2")
    assert interleaved.in_flight.tolist() == [11, 9, 7, 5]  # halves of a rank's layers
    assert schedules.pipeline("1F1B", 4, 8).in_flight.tolist() == [4, 3, 2, 1]
    assert schedules.pipeline("GPipe", 4, 8).in_flight.tolist() == [8, 8, 8, 8]


def test_an_order_that_waits_for_ever_and_bad_input_are_refused(refused):
    steps = schedules.pipeline("1F1B", 2, 2).steps.copy()
    steps["kind"][[0, 2]] = BACKWARD, FORWARD  # rank 0 begins with a backward
    refused(lambda: Pipeline("mine", 2, 2, 1, steps).slots)
    for bad in ((2, 3, 2), (2, 2), (1, 2, 2), (0, 2, 2), (2, 2.5, 2), (2, 2, None)):
        refused(lambda bad=bad: schedules.pipeline("interleaved 1F1B", *bad))
    refused(lambda: schedules.pipeline("1F1B", 2, 2, 2))
