"""The emulated makespan against cases that can be worked out by hand."""

from __future__ import annotations

import pytest

from hpclab.cluster.maps.tasks import TaskRecord
from hpclab.experiments import replay
from hpclab.trace import Event, Trace


@pytest.mark.parametrize(
    ("durations", "nodes", "pause", "expected"),
    [
        ([1, 1, 1, 1], 1, 0, 4),
        ([1, 1, 1, 1], 2, 0, 2),
        ([1, 1, 1, 1], 3, 0, 2),  # the fourth task waits: three nodes are worth no more than two
        ([1, 1, 1, 1], 100, 0, 1),
        ([3, 1, 1, 1], 2, 0, 3),
        ([1, 1, 1, 3], 2, 0, 4),  # the longest task started last leaves the other node idle
        ([1, 1, 1], 1, 0.5, 4),  # a pause between tasks, not before the first
        ([], 4, 0, 0),
    ],
)
def test_makespan_by_hand(durations: list[float], nodes: int, pause: float, expected: float) -> None:
    assert replay.makespan(durations, nodes, pause) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [0, -1, 1.5, float("nan"), None, "2"])
def test_a_senseless_number_of_nodes_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="nodes must be a whole number"):
        replay.makespan([1.0], bad)  # type: ignore[arg-type]


def two_on_one_core() -> list[TaskRecord]:
    """Four tasks of 1 s CPU time on two ranks that share a core, so that each takes 2 s."""
    return [TaskRecord(item, item % 2, 10.5 + 2.1 * (item // 2), 2.0, 1.0, 0) for item in range(4)]


def test_ranks_that_share_a_core_are_played_again_with_one_each() -> None:
    trace = Trace((), 2, 10.0, 15.0)
    # 0.5 s before the first task, two tasks of 1 s with 0.1 s between, 0.4 s after the last
    assert replay.own_cores(two_on_one_core(), trace, 2, 10.0, 15.0) == pytest.approx(0.5 + 2.1 + 0.4)


def test_of_two_cpu_times_of_the_same_work_the_smaller_is_taken() -> None:
    trace = Trace((), 2, 10.0, 15.0)
    alone = [0.8, 0.8, 0.8, 9.0]
    assert replay.own_cores(two_on_one_core(), trace, 2, 10.0, 15.0, alone) == pytest.approx(
        0.5 + 1.9 + 0.4, abs=1e-9
    )


def test_waiting_for_storage_is_kept_but_never_more_than_the_task_waited() -> None:
    tasks = two_on_one_core()
    slow = Event(0, "input", tasks[0].start + 0.1, 0.3)
    endless = Event(0, "input", tasks[0].start + 0.1, 1.9)
    no_storage = Event(0, "send", tasks[0].start + 0.1, 0.3)

    def emulated(*events: Event) -> float:  # on one node, so that every task's seconds count
        return replay.own_cores(tasks, Trace(events, 2, 10.0, 15.0), 1, 10.0, 15.0)

    assert emulated(slow) == pytest.approx(emulated() + 0.3)
    assert emulated(endless) == pytest.approx(emulated() + 1.0)
    assert emulated(no_storage) == pytest.approx(emulated())


def test_no_tasks_says_so() -> None:
    with pytest.raises(ValueError, match="run a map first"):
        replay.own_cores([], Trace((), 1, 0, 1), 1, 0, 1)
