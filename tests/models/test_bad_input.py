"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into every model: one sentence."""

from __future__ import annotations

import math

import pytest

from hpclab.models import (
    collectives,
    communication,
    device,
    gpu_memory,
    latency_bandwidth,
    nccl,
    roofline,
)
from hpclab.models.nccl_links import NVLINKS
from hpclab.models.network import with_slow_link
from hpclab.models.occupancy import occupancy
from hpclab.models.presets import PRESETS
from hpclab.models.scaling import USL, Amdahl, Gustafson, fit, fit_times
from hpclab.models.topologies import cluster, dragonfly, single_node
from hpclab.results import Result
from hpclab.schedules import collective

NEVER = [-1, math.nan, math.inf, 1e30, "two", None, ...]  # a number of nothing at all
COUNTS = (gpu_memory.sectors, gpu_memory.lines, gpu_memory.passes, gpu_memory.bank_conflicts)
A100 = device.from_catalogue("a100-80gb")
NODE, RING, WORK = single_node("nvlink4", 4), collective("all_reduce", "ring", 4, 8), roofline.Work(1e9, 1e9)
LINE = latency_bandwidth.fit([1, 2, 3, 4e6], [1, 2, 3, 4])
NUMBERS = {
    "an address": lambda bad: [count([0, bad, 8], 4) for count in COUNTS],
    "an item": lambda bad: [count([0, 4], bad) for count in COUNTS],
    "a lane": lambda bad: gpu_memory.passes([0, 4], 4, [0, bad]),
    "a time": lambda bad: latency_bandwidth.fit([1, 2, 3, 4], [1, 2, 3, bad]),
    "a size": LINE.time,
    "a parameter": lambda bad: fit_times(
        Amdahl, [Result("e", "makespan", 1.0, "measured", parameters={"nodes": bad})], "nodes"
    ),
    "crossover": lambda bad: collectives.crossover(lambda n: bad, lambda n: n),
    "in flight": lambda bad: roofline.Launch(1, 256, in_flight=bad),
    "threads": lambda bad: occupancy("9.0", bad),
    "a share": lambda bad: [law(bad) for law in (Amdahl, Gustafson)] and USL(bad, 0),
    "processors": lambda bad: [law.speedup(bad) for law in (Amdahl(0.1), Gustafson(0.1), USL(0.1, 0))],
    "gpus": lambda bad: single_node("nvlink4", bad),
    "oversubscription": lambda bad: cluster(2, 1, oversubscription=bad),
    "groups": lambda bad: dragonfly(bad, 2, 2),
    "slower": lambda bad: with_slow_link(NODE, 0, 1, bad),
    "job": lambda bad: nccl.Job(NVLINKS["nvlink4"], bad),
    "bytes": lambda bad: communication.predict("all_reduce", bad, nccl.Job(NVLINKS["nvlink4"], 8)),
    "preset": PRESETS["dgx-h100"],
}
OBJECTS = {
    "addresses": lambda bad: [count(bad, 4) for count in COUNTS],
    "requests": gpu_memory.count,
    "slow": lambda bad: with_slow_link(bad, 0, 1),
    "function": lambda bad: collectives.crossover(bad, lambda n: n),
    "work": lambda bad: roofline.predict(bad, A100),
    "device": lambda bad: roofline.predict(WORK, bad),
    "launch": lambda bad: roofline.predict(WORK, A100, 0 if bad is None else bad),
    "law": lambda bad: fit(bad, [1, 2, 4], [1, 2, 3]),
    "speed": lambda bad: fit(Amdahl, [1, 2, 4], bad),
    "seconds": lambda bad: latency_bandwidth.fit([1, 2, 3, 4], bad),
    "lengths": lambda bad: latency_bandwidth.fit([1, 2, 3, 4], [1.0]),
    "runs": lambda bad: fit(Amdahl, [1, 2, 4], [1, 2, 3], runs=bad),
}
NAMES = {
    "from_catalogue": device.from_catalogue, "typical": device.typical,
    "place": lambda bad: communication.predict("all_reduce", 8, bad),
}  # fmt: skip


@pytest.mark.parametrize("bad", NEVER, ids=repr)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_of_this(name, bad, refused):
    refused(lambda: NUMBERS[name](bad))


@pytest.mark.parametrize("bad", [0, -1, math.nan, 1e30, None, [None], ...], ids=repr)
@pytest.mark.parametrize("name", OBJECTS | NAMES)
def test_what_is_not_the_object(name, bad, refused):
    refused(lambda: (OBJECTS | NAMES)[name](bad))


def test_zero_where_it_would_divide(refused):
    refused(lambda: roofline.Work(0, 1e12))
    refused(lambda: roofline.Launch(0, 32))
