"""Pipelines as data: everything computed once, nothing waits for ever, no rank holds more than it must."""

from collections import Counter

import numpy
import pytest

from hpclab import schedules
from hpclab.schedules.pipelines import BACKWARD, FORWARD, NAMES, WEIGHT, Pipeline

SHAPES = [
    (name, ranks, micro_batches, chunks)
    for name in NAMES
    for ranks, micro_batches in ((1, 3), (2, 2), (3, 6), (4, 3), (4, 8), (5, 20))
    for chunks in ((2, 3) if name == "interleaved 1F1B" else (1,))
    if chunks == 1 or (ranks > 1 and micro_batches % ranks == 0)
]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_stage_has_every_micro_batch_forward_and_backward_once_on_its_rank(shape):
    pipeline = schedules.pipeline(*shape)
    kinds = (FORWARD, BACKWARD, WEIGHT) if shape[0] == "ZB-H1" else (FORWARD, BACKWARD)
    done = Counter(tuple(step)[2:] for step in pipeline.steps.tolist())
    every = [(k, m, s) for k in kinds for m in range(shape[2]) for s in range(pipeline.stages)]
    assert done == Counter(every)
    assert (pipeline.steps["rank"] == pipeline.steps["stage"] % pipeline.ranks).all()
    assert all(steps["order"].tolist() == [*range(len(steps))] for steps in pipeline)


@pytest.mark.parametrize("shape", SHAPES)
def test_slots_hold_every_step_after_all_that_it_takes_in(shape):
    pipeline = schedules.pipeline(*shape)
    slot = numpy.empty(len(pipeline.steps), int)
    for number, rows in enumerate(pipeline.slots):
        slot[rows] = number
    assert sorted(numpy.concatenate(pipeline.slots)) == [*range(len(slot))]
    at = {step[2:]: slot[row] for row, step in enumerate(pipeline.steps.tolist())}
    for (kind, m, s), when in at.items():
        before = {
            FORWARD: [(FORWARD, m, s - 1)],
            BACKWARD: [(FORWARD, m, s), (BACKWARD, m, s + 1)],
            WEIGHT: [(BACKWARD, m, s)],
        }[kind]
        assert all(at[one] < when for one in before if one in at)
    # A forward and a backward message for each micro-batch and each border of two stages.
    border = pipeline.stages - 1 if pipeline.ranks > 1 else 0
    assert len(pipeline.messages) == 2 * border * pipeline.micro_batches
    sent, taken = (pipeline.steps[end] for end in pipeline.messages.T)
    assert (sent["kind"] == taken["kind"]).all()
    assert (taken["stage"] - sent["stage"] == numpy.where(sent["kind"] == FORWARD, 1, -1)).all()


def test_what_a_rank_holds_at_the_most():
    assert schedules.pipeline("GPipe", 4, 8).in_flight.tolist() == [8, 8, 8, 8]
    assert schedules.pipeline("1F1B", 4, 8).in_flight.tolist() == [4, 3, 2, 1]  # p - rank
    assert schedules.pipeline("1F1B", 4, 2).in_flight.tolist() == [2, 2, 2, 1]
    assert schedules.pipeline("ZB-H1", 4, 8).in_flight.tolist() == [4, 4, 4, 4]  # as 1F1B's rank 0
    # 1 + (p - 1) / (p v) times 1F1B's, in halves of a rank's layers: Korthikanti and others, MLSys 2023.
    assert schedules.pipeline("interleaved 1F1B", 4, 8, 2).in_flight.tolist() == [11, 9, 7, 5]


def test_the_order_is_the_published_one():
    """Narayanan and others, SC 2021, figure 4: the last device of 1F1B and of the interleaved schedule."""

    def last_rank(pipeline):
        return " ".join(f"{'FBW'[k]}{m + 1}" for _, _, k, m, _ in pipeline.steps[pipeline.bounds[-2] :][:12])

    assert last_rank(schedules.pipeline("1F1B", 4, 8)) == "F1 B1 F2 B2 F3 B3 F4 B4 F5 B5 F6 B6"
    assert last_rank(schedules.pipeline("interleaved 1F1B", 4, 8, 2)).startswith("F1 F2 F3 F4 F1 B1 F2 B2")
    assert last_rank(schedules.pipeline("GPipe", 4, 2)) == "F1 F2 B1 B2"


def test_large_ones_are_small_change():
    pipeline = schedules.pipeline("1F1B", 64, 512)
    assert len(pipeline.slots) == 2 * (512 + 63)
    assert pipeline.in_flight.max() == 64


def test_an_order_that_waits_for_ever_and_bad_input_are_refused(refused):
    good = schedules.pipeline("1F1B", 2, 2)
    swapped = good.steps.copy()
    swapped["kind"][[0, 2]] = swapped["kind"][[2, 0]]  # rank 0 begins with a backward
    with pytest.raises(ValueError, match="wait for each other for ever"):
        Pipeline("mine", 2, 2, 1, swapped).slots  # noqa: B018
    for bad in (
        ("2F2B", 2, 2), ("1F1B", 0, 2), ("1F1B", 2, 2.5), ("1F1B", 2, 2, 2), ("interleaved 1F1B", 2, 3, 2),
        ("interleaved 1F1B", 2, 2), ("interleaved 1F1B", 1, 2, 2), (None, 2, 2),
    ):  # fmt: skip
        refused(lambda bad=bad: schedules.pipeline(*bad))
