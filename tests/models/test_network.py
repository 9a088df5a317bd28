"""Topologies: which links a message crosses, what it pays there, and who shares what with whom."""

import numpy
import pytest

from hpclab.machine import catalogue
from hpclab.models.network import Level, Link, Topology, with_slow_link
from hpclab.models.presets import PRESETS
from hpclab.models.topologies import CUBE_MESH, cluster, cube_mesh, dragonfly, single_node

FAST, SLOW = Link("fast", 1e-6, 100e9), Link("slow", 4e-6, 10e9)


def names(topology, source, target):
    return [topology.links[link].name for link in topology.route(source, target)]


def test_a_switch_gives_each_gpu_its_own_port_and_the_latency_once():
    node = single_node(FAST, 4)
    assert names(node, 1, 3) == ["GPU 1 out", "GPU 3 in"]
    assert node.route(2, 2) == ()
    assert node.alpha_beta(1, 3) == pytest.approx((1e-6, 1e-11))


def test_the_cube_mesh_has_six_links_a_gpu_and_pcie_for_the_rest():
    mesh = numpy.array(CUBE_MESH)
    assert (mesh == mesh.T).all()
    assert (mesh.sum(axis=0) == 6).all()
    node = cube_mesh(Link("nvlink", 0, 150e9))
    assert node.alpha_beta(0, 3)[1] == pytest.approx(1 / 50e9)  # two of six
    assert names(node, 0, 5) == ["GPU 0 PCIe out", "GPU 5 PCIe in"]


def test_gpus_of_a_node_meet_inside_and_share_their_nic():
    two = cluster(4, 8, FAST, SLOW, 2)
    assert names(two, 0, 7) == ["GPU 0 out", "GPU 7 in"]
    assert names(two, 0, 9) == ["NIC 0 out", "NIC 2 in"]
    assert names(two, 3, 9) == ["NIC 0 out", "NIC 2 in"]
    assert names(two, 4, 9) == ["NIC 1 out", "NIC 2 in"]


def test_uplinks_appear_where_the_tree_is_oversubscribed():
    full = cluster(4, 1, nic=SLOW, nodes_per_leaf=2)
    assert names(full, 0, 3) == ["NIC 0 out", "NIC 3 in"]
    half = cluster(4, 1, nic=SLOW, nodes_per_leaf=2, oversubscription=2)
    assert names(half, 0, 3) == ["NIC 0 out", "leaf 0 up", "leaf 1 down", "NIC 3 in"]
    assert half.links[half.route(0, 3)[1]].bandwidth == SLOW.bandwidth  # two NICs, half of them up
    assert half.alpha_beta(0, 3)[0] == pytest.approx(4e-6 + 2 * 130e-9)
    assert half.alpha_beta(0, 1)[0] == pytest.approx(4e-6)


def test_on_rails_only_another_rail_needs_the_spine():
    rails = cluster(4, 2, FAST, SLOW, 2, oversubscription=4, rails=True)
    assert names(rails, 0, 6) == ["NIC 0 out", "NIC 6 in"]
    assert "leaf 0 up" in names(rails, 0, 7)


def test_tcp_is_a_term_of_its_own():
    tcp = cluster(2, 1, nic=SLOW, transport="tcp")
    terms = {name: (latency, seconds) for name, latency, seconds in tcp.terms(0, 1, 1e6)}
    copy = catalogue.entry("link", "kernel-tcp")
    assert terms["rank 0 TCP copies out"] == pytest.approx(
        (copy.value("latency") / 2, 1e6 / copy.value("bandwidth"))
    )
    assert "TCP" in tcp.name


def test_a_dragonfly_has_one_way_between_two_groups():
    fly = dragonfly(3, 2, 2, SLOW)
    assert names(fly, 0, 1) == ["NIC 0 out", "NIC 1 in"]
    assert names(fly, 0, 2) == ["NIC 0 out", "group 0 router 0 to 1", "NIC 2 in"]
    assert names(fly, 0, 11)[1] == names(fly, 3, 8)[1] == "group 0 to group 2"
    assert fly.alpha_beta(0, 11)[0] == pytest.approx(4e-6 + 3 * 350e-9)


def test_a_slow_link_is_slow_for_all_that_cross_it_and_one_way_only():
    node = with_slow_link(single_node(FAST, 4), 0, 1, 5)
    assert node.alpha_beta(0, 1)[1] == node.alpha_beta(0, 2)[1] == pytest.approx(5 / 100e9)
    assert node.alpha_beta(1, 0)[1] == pytest.approx(1 / 100e9)
    assert any("5× slower" in link.name for link in node.links)
    with pytest.raises(ValueError, match="two different ranks"):
        with_slow_link(node, 1, 1)


def test_every_link_of_the_catalogue_can_be_had():
    for name in catalogue.entries("link"):
        link = Link.named(name)
        assert 1e9 < link.bandwidth < 1e12
        assert 1e-8 < link.latency < 2e-5
    with pytest.raises(ValueError, match="nvlink4"):
        Link.named("carrier pigeon")


def test_shapes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="evenly"):
        cluster(2, 8, FAST, SLOW, 3)
    ports = numpy.array([0, 1])
    apart = Level("node", ports, [ports], [ports])
    with pytest.raises(ValueError, match="No way"):
        Topology("x", 2, (FAST, FAST), (apart,)).route(0, 1)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_joins_any_number_of_ranks_and_is_a_place_where_a_model_holds(name):
    for ranks in (1, 2, 5, 8) if name == "dgx-1" else (1, 2, 5, 8, 17, 64, 1024):
        topology = PRESETS[name](ranks)
        assert topology.ranks >= ranks
        if ranks > 1:
            alpha, beta = topology.alpha_beta(0, ranks - 1)
            assert 1e-7 < alpha < 1e-4
            assert 1e-12 < beta < 1e-8
    known = [PRESETS[name].place(ranks) is not None for ranks in (1, 8, 17, 64)]
    odd, many = PRESETS[name].ranks_per_node == 1, name != "dgx-1"
    assert known == ([False] * 4 if name == "shared-nic" else [False, True, odd, many])
    assert with_slow_link(PRESETS[name](8), 0, 1).place is None
