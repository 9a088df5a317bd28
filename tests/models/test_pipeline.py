"""The time of a pipeline against its closed forms, and against a recursion over its steps."""

from functools import cache

import numpy
import pytest

from hpclab import schedules
from hpclab.models.pipeline import evened, measured, overhead, simulate
from hpclab.trace import Event, Trace


@pytest.mark.parametrize(("name", "chunks"), [("GPipe", 1), ("1F1B", 1), ("interleaved 1F1B", 4)])
@pytest.mark.parametrize(("ranks", "micro_batches"), [(2, 4), (8, 64)])
def test_equal_stages_and_free_messages_give_the_closed_form(name, chunks, ranks, micro_batches):
    pipeline = schedules.pipeline(name, ranks, micro_batches, chunks)
    times, added = simulate(pipeline, 0.1 / chunks, 0.2 / chunks), (ranks - 1) / (micro_batches * chunks)
    assert overhead(pipeline) == pytest.approx(added)
    assert times.makespan == pytest.approx(0.3 * micro_batches * (1 + added))
    assert times.bubble == pytest.approx(added / (1 + added))


@pytest.mark.parametrize(("name", "chunks"), [("GPipe", 1), ("1F1B", 1), ("interleaved 1F1B", 2)])
def test_uneven_stages_and_slow_messages_are_what_a_recursion_gives(name, chunks):
    pipeline = schedules.pipeline(name, 3, 6, chunks)
    seconds = numpy.random.default_rng(1).random((2, pipeline.stages))
    steps = [tuple(step) for step in pipeline.steps.tolist()]
    row = {step[2:]: number for number, step in enumerate(steps)}

    @cache
    def end(number):
        _, order, kind, m, s = steps[number]
        before = row.get((kind, m, s + 2 * kind - 1))  # of the stage before, or after
        arrives = 0.0 if before is None else end(before) + 0.3
        return max(end(number - 1) if order else 0.0, arrives) + seconds[kind, s]

    assert simulate(pipeline, *seconds, message=0.3).end == pytest.approx([*map(end, range(len(steps)))])


def test_an_evened_schedule_idles_only_in_its_bubble():
    pipeline = schedules.pipeline("1F1B", 2, 8)
    uneven = simulate(pipeline, [1.0, 3.0], [2.0, 4.0], message=0.5)
    even = evened(uneven)
    assert even.bubble == pytest.approx(1 / 9)
    assert even.bubble < uneven.bubble
    assert even.makespan == pytest.approx((2 + 3) * (8 + 1))


def test_bad_input_is_refused(refused):
    pipeline = schedules.pipeline("1F1B", 2, 2)
    for bad in (-1, numpy.nan, numpy.inf, 1e30, "two", None, [1, 2, 3], [1, -1]):
        refused(lambda bad=bad: simulate(pipeline, bad, 1.0))
        refused(lambda bad=bad: simulate(pipeline, 1.0, 1.0, bad))


@pytest.mark.parametrize("ranks", [[1] * 8, [0] * 8, [0] * 4 + [1] * 3, [0] * 4 + [1] * 5])
def test_a_trace_of_another_schedule_is_refused(ranks):
    events = tuple(Event(rank, "compute", at, 1.0, label="F 0") for at, rank in enumerate(ranks))
    with pytest.raises(ValueError, match="with this very schedule"):
        measured(schedules.pipeline("1F1B", 2, 2), Trace(events, 2, 0.0, 9.0))
