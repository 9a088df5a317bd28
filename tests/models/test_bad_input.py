"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into every model: one sentence."""

from __future__ import annotations

import math

import pytest

from hpclab.models import collectives, communication, device, gpu_memory, latency_bandwidth, roofline
from hpclab.models.network import with_slow_link
from hpclab.models.scaling import Amdahl, fit, fit_times
from hpclab.models.topologies import single_node
from hpclab.results import Result
from hpclab.schedules import collective

NEVER = [-1, math.nan, math.inf, 1e30, "two", None, ...]  # a number of nothing at all
COUNTS = (gpu_memory.sectors, gpu_memory.lines, gpu_memory.passes, gpu_memory.bank_conflicts)
A100 = device.from_catalogue("a100-80gb")
NODE, RING, WORK = single_node("nvlink4", 4), collective("all_reduce", "ring", 4, 8), roofline.Work(1e9, 1e9)
LINE = latency_bandwidth.fit([1, 2, 3, 4e6], [1, 2, 3, 4])
NUMBERS = {
    "an address": lambda bad: [count([0, bad, 8], 4) for count in COUNTS],
    "an address in a tuple": lambda bad: [count((0, bad, 8), 4) for count in COUNTS],
    "an item": lambda bad: [count([0, 4], bad) for count in COUNTS],
    "a lane": lambda bad: gpu_memory.passes([0, 4], 4, [0, bad]),
    "another lane": lambda bad: gpu_memory.bank_conflicts([0, 4], 4, [0, bad]),
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
    "schedule": lambda bad: collectives.simulate(bad, NODE),
    "topology": lambda bad: collectives.simulate(RING, bad),
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


def test_requests_are_selected_by_what_they_have(refused):
    block = (0, 0, 0)
    trace = gpu_memory.KernelTrace("k", "", (1, 1, 1), (32, 1, 1), (block,), (), (), (), ())
    assert trace.counts(space="global", kind="load").requests == 0
    refused(lambda: trace.counts(spce="global"))
