"""What NCCL would do and how long it takes: limits that hold whatever the fitted constants are."""

from dataclasses import replace

import pytest

from hpclab.models import nccl
from hpclab.models.formulas import bus_factor
from hpclab.models.nccl import Job, predict
from hpclab.models.nccl_links import FITTED, HOPS, NETWORKS, NVLINKS, PCIE, TREE_HOP
from hpclab.models.topologies import CUBE_MESH

V100, A100, H100 = (NVLINKS[f"nvlink{generation}"] for generation in (2, 3, 4))
RAILS = {"network": NETWORKS["rdma"], "network_bandwidth": 8 * 50e9}


def test_rings_of_a_mesh_follow_its_wires():
    mesh = [V100.rings(gpus, 8) for gpus in range(2, 9)]
    assert mesh == [(1, False), (2, False), (4, False), (2, True), (2, False), (4, False), (6, False)]
    for gpus, (count, relayed) in enumerate(mesh, 2):  # no more than the wires of the poorest GPU
        poorest = min(sum(row[:gpus]) for row in CUBE_MESH[:gpus])
        assert count <= poorest or relayed
    assert V100.ring(5, 8) == pytest.approx(2 * V100.link_bandwidth * 5 / 6)  # GPU 0 passes on for GPU 4
    assert V100.ring(4, 4) == 1.5 * V100.ring(4, 8)  # all six links lead to three others
    assert H100.ring(2, 8) == H100.ring(4, 4) == 3 * H100.ring(2, 4)
    assert V100.ring(1, 8) == PCIE  # no ring of NVLinks closes


def test_a_small_all_to_all_has_a_hop_to_each_other_gpu():
    two, three, five = (predict("all_to_all", 1.0, Job(H100, gpus, 1)).seconds for gpus in (2, 3, 5))
    assert (three - two, five - two) == pytest.approx((HOPS["Simple"], 3 * HOPS["Simple"]), rel=1e-3)


@pytest.mark.parametrize("collective", nccl.COLLECTIVES)
@pytest.mark.parametrize("nodes", [1, 2, 10])
def test_large_messages_come_near_a_line_rate_and_never_above(collective, nodes):
    job = Job(H100, 8 * nodes, nodes, **(RAILS if nodes > 1 else {}))
    size = 2.0**36
    time = predict(collective, size, job).seconds
    busbw = bus_factor(collective, job.gpus) * size / time
    out = {"all_to_all": (job.gpus - 8) / job.gpus, "send_recv": 1.0}  # a GPU's share that leaves its node
    if nodes > 1 and collective in out:
        least = 0.4 if (collective, nodes) == ("send_recv", 10) else 0.8
        assert least < out[collective] * size / time / 50e9 < 1
    elif collective == "all_reduce":
        assert 300e9 < busbw < 2 * 450e9  # the switch adds: less than half of the bytes on a GPU's links
    else:
        assert 300e9 < busbw < 450e9


WAYS = [  # a job, a power of two of bytes, and how an all-reduce is done
    (Job(A100, 8), 19, "ring, LL"), (Job(A100, 8), 22, "ring, LL128"), (Job(A100, 8), 30, "ring, Simple"),
    (Job(H100, 8), 10, "ring, LL"), (Job(H100, 8), 30, "NVLS"),
    (Job(H100, 8, nvls=False), 30, "ring, Simple"),
    (Job(H100, 4, node_gpus=4), 33, "ring, Simple"),  # a board of four has no switch that adds
    (Job(V100, 8), 22, "ring, LL128"), (Job(V100, 5), 20, "ring, Simple"),  # passed on: no LL128
]  # fmt: skip


@pytest.mark.parametrize(("job", "power", "way"), WAYS)
def test_the_way_changes_with_the_size(job, power, way):
    assert predict("all_reduce", 2**power, job).how == way


def test_a_send_has_one_channel_where_all_sends_would_need_more_than_four_times_those_there_are():
    few, many = (
        predict("send_recv", 2.0**33, Job(A100, 8 * nodes, nodes, **RAILS)).seconds
        for nodes in (A100.channels * 2 // 8, A100.channels * 2 // 8 + 1)
    )
    assert many == pytest.approx(2 * few, rel=0.01)


def test_nvls_pays_from_five_hopper_and_six_blackwell_gpus():
    """As the source of nccl_peak_efficiency.csv saw it; not fitted."""
    for name, first in (("nvlink4", 5), ("nvlink5", 6)):
        ways = {n: predict("all_reduce", 2**33, Job(NVLINKS[name], n)).how for n in range(3, 9)}
        assert [n for n, way in ways.items() if way == "NVLS"] == list(range(first, 9))


def test_a_tree_goes_up_and_down_with_every_byte():
    job = Job(A100, 64, 64, NETWORKS["rdma"], 25e9)
    small, large = (predict("all_reduce", size, job) for size in (1000, 2000))
    assert small.how == large.how == "tree, LL"
    channel = A100.ll_most(64) / A100.channels  # as short a message opens one
    assert large.seconds - small.seconds == pytest.approx(2 * 1000 / channel)
    assert small.seconds == pytest.approx(A100.launch + 2 * 6 * TREE_HOP + 2 * 1000 / channel)


@pytest.mark.parametrize(("name", "field"), [(name, one) for name, of in FITTED.items() for one in of])
def test_every_fitted_constant_counts(name, field):
    def seconds(share):
        link, network = NVLINKS.get(name, A100), NETWORKS.get(name, NETWORKS["rdma"])
        if name in NVLINKS:
            job = Job(replace(link, **{field: share * getattr(link, field)}), 8)
        else:
            job = Job(link, 16, 2, replace(network, **{field: share * getattr(network, field)}), 50e9)
        sizes = (2.0**power for power in range(3, 34))
        return [predict(what, size, job).seconds for size in sizes for what in ("all_reduce", "all_gather")]

    assert seconds(0.9) != seconds(1)
