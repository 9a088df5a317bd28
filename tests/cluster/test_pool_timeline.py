"""From what was noted to rank-seconds."""

import pytest

from hpclab.cluster.maps import tasks
from hpclab.cluster.maps.tasks import TaskRecord
from hpclab.cluster.roster import Worker
from hpclab.trace import Event


def worker(rank, submitted, started, joined):
    return Worker(rank, f"n{rank}", "host", str(rank), 1, submitted, started, joined)


def test_a_node_waits_starts_and_is_idle_until_all_have_joined():
    trace = tasks.scale_trace([worker(0, 10, 11, 13), worker(1, 10, 14, 15), worker(2, 1, 2, 3)], 10.0, 16.0)
    bars = dict.fromkeys(trace.bars(), 0) | {"queue wait": 5, "worker start": 3, "idle": 4 + 6}
    assert trace.bars() == pytest.approx(bars)


def test_tasks_marks_and_what_follows_the_last():
    records = [TaskRecord(0, 0, 101.0, 2.0, 2.0, 5), TaskRecord(1, 1, 101.0, 5.0, 4.0, 5)]
    trace = tasks.map_trace(records, [Event(0, "input", 101.0, 0.5, 9)], [], 3, 100.0, 107.0)
    assert trace.bars() == pytest.approx(
        {
            "queue wait": 0, "worker start": 0, "transfer": 1, "compute": 6.5, "storage": 0.5,
            "idle": (3 + 6) + 2, "unexplained": 2,
        }
    )  # fmt: skip


def test_what_the_learner_did_in_between_is_cut_out_and_a_replacement_that_came_is_seen():
    first = tasks.scale_trace([worker(0, 10, 11, 12)], 10.0, 12.0)
    late, task = worker(1, 104.0, 105.0, 106.0), TaskRecord(0, 0, 100.0, 10.0, 9.0, 1)
    second = tasks.map_trace([task], [], [late], 2, 100.0, 110.0)
    assert (second.bars()["queue wait"], second.bars()["worker start"]) == pytest.approx((1.0, 1.0))
    both = tasks.concatenate_traces(first, second)
    assert both.makespan == pytest.approx(12.0)
    assert (both.bars()["queue wait"], both.bars()["worker start"]) == pytest.approx((2.0, 2.0))
