"""Who is to blame, from what each rank is known to have done."""

from __future__ import annotations

import time

import pytest

from hpclab.cluster.gang import verdict
from hpclab.cluster.gang.verdict import RankState

NETWORK = {"type": "RuntimeError", "message": "Connection closed by peer", "network": True, "traceback": ""}
OWN = {"type": "KeyError", "message": "'layer 7'", "network": False, "traceback": "in forward"}


def gang(*collectives):
    return [RankState(rank, collectives=count) for rank, count in enumerate(collectives)]


def test_death_is_blamed_before_its_echo():
    ranks = gang(5, 5, 5)
    ranks[0].note("error", [NETWORK])
    ranks[2].note("exit", [-9])
    error = verdict.judge(ranks, 5.0)
    assert error.rank == 2
    assert "SIGKILL" in str(error)


def test_an_exception_of_its_own_before_its_echo():
    ranks = gang(5, 5)
    ranks[0].note("error", [NETWORK])
    ranks[1].note("error", [OWN])
    assert verdict.judge(ranks, 5.0).rank == 1


def test_the_one_that_is_behind():
    ranks = gang(6, 5, 6)
    ranks[0].note("error", [NETWORK])
    error = verdict.judge(ranks, 5.0)
    assert error.rank == 1
    assert "rank 0: 6, rank 1: 5, rank 2: 6" in str(error)


def test_nobody_in_particular():
    ranks = gang(6, 6)
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


@pytest.mark.parametrize(("waited", "named"), [(0.5, []), (6.0, [1])])
def test_slow_is_named_after_a_while(waited, named):
    ranks = gang(6, 5)
    ranks[0].changed = time.monotonic() - waited
    assert [rank for rank, _ in verdict.slow(ranks, 60.0)] == named
