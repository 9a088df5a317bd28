"""Who is named when ranks wait for messages and not in a collective."""

from __future__ import annotations

import time

import pytest

from hpclab.cluster.gang import verdict, waiting
from hpclab.cluster.gang.verdict import RankState

NETWORK = {"type": "RuntimeError", "message": "Timed out", "network": True, "traceback": "", "exception": b""}


def gang(*messages, collectives=None):
    """A state for each rank from its [(peer, sent, received), ...]."""
    ranks = []
    for rank, told in enumerate(messages):
        ranks.append(RankState(rank))
        ranks[-1].note("collectives", [0 if collectives is None else collectives[rank]])
        ranks[-1].note("messages", [told, True])
    return ranks


def ring_left_by_rank_1():
    """Three rounds; rank 1 returned after two, so 2 waits for it to send, 0 for it to receive and for 2."""
    ranks = gang([(1, 3, 0), (2, 0, 3)], [(2, 2, 0), (0, 0, 2)], [(0, 3, 0), (1, 0, 3)])
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
    ranks = gang([], [(0, 0, 1)], [(1, 0, 1)], [(2, 0, 1)])
    assert waiting.culprit(ranks) == (0, 1)
    assert "has not sent message 1 to rank 1" in str(verdict.judge(ranks, 5.0))


def test_a_circle_is_called_one():
    ranks = gang([(1, 1, 0)], [(2, 1, 0)], [(0, 1, 0)])
    assert waiting.culprit(ranks) is None
    assert "rank 0 for rank 1 for rank 2 for rank 0" in str(verdict.judge(ranks, 5.0))


def test_matched_messages_and_those_left_behind_accuse_nobody():
    assert waiting.culprit(gang([(1, 4, 2)], [(0, 2, 4)])) is None
    later = gang([(1, 1, 0)], [], collectives=(2, 1))
    later[0].note("messages", [[(1, 1, 0)], False])  # rank 0 has begun a collective since
    assert waiting.culprit(later) is None
    assert verdict._behind(later).rank == 1


def test_a_rank_that_skipped_the_messages_and_waits_in_the_next_collective():
    ranks = gang([(1, 0, 1)], [], [(1, 0, 1)], collectives=(1, 2, 1))
    ranks[1].note("messages", [[], False])
    assert waiting.culprit(ranks)[0] == 1


def test_a_partner_held_up_in_a_collective_by_a_third():
    ranks = gang([(1, 0, 1)], [], [], collectives=(2, 2, 1))
    ranks[1].note("messages", [[], False])
    ranks[0].note("error", [NETWORK])
    assert waiting.culprit(ranks) is None
    assert verdict.judge(ranks, 5.0).rank == 2


@pytest.mark.parametrize(("waited", "named"), [(0.5, []), (6.0, [1])])
def test_a_slow_partner_is_named_after_a_while(waited, named):
    ranks = gang([(1, 0, 1)], [])
    ranks[0].changed = time.monotonic() - waited
    assert [rank for rank, _ in verdict.slow(ranks, 60.0)] == named
