"""What of the gradient messages hides: closed forms for one wire."""

import math

import pytest

from hpclab.models import overlap


def test_buckets_are_full_when_they_hold_the_limit_and_ready_when_the_last_is_computed():
    assert overlap.group([4, 4, 4, 4], 8) == [[0, 1], [2, 3]]
    assert overlap.group([1, 20, 1], 8) == [[0, 1], [2]]
    assert overlap.group([1, 2, 3], math.inf) == [[0, 1, 2]]
    assert overlap.buckets([4, 4, 4], [1, 2, 1], 8) == ([8, 4], [0.75, 1.0])
    assert overlap.buckets([4, 4, 4], [0, 3, 1], 4) == ([4, 4, 4], [0.0, 0.75, 1.0])  # the first at once
    assert overlap.buckets([4, 4], [0, 0], 4)[1] == [1.0, 1.0]  # nothing is known of the work


def test_a_fast_wire_exposes_the_last_message_only_and_a_slow_one_is_never_idle_after_the_first():
    fast, slow = (overlap.send(8.0, [0.25, 0.5, 1.0], 3 * [seconds]) for seconds in (1.0, 10.0))
    assert (fast.exposed, fast.hidden, fast.begins) == (1.0, 2.0, (2.0, 4.0, 8.0))
    assert (slow.exposed, slow.hidden) == (2 + 30 - 8, 6.0)


@pytest.mark.parametrize("seconds", [[0.1, 5.0, 0.3], [10.0, 0.0, 1.0]])
def test_hidden_and_exposed_are_all_of_it_where_the_wire_never_waits_after_the_pass(seconds):
    sent = overlap.send(8.0, [0.25, 0.5, 1.0], seconds)
    assert sent.exposed + sent.hidden == pytest.approx(sum(seconds))
    alone = overlap.send(8.0, [0.25, 0.5, 1.0], seconds, overlap=False)
    assert (alone.exposed, alone.hidden) == (pytest.approx(sum(seconds)), 0.0)
