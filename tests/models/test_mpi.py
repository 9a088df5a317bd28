"""Messages over MPI: software on the small end, the line rate less its headers on the large."""

from dataclasses import replace

import pytest

from hpclab.models import mpi
from hpclab.models.mpi import Host, inside, over, predict
from hpclab.models.network import framing

FABRIC = over("roce-50g", rate=6.25e9)
LARGE = 2.0**30


def test_the_share_of_headers_is_what_the_published_fabrics_show():
    assert 6.25e9 * framing("roce-50g") == pytest.approx(5.785e9, rel=0.002)  # RoCE at 50 Gb/s
    assert 12.5e9 * framing("infiniband-hdr100") == pytest.approx(12.317e9, rel=0.005)
    assert 25e9 * framing("slingshot-11") == pytest.approx(24.03e9, rel=0.002)
    assert framing("aries") == 1  # not known: the catalogue's bandwidth is a measured one


def test_a_small_message_costs_the_latency_and_a_large_one_the_wire():
    assert FABRIC.one_way(0) == FABRIC.latency
    assert FABRIC.one_way(LARGE) == pytest.approx(4 * FABRIC.latency + LARGE / FABRIC.bandwidth)
    for many in (FABRIC.stream, FABRIC.both_ways):
        assert many(LARGE) == pytest.approx(LARGE / FABRIC.bandwidth, rel=1e-3)


def test_rendezvous_starts_where_copying_costs_more_than_three_messages():
    switch = 3 * FABRIC.latency * FABRIC.host.copy
    slopes = [(FABRIC.one_way(s * 1.01) - FABRIC.one_way(s)) / (s * 0.01) for s in (switch / 2, switch * 2)]
    assert slopes[0] == pytest.approx(1 / FABRIC.bandwidth + 1 / FABRIC.host.copy)
    assert slopes[1] == pytest.approx(1 / FABRIC.bandwidth)


def test_both_ways_cost_the_core_twice_and_the_wire_once():
    assert FABRIC.both_ways(1) == pytest.approx(2 * Host.post, rel=0.01)
    busy = replace(FABRIC, call=1e-6)
    assert busy.both_ways(1) == pytest.approx(2 * busy.stream(1))
    assert busy.both_ways(LARGE) == busy.stream(LARGE)


def test_gpu_memory_costs_a_question_each_message_and_a_copy_where_a_core_must_write_it():
    plain, aware, gpus = (
        over("slingshot-11"),
        over("slingshot-11", gpu_aware=True),
        over("slingshot-11", gpus=True),
    )
    assert aware.stream(8) == pytest.approx(plain.core(8) + Host.query)
    assert gpus.stream(mpi.INJECT) > 5 * gpus.stream(mpi.INJECT + 1)
    assert gpus.stream(2.0**26) == plain.stream(2.0**26)
    assert over("infiniband-ndr", gpus=True).stream(8) == over("infiniband-ndr", gpu_aware=True).stream(8)


def test_inside_a_node_a_core_copies_faster_what_its_cache_holds():
    host = inside()
    assert host.stream(2**18) < 2**18 / Host.far
    assert 2**26 / host.stream(2**26) == pytest.approx(Host.far, rel=0.05)
    assert host.both_ways(2**18) == pytest.approx(host.stream(2**18) + host.core(2**18))
    gpu = inside(100e9)
    assert gpu.stream(8) == pytest.approx(gpu.core(8))  # to start a copy engine takes a core longest
    assert gpu.stream(LARGE) == pytest.approx(LARGE / 100e9, rel=1e-3)


def test_the_kernels_tcp_has_its_latency_and_its_copying_core():
    tcp, roce = over("ethernet-100g"), over("roce-100g")
    assert tcp.latency > roce.latency + 8e-6
    assert tcp.bandwidth < roce.bandwidth / 2
    assert over("ethernet-10g").bandwidth == pytest.approx(1.25e9 * 1448 / 1538)


def test_a_collective_takes_the_fastest_way():
    many = replace(FABRIC, ranks=64)
    assert predict("all_reduce", 8, many).how == "recursive doubling"
    assert predict("all_reduce", 2**28, many).how == "halving doubling"
    assert predict("all_to_all", 64, many).how == "bruck"
    assert predict("all_to_all", 2**28, many).how == "pairwise"
    assert predict("ping_pong", 8, many).seconds == many.one_way(8)
    with pytest.raises(ValueError, match="'gossip' is no collective"):
        predict("gossip", 8, many)
