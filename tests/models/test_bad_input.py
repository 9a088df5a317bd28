"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into every model: one sentence."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from hpclab.models import collectives, device, formulas, gpu_memory, latency_bandwidth, mpi, nccl, roofline
from hpclab.models.nccl_links import NETWORKS, NVLINKS, mesh_rings
from hpclab.models.network import Topology, with_slow_link
from hpclab.models.scaling import Amdahl, fit, fit_times
from hpclab.models.topologies import single_node
from hpclab.results import Result
from hpclab.schedules import collective

NEVER = [-1, math.nan, math.inf, 1e30, "two", None, ...]  # a number of nothing at all
COUNTS = (gpu_memory.sectors, gpu_memory.lines, gpu_memory.passes, gpu_memory.bank_conflicts)
H100, RDMA, A100 = NVLINKS["nvlink4"], NETWORKS["rdma"], device.from_catalogue("a100-80gb")
NODE, RING, WORK = single_node("nvlink4", 4), collective("all_reduce", "ring", 4, 8), roofline.Work(1e9, 1e9)
LINE = latency_bandwidth.fit([1, 2, 3, 4e6], [1, 2, 3, 4])
FABRIC = mpi.Fabric("x", 1e-6, 1e10)
NUMBERS = {
    "an address": lambda bad: [count([0, bad, 8], 4) for count in COUNTS],
    "an address in a tuple": lambda bad: [count((0, bad, 8), 4) for count in COUNTS],
    "an item": lambda bad: [count([0, 4], bad) for count in COUNTS],
    "a lane": lambda bad: gpu_memory.passes([0, 4], 4, [0, bad]),
    "another lane": lambda bad: gpu_memory.bank_conflicts([0, 4], 4, [0, bad]),
    "inside": lambda bad: formulas.time(
        "all_reduce", "hierarchical", 4, 8, 0, 0, ranks_per_node=2, inside=(bad, 0)
    ),
    "a stage": lambda bad: nccl.in_turn(1e9, bad),
    "slots": lambda bad: nccl.in_turn(1e9, 1e9, bad),
    "mesh": mesh_rings,
    "node_gpus": lambda bad: nccl.Job(H100, 8, node_gpus=bad),
    "links": lambda bad: replace(H100, links=bad),
    "launch": lambda bad: replace(H100, launch=bad),
    "share": lambda bad: replace(RDMA, share=bad),
    "gap": lambda bad: mpi.Host(gap=bad),
    "stream": FABRIC.stream,
    "both ways": FABRIC.both_ways,
    "intensity": A100.roof().attainable,
    "sold bandwidth": lambda bad: device.Device("x", "measured", sold_bandwidth=bad),
    "reached": lambda bad: device.Device("x", "measured", reached={"fp32": bad}),
    "a time": lambda bad: latency_bandwidth.fit([1, 2, 3, 4], [1, 2, 3, bad]),
    "a size": LINE.time,
    "seed": lambda bad: latency_bandwidth.fit([1, 2, 3, 4], [1, 2, 3, 4], seed=bad),
    "another seed": lambda bad: fit(Amdahl, [1, 2, 4, 8], [1, 2, 3, 4], seed=bad),
    "a parameter": lambda bad: fit_times(
        Amdahl, [Result("e", "makespan", 1.0, "measured", parameters={"nodes": bad})], "nodes"
    ),
    "crossover": lambda bad: collectives.crossover(lambda n: bad, lambda n: n),
}
OBJECTS = {
    "addresses": lambda bad: [count(bad, 4) for count in COUNTS],
    "requests": gpu_memory.count,
    "pair": lambda bad: formulas.time("all_reduce", "ring", 4, 8, 0, 0, inside=(1,) if bad is None else bad),
    "job": lambda bad: nccl.predict("all_reduce", 8, bad),
    "nvlink": lambda bad: nccl.Job(bad, 8),
    "network": lambda bad: nccl.Job(H100, 16, 2, bad, 1e11),
    "nvls": lambda bad: nccl.Job(H100, 8, nvls=bad),
    "limits": lambda bad: replace(H100, ll_limits=bad),
    "table": lambda bad: replace(H100, nccl=bad),
    "host": lambda bad: mpi.Fabric("x", 1e-6, 1e10, bad),
    "rates": lambda bad: device.Device("x", "measured", sold=bad),
    "schedule": lambda bad: collectives.simulate(bad, NODE),
    "topology": lambda bad: collectives.simulate(RING, bad),
    "protocols": lambda bad: collectives.simulate(RING, NODE, protocols=bad),
    "links": lambda bad: Topology("x", 4, bad, NODE.levels),
    "levels": lambda bad: Topology("x", 4, NODE.links, bad),
    "slow": lambda bad: with_slow_link(bad, 0, 1),
    "function": lambda bad: collectives.crossover(bad, lambda n: n),
    "work": lambda bad: roofline.predict(bad, A100),
    "device": lambda bad: roofline.predict(WORK, bad),
    "launch": lambda bad: roofline.predict(WORK, A100, 0 if bad is None else bad),
    "law": lambda bad: fit(bad, [1, 2, 4], [1, 2, 3]),
    "speed": lambda bad: fit(Amdahl, [1, 2, 4], bad),
    "seconds": lambda bad: latency_bandwidth.fit([1, 2, 3, 4], bad),
    "runs": lambda bad: fit(Amdahl, [1, 2, 4], [1, 2, 3], runs=bad),
}
NAMES = {"from_catalogue": device.from_catalogue, "typical": device.typical, "framing": mpi.framing}


@pytest.mark.parametrize("bad", NEVER, ids=repr)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_of_this(name, bad, refused):
    refused(lambda: NUMBERS[name](bad))


@pytest.mark.parametrize("bad", [0, -1, math.nan, 1e30, None, [None], ...], ids=repr)
@pytest.mark.parametrize("name", OBJECTS | NAMES)
def test_what_is_not_the_object(name, bad, refused):
    refused(lambda: (OBJECTS | NAMES)[name](bad))


def test_zero_where_it_would_divide(refused):
    refused(lambda: nccl.in_turn(0, 0))
    refused(lambda: mesh_rings(0))
    refused(lambda: device.Roof(0, 1e12, "fp32", "peak"))
    refused(lambda: replace(H100, nvls_bandwidth=0))
    refused(lambda: replace(A100, multiprocessors=0))


def test_requests_are_selected_by_what_they_have(refused):
    block = (0, 0, 0)
    trace = gpu_memory.KernelTrace("k", "", (1, 1, 1), (32, 1, 1), (block,), (), (), (), ())
    assert trace.counts(space="global", kind="load").requests == 0
    refused(lambda: trace.counts(spce="global"))
