"""Every instant of every rank belongs to exactly one component."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpclab.results import Origin
from hpclab.trace import COMPONENTS, KINDS, UNEXPLAINED, Event, Trace, events_of, listen, record

events = st.builds(Event, st.integers(0, 3), st.sampled_from(KINDS), st.floats(-5, 15), st.floats(0, 10))


@settings(deadline=None)
@given(st.lists(events, max_size=25))
def test_the_components_sum_to_ranks_times_makespan(found):
    bars = Trace(tuple(found), ranks=4, start=0.0, end=10.0).bars()
    assert sum(bars.values()) == pytest.approx(40.0, rel=1e-6)
    assert all(seconds >= -1e-9 for seconds in bars.values())
    assert list(bars) == [*COMPONENTS, UNEXPLAINED]


@pytest.mark.parametrize(
    ("events", "ranks", "seconds"),
    [
        ([(0, "compute", 1, 2)], 2, {"compute": 2, UNEXPLAINED: 18}),
        # where they overlap the more telling one counts once
        ([(0, "compute", 0, 10), (0, "input", 2, 3), (0, "idle", 0, 10)], 1,
         {"storage": 3, "compute": 7, "idle": 0}),
        ([(0, "compute", 0, 6), (0, "compute", 4, 6)], 1, {"compute": 10, UNEXPLAINED: 0}),
        # outside of the window, or of another rank
        ([(0, "compute", -5, 6), (7, "compute", 0, 10)], 1, {"compute": 1, UNEXPLAINED: 9}),
    ],
)  # fmt: skip
def test_every_instant_counts_once(events, ranks, seconds):
    bars = Trace(tuple(Event(*one) for one in events), ranks, start=0, end=10).bars()
    assert {name: bars[name] for name in seconds} == seconds


def test_a_trace_is_as_strong_as_its_weakest_event():
    assert Trace((), 1, 0, 1).origin is Origin.MEASURED
    assert Trace((Event(0, "send", 0, 1, origin=Origin.MODELLED),), 1, 0, 1).origin is Origin.MODELLED


def test_record_is_heard_inside_a_listener_and_silent_outside():
    with record("input", bytes=10):
        pass
    with listen() as marks:
        with record("input", bytes=10, label="shard 3"):
            time.sleep(0.02)
        with pytest.raises(KeyError), record("checkpoint"):
            raise KeyError("a task that fails still leaves its mark")
    assert [mark[0] for mark in marks] == ["input", "checkpoint"]
    (event, _) = events_of(marks, rank=2, clock_offset=100.0)
    assert (event.rank, event.kind, event.bytes, event.label) == (2, "input", 10, "shard 3")
    assert event.duration >= 0.02
    assert event.start == marks[0][1] + 100.0
    for words, kind, size in (("kind", "compile", 0), ("bytes must be", "input", -1)):
        with pytest.raises(ValueError, match=words), record(kind, bytes=size):
            pytest.fail("the task ran")


def test_an_inner_listener_does_not_disturb_the_outer_one():
    with listen() as outer:
        with listen() as inner, record("compute"):
            pass
        with record("send"):
            pass
    assert ([m[0] for m in inner], [m[0] for m in outer]) == (["compute"], ["send"])
