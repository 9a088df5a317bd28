"""Who is to blame, from what each rank is known to have done: collectives begun, messages sent, awaited."""

from __future__ import annotations

import time

import pytest

from hpclab.cluster.gang import verdict, waiting
from hpclab.cluster.gang.verdict import RankState

NETWORK = {"type": "RuntimeError", "message": "Connection closed by peer", "network": True, "traceback": "",
           "exception": b""}  # fmt: skip
OWN = {"type": "KeyError", "message": "'layer 7'", "network": False, "traceback": "in forward"}


def begun(*collectives):
    return [RankState(rank, collectives=count) for rank, count in enumerate(collectives)]


def talked(*messages, collectives=None):
    """A state for each rank from its [(peer, sent, received), ...]."""
    ranks = []
    for rank, told in enumerate(messages):
        ranks.append(RankState(rank))
        ranks[-1].note("collectives", [0 if collectives is None else collectives[rank]])
        ranks[-1].note("messages", [told, True])
    return ranks


def test_death_is_blamed_before_its_echo():
    ranks = begun(5, 5, 5)
    ranks[0].note("error", [NETWORK])
    ranks[2].note("exit", [-9])
    error = verdict.judge(ranks, 5.0)
    assert error.rank == 2
    assert "SIGKILL" in str(error)


def test_an_exception_of_its_own_before_its_echo():
    ranks = begun(5, 5)
    ranks[0].note("error", [NETWORK])
    ranks[1].note("error", [OWN])
    assert verdict.judge(ranks, 5.0).rank == 1


def test_the_one_that_is_behind():
    ranks = begun(6, 5, 6)
    ranks[0].note("error", [NETWORK])
    error = verdict.judge(ranks, 5.0)
    assert error.rank == 1
    assert "rank 0: 6, rank 1: 5, rank 2: 6" in str(error)


def test_nobody_in_particular():
    ranks = begun(6, 6)
    ranks[1].note("error", [NETWORK])
    assert "Connection closed" in str(verdict.judge(ranks, 5.0))


def test_an_end_after_the_value_is_no_failure():
    state = RankState(0)
    state.note("value", [{"value": b""}])
    state.note("exit", [-9])
    assert not verdict.has_failed(state, 5.0)


def test_stopped_and_continued():
    state = RankState(0)
    state.note("state", ["T", 0.1])
    assert not verdict.has_failed(state, 5.0)
    assert verdict.has_failed(state, 0.0)
    state.note("state", ["R", 0.1])
    assert not verdict.has_failed(state, 0.0)


@pytest.mark.parametrize(("waited", "named"), [(0.5, []), (600.0, [1])])
@pytest.mark.parametrize("ranks", [begun(6, 5), talked([(1, 0, 1)], [])], ids=["collective", "message"])
def test_slow_is_named_after_a_while(ranks, waited, named):
    ranks[0].changed = time.monotonic() - waited
    assert [rank for rank, _ in verdict.slow(ranks, 60.0)] == named


def ring_left_by_rank_1():
    """Three rounds; rank 1 returned after two, so 2 waits for it to send, 0 for it to receive and for 2."""
    ranks = talked([(1, 3, 0), (2, 0, 3)], [(2, 2, 0), (0, 0, 2)], [(0, 3, 0), (1, 0, 3)])
    ranks[1].note("value", [{"value": b""}])
    return ranks


def test_the_rank_that_left_a_ring():
    ranks = ring_left_by_rank_1()
    for rank in (0, 2):
        ranks[rank].note("error", [NETWORK])
    error = verdict.judge(ranks, 5.0)
    assert error.rank == 1
    assert "returned without having received message 3 from rank 0" in str(error)


def test_waiting_is_followed_to_its_beginning():
    """3 waits for 2, 2 for 1, 1 for 0, and 0 is somewhere else."""
    ranks = talked([], [(0, 0, 1)], [(1, 0, 1)], [(2, 0, 1)])
    assert waiting.culprit(ranks) == (0, 1)
    assert "has not sent message 1 to rank 1" in str(verdict.judge(ranks, 5.0))


def test_a_circle_is_called_one():
    ranks = talked([(1, 1, 0)], [(2, 1, 0)], [(0, 1, 0)])
    assert waiting.culprit(ranks) is None
    assert "rank 0 for rank 1 for rank 2 for rank 0" in str(verdict.judge(ranks, 5.0))


def test_matched_messages_and_those_left_behind_accuse_nobody():
    assert waiting.culprit(talked([(1, 4, 2)], [(0, 2, 4)])) is None
    later = talked([(1, 1, 0)], [], collectives=(2, 1))
    later[0].note("messages", [[(1, 1, 0)], False])  # rank 0 has begun a collective since
    assert waiting.culprit(later) is None
    assert verdict._behind(later).rank == 1


def test_a_rank_that_skipped_the_messages_and_waits_in_the_next_collective():
    ranks = talked([(1, 0, 1)], [], [(1, 0, 1)], collectives=(1, 2, 1))
    ranks[1].note("messages", [[], False])
    assert waiting.culprit(ranks)[0] == 1


def test_a_partner_held_up_in_a_collective_by_a_third():
    ranks = talked([(1, 0, 1)], [], [], collectives=(2, 2, 1))
    ranks[1].note("messages", [[], False])
    ranks[0].note("error", [NETWORK])
    assert waiting.culprit(ranks) is None
    assert verdict.judge(ranks, 5.0).rank == 2
