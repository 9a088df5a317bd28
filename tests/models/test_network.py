"""Topologies: which links a message crosses, what it pays there, and who shares what with whom."""

import numpy
import pytest

from hpclab.models.network import Level, Link, Topology, framing, with_slow_link
from hpclab.models.presets import PRESETS
from hpclab.models.topologies import CUBE_MESH, cluster, cube_mesh, dragonfly, single_node

FRAMES = {  # bytes of data and of all that goes over the wire with it, by their specifications
    "infiniband-hdr100": 2048 / 2074, "roce-50g": 1024 / 1106, "slingshot-11": 2048 / 2130,
    "ethernet-100g": 1448 / 1538, "pcie3-x16": 1,
}  # fmt: skip
FAST, SLOW = Link("fast", 1e-6, 100e9), Link("slow", 4e-6, 10e9)
NODE = single_node(FAST, 4)  # a switch gives each GPU its own port, and the latency once
MESH = cube_mesh(Link("nvlink", 0, 150e9))
TWO_NICS = cluster(4, 8, FAST, SLOW, 2)
FULL, HALF = (cluster(4, 1, nic=SLOW, nodes_per_leaf=2, oversubscription=over) for over in (1, 2))
RAILS = cluster(4, 2, FAST, SLOW, 2, oversubscription=4, rails=True)
FLY = dragonfly(3, 2, 2, SLOW)
TCP = cluster(2, 1, nic=SLOW, transport="tcp")  # a core copies at both ends
WAYS = [  # topology, source, target, the links between, and their latency
    (NODE, 1, 3, ["GPU 1 out", "GPU 3 in"], 1e-6), (NODE, 2, 2, [], 0),
    (MESH, 0, 3, ["GPU 0 to 3"], 0),
    (MESH, 0, 5, ["GPU 0 PCIe out", "GPU 5 PCIe in"], Link.named("pcie3-x16").latency),
    (TWO_NICS, 0, 7, ["GPU 0 out", "GPU 7 in"], 1e-6), (TWO_NICS, 3, 9, ["NIC 0 out", "NIC 2 in"], 4e-6),
    (TWO_NICS, 4, 9, ["NIC 1 out", "NIC 2 in"], 4e-6), (FULL, 0, 3, ["NIC 0 out", "NIC 3 in"], 4.26e-6),
    (HALF, 0, 3, ["NIC 0 out", "leaf 0 up", "leaf 1 down", "NIC 3 in"], 4.26e-6),
    (HALF, 0, 1, ["NIC 0 out", "NIC 1 in"], 4e-6), (RAILS, 0, 6, ["NIC 0 out", "NIC 6 in"], 4e-6),
    (RAILS, 0, 7, ["NIC 0 out", "leaf 0 up", "leaf 1 down", "NIC 7 in"], 4.26e-6),
    (TCP, 0, 1, ["rank 0 TCP copies out", "NIC 0 out", "NIC 1 in", "rank 1 TCP copies in"],
     4e-6 + Link.named("kernel-tcp").latency),
    (FLY, 0, 1, ["NIC 0 out", "NIC 1 in"], 4e-6),
    (FLY, 0, 2, ["NIC 0 out", "group 0 router 0 to 1", "NIC 2 in"], 4.35e-6),
    (FLY, 3, 8, ["NIC 3 out", "group 0 to group 2", "NIC 8 in"], 5.05e-6),
]  # fmt: skip


@pytest.mark.parametrize(("topology", "source", "target", "links", "latency"), WAYS)
def test_the_way_between_two_ranks(topology, source, target, links, latency):
    assert [topology.links[link].name for link in topology.route(source, target)] == links
    assert topology.alpha_beta(source, target)[0] == pytest.approx(latency, abs=1e-12)


def test_a_slow_link_is_slow_for_all_that_cross_it_and_one_way_only():
    assert MESH.alpha_beta(0, 3)[1] == pytest.approx(1 / 50e9)  # two of six
    assert HALF.links[HALF.route(0, 3)[1]].bandwidth == SLOW.bandwidth  # two NICs, half of them up
    node = with_slow_link(NODE, 0, 1, 5)
    assert node.alpha_beta(0, 1)[1] == node.alpha_beta(0, 2)[1] == pytest.approx(5 / 100e9)
    assert node.alpha_beta(1, 0)[1] == pytest.approx(1 / 100e9)
    assert any("5× slower" in link.name for link in node.links)


def test_shapes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="evenly"):
        cluster(2, 8, FAST, SLOW, 3)
    ports = numpy.array([0, 1])
    apart = Level("node", ports, [ports], [ports])
    with pytest.raises(ValueError, match="No way"):
        Topology("x", 2, (FAST, FAST), (apart,)).route(0, 1)


def test_a_dragonfly_has_whole_groups_of_four_routers_with_four_nodes_each():
    assert [PRESETS["dragonfly"](ranks).ranks for ranks in (1, 16, 17)] == [16, 16, 32]


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


def test_each_gpu_of_a_dgx_1_has_six_wires_the_same_both_ways():
    wires = numpy.array(CUBE_MESH)
    assert (wires == wires.T).all()
    assert wires.sum(axis=0).tolist() == [6] * 8


def test_a_rail_joins_the_same_place_in_every_node_also_where_nodes_are_not_full():
    """Two ranks meet at a leaf where their NICs have one place, and at the spine where not."""
    preset, shared = PRESETS["dgx-h100"](12), cluster(3, 8, FAST, SLOW, 2, oversubscription=4, rails=True)
    for topology, share in ((preset, 1), (shared, 4)):  # ranks of a NIC
        near = topology.alpha_beta(0, 8)[0]
        for rank in range(8, 12):
            same = rank % 8 // share == 0
            assert topology.ranks >= 16
            assert (topology.alpha_beta(0, rank)[0] == pytest.approx(near)) == same
            assert len(topology.route(0, rank)) == (4 if topology is shared and not same else 2)
    assert preset.alpha_beta(0, 7)[0] < preset.alpha_beta(0, 8)[0]  # still one node
    assert RAILS.links[RAILS.route(0, 7)[1]].bandwidth == SLOW.bandwidth  # a NIC each of four nodes, 4:1


@pytest.mark.parametrize(("link", "share"), FRAMES.items())
def test_headers_take_their_share_of_a_line_rate(link, share):
    assert framing(link) == pytest.approx(share)
