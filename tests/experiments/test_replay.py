"""The emulated makespan against cases that can be worked out by hand."""

import pytest

from hpclab.cluster.maps.tasks import TaskRecord
from hpclab.experiments import replay
from hpclab.models.storage import Server, Store
from hpclab.trace import Event, Trace


@pytest.mark.parametrize(
    ("durations", "nodes", "pause", "expected"),
    [
        ([1, 1, 1, 1], 3, 0, 2),  # the fourth task waits: three nodes are worth no more than two
        ([1, 1, 1, 1], 100, 0, 1),
        ([3, 1, 1, 1], 2, 0, 3),
        ([1, 1, 1, 3], 2, 0, 4),  # the longest task started last leaves the other node idle
        ([1, 1, 1], 1, 0.5, 4),  # a pause between tasks, not before the first
        ([], 4, 0, 0),
    ],
)
def test_makespan_by_hand(durations, nodes, pause, expected):
    assert replay.makespan(durations, nodes, pause) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("servers", "nodes", "expected"),
    [
        ((2,), 1, 4 * (2 / 2 + 1)),  # a node alone: it reads for 1 s, then computes for 1 s
        ((2,), 2, 1 + 4),  # read one after the other without a pause, and computed meanwhile
        ((2,), 4, 4 + 1),  # more nodes only wait
        ((2, 2), 1, 4 * (1 / 2 + 1)),  # half of the bytes from each
        ((2, 1), 1, 4 * (1 / 1 + 1)),  # the last stripe counts
    ],
)
def test_an_emulated_store_is_played_again_too(servers, nodes, expected):
    store = Store(tuple(Server(bandwidth) for bandwidth in servers))
    assert replay.makespan([1.0] * 4, nodes, 0.0, store, [2] * 4) == pytest.approx(expected)


def emulated(*events: Event, nodes: int = 2, alone: tuple[float, ...] = ()) -> float:
    """Four tasks of 1 s CPU time on two ranks that share a core, so that each takes 2 s, played again."""
    tasks = [TaskRecord(item, item % 2, 10.5 + 2.1 * (item // 2), 2.0, 1.0, 0) for item in range(4)]
    return replay.own_cores(tasks, Trace(events, nodes, 10.0, 15.0), alone)


def test_ranks_that_share_a_core_are_played_again_with_one_each() -> None:
    # 0.5 s before the first task, two tasks of 1 s with 0.1 s between, 0.4 s after the last
    assert emulated() == pytest.approx(0.5 + 2.1 + 0.4)
    # of two CPU times of the same work the smaller is taken
    assert emulated(alone=(0.8, 0.8, 0.8, 9.0)) == pytest.approx(0.5 + 1.9 + 0.4)


def test_waiting_for_storage_is_kept_but_never_more_than_the_task_waited() -> None:
    for kind, seconds, kept in (("input", 0.3, 0.3), ("input", 1.9, 1.0), ("send", 0.3, 0.0)):
        event = Event(0, kind, 10.6, seconds)
        # on one node, so that every task's seconds count
        assert emulated(event, nodes=1) == pytest.approx(emulated(nodes=1) + kept)


def test_nodes_rest_between_tasks_for_the_median_of_the_pauses() -> None:
    starts = (10.0, 11.1, 12.3, 13.9)  # pauses of 0.1, 0.2 and 0.6 s
    tasks = [TaskRecord(item, 0, start, 1.0, 1.0, 0) for item, start in enumerate(starts)]
    assert replay.own_cores(tasks, Trace((), 1, 10.0, 14.9)) == pytest.approx(4 + 3 * 0.2)
    with pytest.raises(ValueError, match="run a map first"):
        replay.own_cores([], Trace((), 1, 0, 1))
