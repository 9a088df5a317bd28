"""What NCCL would do and how long it takes: limits that hold whatever the fitted constants are."""

import math
from dataclasses import replace

import pytest

from hpclab.models import nccl
from hpclab.models.nccl import Job, bus_factor, predict
from hpclab.models.nccl_links import NETWORKS, NVLINKS, PCIE, mesh_rings

H100 = NVLINKS["nvlink4"]
RAILS = {"network": NETWORKS["rdma"], "network_bandwidth": 8 * 50e9}
BAD = (0, -1, math.nan, math.inf, 1e30, "8", None)


def test_rings_of_a_mesh_follow_its_wires():
    assert [mesh_rings(gpus) for gpus in (2, 3, 4, 5, 6, 8)] == [1, 2, 4, 0, 2, 6]
    v100 = NVLINKS["nvlink2"]
    assert v100.ring(5, 8) == PCIE  # no ring of NVLinks closes
    assert v100.ring(4, 4) == 1.5 * v100.ring(4, 8)  # all six links lead to three others


@pytest.mark.parametrize("collective", nccl.COLLECTIVES)
@pytest.mark.parametrize("nodes", [1, 2, 10])
def test_large_messages_come_near_a_line_rate_and_never_above(collective, nodes):
    job = Job(H100, 8 * nodes, nodes, **(RAILS if nodes > 1 else {}))
    size = 2.0**36
    time = predict(collective, size, job).seconds
    busbw = bus_factor(collective, job.gpus) * size / time
    out = {"all_to_all": (job.gpus - 8) / job.gpus, "send_recv": 1.0}  # a GPU's share that leaves its node
    if nodes > 1 and collective in out:
        assert 0.8 < out[collective] * size / time / 50e9 < 1
    elif collective == "all_reduce":
        assert 300e9 < busbw < 2 * 450e9  # the switch adds: less than half of the bytes on a GPU's links
    else:
        assert 300e9 < busbw < 450e9


def test_the_way_changes_with_the_size():
    job = Job(H100, 8)
    assert predict("all_reduce", 1024, job).how == "ring, LL"
    assert predict("all_reduce", 2**30, job).how == "NVLS"
    assert predict("all_reduce", 2**30, replace(job, nvls=False)).how == "ring, Simple"
    assert predict("all_gather", 2**30, job).how == "ring, Simple"
    a100 = Job(NVLINKS["nvlink3"], 8)
    assert [predict("all_reduce", size, a100).how for size in (2**19, 2**22, 2**30)] == [
        "ring, LL", "ring, LL128", "ring, Simple",
    ]  # fmt: skip


def test_nvls_pays_from_five_hopper_and_six_blackwell_gpus():
    """As the source of nccl_peak_efficiency.csv saw it; not fitted."""
    for name, first in (("nvlink4", 5), ("nvlink5", 6)):
        ways = {n: predict("all_reduce", 2**33, Job(NVLINKS[name], n)).how for n in range(3, 9)}
        assert [n for n, way in ways.items() if way == "NVLS"] == list(range(first, 9))


def test_two_stages_in_line_hinder_each_other_most_where_they_are_equal():
    assert nccl.in_turn(6.0, 6.0) == nccl.in_turn(6.0, 6.0 + 1e-9) == pytest.approx(5.0)
    rates = [nccl.in_turn(6.0, other) for other in (6.0, 9.0, 12.0, 60.0, 1e9)]
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(6.0)
    assert nccl.in_turn(3.0, 6.0) == nccl.in_turn(6.0, 3.0)


def test_a_message_of_nothing_still_costs_its_steps_and_the_callers_time():
    job = Job(H100, 8)
    nothing = predict("all_reduce", 0, job).seconds
    assert nothing == pytest.approx(H100.launch + 14 * 0.6e-6)
    assert predict("all_reduce", 0, replace(job, host=1e-3)).seconds == pytest.approx(nothing + 1e-3)
    assert predict("all_reduce", 0, Job(H100, 16, 2, **RAILS)).seconds > nothing


def test_bus_factors_are_those_of_nccl_tests():
    assert bus_factor("all_reduce", 8) == 1.75
    assert bus_factor("all_gather", 8) == bus_factor("all_to_all", 8) == 0.875
    assert bus_factor("broadcast", 8) == 1


def test_a_slower_network_is_never_faster():
    for collective in nccl.COLLECTIVES:
        times = [
            predict(collective, 2**28, Job(H100, 16, 2, NETWORKS["rdma"], rate)).seconds
            for rate in (400e9, 200e9, 50e9)
        ]
        assert times == sorted(times)


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_is_refused_in_one_sentence(bad):
    with pytest.raises(ValueError, match="must be"):
        Job(H100, bad)
    with pytest.raises(ValueError, match="must be"):
        Job(H100, 16, 2, NETWORKS["rdma"], bad if bad != 1e30 else -1)
    if bad != 0:
        with pytest.raises(ValueError, match="must be"):
            predict("all_reduce", bad, Job(H100, 8))


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="spread evenly over 3 nodes"):
        Job(H100, 8, 3)
    with pytest.raises(ValueError, match="need a network"):
        Job(H100, 16, 2)
    with pytest.raises(ValueError, match="collective must be one of"):
        predict("gather", 8, Job(H100, 8))
