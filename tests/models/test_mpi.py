"""Messages over MPI: what no published row says (the rows that ship hold all else, in docs/validation.md)."""

from dataclasses import replace

import pytest

from hpclab.models.mpi import Host, network_fabric, predict

FABRIC = network_fabric("roce-50g", rate=6.25e9)


def test_both_ways_cost_the_core_twice_and_the_wire_once():
    assert predict("both_ways", 1, FABRIC).seconds == pytest.approx(2 * Host.post, rel=0.01)
    busy = replace(FABRIC, call=1e-6)
    for size, factor in ((1, 2), (2.0**30, 1)):
        both, one = (predict(what, size, busy).seconds for what in ("both_ways", "stream"))
        assert both == pytest.approx(factor * one)
    assert FABRIC.core(640) - FABRIC.core(0) == pytest.approx(640 / (2 * Host.copy))
    aware = network_fabric("roce-50g", rate=6.25e9, gpu_aware=True)
    assert aware.one_way(8) - FABRIC.one_way(8) == pytest.approx(2 * Host.query)  # at both ends


def test_a_large_message_is_asked_for_first():
    size, calls = 2**26, 2 * FABRIC._calls(2**26)
    assert FABRIC.one_way(size) == pytest.approx(4 * FABRIC.latency + calls + FABRIC.wire(size))


def test_the_kernels_tcp_has_its_latency_and_its_copying_core():
    tcp, roce = network_fabric("ethernet-100g"), network_fabric("roce-100g")
    assert tcp.latency > roce.latency + 8e-6
    assert tcp.bandwidth < roce.bandwidth / 2
    assert network_fabric("ethernet-10g").bandwidth == pytest.approx(1.25e9 * 1448 / 1538)


def test_a_collective_takes_the_fastest_way():
    many = replace(FABRIC, ranks=64)
    assert predict("all_reduce", 8, many).how == "recursive doubling"
    assert predict("all_reduce", 2**28, many).how == "halving doubling"
    assert predict("all_to_all", 64, many).how == "bruck"
    assert predict("all_to_all", 2**28, many).how == "pairwise"
    with pytest.raises(ValueError, match="'gossip' is no collective"):
        predict("gossip", 8, many)
