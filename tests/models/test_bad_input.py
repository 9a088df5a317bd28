"""0, -1, NaN, infinity, 1e30, text, None and a wrong type where a learner calls a model: one sentence."""

import math

import pytest

from hpclab.models import communication, device, latency_bandwidth, memory, roofline, schedule_time
from hpclab.models.occupancy import occupancy
from hpclab.models.plan import Plan
from hpclab.models.presets import PRESETS
from hpclab.models.scaling import USL, Amdahl, Gustafson, fit, fit_times
from hpclab.models.topologies import cluster
from hpclab.models.transformer import Transformer
from hpclab.results import Result

NEVER = [-1, math.nan, math.inf, 1e30, "two", None, ...]  # a number of nothing at all
A100, WORK = device.from_catalogue("a100-80gb"), roofline.Work(1e9, 1e9)
LINE = latency_bandwidth.fit([1, 2, 3, 4e6], [1, 2, 3, 4])
NUMBERS = {
    "a size": LINE.time,
    "a parameter": lambda bad: fit_times(
        Amdahl, [Result("e", "makespan", 1.0, "measured", parameters={"nodes": bad})], "nodes"
    ),
    "crossover": lambda bad: schedule_time.crossover(lambda n: bad, lambda n: n),
    "crossover of": lambda bad: schedule_time.crossover(bad, lambda n: n),
    "a rank": lambda bad: cluster(2).route(0, bad),
    "nodes": cluster,
    "nodes of a leaf": lambda bad: cluster(2, nodes_per_leaf=bad),
    "in flight": lambda bad: roofline.Launch(1, 256, in_flight=bad),
    "blocks": lambda bad: roofline.Launch(bad, 256),
    "moved": lambda bad: roofline.Work(bad, 1e12),
    "threads": lambda bad: occupancy("9.0", bad),
    "a share": lambda bad: [law(bad) for law in (Amdahl, Gustafson)] and USL(bad, 0),
    "processors": lambda bad: [law.speedup(bad) for law in (Amdahl(0.1), Gustafson(0.1), USL(0.1, 0))],
    "oversubscription": lambda bad: cluster(2, 1, oversubscription=bad),
    "bytes": lambda bad: communication.predict("all_reduce", bad, PRESETS["dgx-h100"].place(8)),
    "preset": PRESETS["dgx-h100"],
    "layers": lambda bad: Transformer(bad, 32, 4, 16, 4096),
    "vocabulary": lambda bad: Transformer(2, 32, 4, 16, bad),
}
OBJECTS = {
    "work": lambda bad: roofline.predict(bad, A100),
    "device": lambda bad: roofline.predict(WORK, bad),
    "launch": lambda bad: roofline.predict(WORK, A100, 0 if bad is None else bad),
    "law": lambda bad: fit(bad, [1, 2, 4], [1, 2, 3]),
    "speed": lambda bad: fit(Amdahl, [1, 2, 4], bad),
    "catalogue": device.from_catalogue,
    "place": lambda bad: communication.predict("all_reduce", 8, bad),
}
BAD = [("blocks", 0), ("layers", 0), ("vocabulary", 0), ("moved", 0), ("nodes of a leaf", 0),
       *((name, bad) for name in NUMBERS for bad in NEVER),
       *((name, bad) for name in OBJECTS for bad in (0, -1, math.nan, 1e30, None, [None], ...))]  # fmt: skip


@pytest.mark.parametrize(("name", "bad"), BAD, ids=str)
def test_what_is_none_is_refused_in_a_sentence(name, bad, refused):
    refused(lambda: (NUMBERS | OBJECTS)[name](bad))


def test_a_whole_number_may_be_written_as_a_float():
    two = cluster(2.0)
    assert (two.route(0.0, 1), two.terms(0.0, 1, 100)) == (two.route(0, 1), two.terms(0, 1, 100))
    assert [seconds for _, _, seconds in two.terms(0, 1, 0)] == [0.0] * len(two.terms(0, 1, 1))
    model = Transformer(2, 32, 4, 16, 4096)
    assert memory.peak(model, Plan(8, data=8, zero=1.0)) == memory.peak(model, Plan(8, data=8, zero=1))
