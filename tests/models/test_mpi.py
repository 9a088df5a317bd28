"""Messages over MPI: software on the small end, the line rate less its headers on the large."""

import math

import pytest

from hpclab.models.mpi import Fabric, Host, framing

FABRIC = Fabric("RoCE", 1.5e-6, 6.25e9 * framing("roce"))


def test_the_share_of_headers_is_what_the_published_fabrics_show():
    assert 6.25e9 * framing("roce") == pytest.approx(5.785e9, rel=0.002)  # RoCE at 50 Gb/s
    assert 12.5e9 * framing("infiniband") == pytest.approx(12.317e9, rel=0.005)  # HDR100
    assert framing("aries") == 1  # not known: the catalogue's bandwidth is a measured one


def test_a_small_message_costs_the_latency_and_a_large_one_the_wire():
    assert FABRIC.one_way(0) == FABRIC.latency
    large = 2.0**30
    assert FABRIC.one_way(large) == pytest.approx(4 * FABRIC.latency + large / FABRIC.bandwidth)
    assert FABRIC.stream(large) == pytest.approx(FABRIC.bandwidth, rel=1e-3)
    assert FABRIC.both_ways(large) == pytest.approx(2 * FABRIC.bandwidth, rel=1e-3)


def test_rendezvous_starts_where_copying_costs_more_than_three_messages():
    switch = 3 * FABRIC.latency * FABRIC.host.copy
    slopes = [(FABRIC.one_way(s * 1.01) - FABRIC.one_way(s)) / (s * 0.01) for s in (switch / 2, switch * 2)]
    assert slopes[0] == pytest.approx(1 / FABRIC.bandwidth + 1 / FABRIC.host.copy)
    assert slopes[1] == pytest.approx(1 / FABRIC.bandwidth)


def test_a_stream_of_small_messages_is_limited_by_the_core_that_posts_them():
    assert FABRIC.stream(1) == pytest.approx(1 / FABRIC.host.gap, rel=0.01)
    assert FABRIC.both_ways(1) == pytest.approx(2 / (FABRIC.host.gap * FABRIC.host.both), rel=0.01)
    slow = Fabric("f", 1e-6, 1e10, Host(gap=1e-6))
    assert slow.stream(8) < FABRIC.stream(8)


def test_an_exchange_grows_with_the_ranks():
    times = [FABRIC.exchange(4096, ranks) for ranks in (1, 2, 16)]
    assert times == sorted(times)
    assert times[2] - times[1] == pytest.approx(14 * FABRIC.one_way(4096))


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, 1e30, "8", None])
def test_bad_input_is_refused_in_one_sentence(bad):
    for call in (FABRIC.one_way, lambda x: Fabric("f", x, 1e9), lambda x: Fabric("f", 1e-6, x)):
        with pytest.raises(ValueError, match="must be a number"):
            call(bad)
    with pytest.raises(ValueError, match="ranks must be"):
        FABRIC.exchange(8, bad)
