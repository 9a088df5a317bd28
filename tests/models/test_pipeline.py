"""The time of a pipeline against its closed forms, and against walking through its steps one by one."""

import math

import numpy
import pytest

from hpclab import schedules
from hpclab.models.pipeline import measured, overhead, simulate
from hpclab.models.placement import placement
from hpclab.models.plan import Plan
from hpclab.results import Origin
from hpclab.trace import Event, Trace

SHAPES = [("GPipe", 1), ("1F1B", 1), ("interleaved 1F1B", 2), ("interleaved 1F1B", 4), ("ZB-H1", 1)]


@pytest.mark.parametrize(("name", "chunks"), SHAPES)
@pytest.mark.parametrize(("ranks", "micro_batches"), [(2, 4), (4, 8), (8, 64)])
def test_equal_stages_and_free_messages_give_the_closed_form(name, chunks, ranks, micro_batches):
    pipeline = schedules.pipeline(name, ranks, micro_batches, chunks)
    times = simulate(pipeline, 0.1 / chunks, 0.2 / chunks)
    added = (ranks - 1) / (micro_batches * chunks) / (3 if name == "ZB-H1" else 1)
    assert overhead(pipeline) == pytest.approx(added)
    assert times.makespan == pytest.approx(0.3 * micro_batches * (1 + added))
    assert times.bubble == pytest.approx(added / (1 + added))


@pytest.mark.parametrize(("name", "chunks"), SHAPES)
def test_it_is_what_walking_through_the_steps_gives(name, chunks):
    """Uneven stages and slow messages, step by step in plain Python, sent or not by the rank's number."""
    pipeline = schedules.pipeline(name, 3, 6, chunks)
    uneven = numpy.random.default_rng(1).random((2, pipeline.stages))
    times = simulate(pipeline, *uneven, message=0.3)
    end, stages, halves = {}, pipeline.stages, 2 if name == "ZB-H1" else 1
    queues = [[tuple(step)[2:] for step in steps.tolist()] for steps in pipeline]
    free = [0.0] * 3
    while any(queues):
        for rank, queue in enumerate(queues):
            while queue:
                kind, m, s = queue[0]
                before = {0: (0, m, s - 1), 1: (1, m, s + 1), 2: (1, m, s)}[kind]
                nothing = before[2] in (-1, stages)
                if not nothing and before not in end:
                    break
                arrives = 0.0 if nothing else end[before] + 0.3 * (before[2] % 3 != rank)
                duration = uneven[min(kind, 1), s] / (halves if kind else 1)
                end[queue.pop(0)] = free[rank] = max(free[rank], arrives) + duration
    said = {tuple(step)[2:]: when for step, when in zip(pipeline.steps.tolist(), times.end, strict=True)}
    assert said == pytest.approx(end)
    assert times.makespan == pytest.approx(max(free))


def test_a_recorded_run_becomes_the_same_picture():
    pipeline = schedules.pipeline("1F1B", 2, 2)
    times = simulate(pipeline, 1.0, 2.0, 0.5)
    rows = zip(pipeline.steps.tolist(), times.start, times.end, strict=True)
    events = [Event(r, "compute", 100 + begin, end - begin, label=f"{'FB'[k]} {m}")
              for (r, _, k, m, _), begin, end in rows]  # fmt: skip
    others = [Event(0, "receive", 100.5, 1.0, label="F 1"), Event(0, "compute", 99.0, 20.0)]
    again = measured(pipeline, Trace((*others, *events[::-1]), 2, 99.0, 120.0))
    assert again.start == pytest.approx(times.start)
    assert again.end == pytest.approx(times.end)
    assert (times.origin, again.origin) == (Origin.MODELLED, Origin.MEASURED)
    with pytest.raises(ValueError, match="with this very schedule"):
        measured(pipeline, Trace(tuple(events[1:]), 2, 99.0, 120.0))


def test_tensor_stays_in_the_node_and_the_outer_axes_leave_it():
    axes = placement(Plan(16, data=2, tensor=4, pipeline=2), node_gpus=8)
    assert axes["tensor"].groups.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]
    assert axes["data"].groups[:2].tolist() == [[0, 4], [1, 5]]
    assert axes["pipeline"].groups[0].tolist() == [0, 8]
    assert axes["context"].groups.shape == (16, 1)
    assert [bool(axis.crosses.any()) for axis in axes.values()] == [False, False, False, True]
    outside = placement(Plan(16, data=2, tensor=4, pipeline=2), 8, ("pipeline", "context", "data", "tensor"))
    assert outside["pipeline"].groups[0].tolist() == [0, 1]
    assert outside["tensor"].crosses.tolist() == [[False, True, False]] * 4


def test_bad_input_is_refused(refused):
    pipeline = schedules.pipeline("1F1B", 2, 2)
    for bad in (-1, math.nan, math.inf, 1e30, "two", None, [1, 2, 3], [1, -1]):
        refused(lambda bad=bad: simulate(pipeline, bad, 1.0))
        refused(lambda bad=bad: simulate(pipeline, 1.0, bad))
        refused(lambda bad=bad: simulate(pipeline, 1.0, 1.0, bad))
    refused(lambda: placement(Plan(1), 0))
    refused(lambda: placement(Plan(1), 8, ("tensor", "data", "pipeline")))
