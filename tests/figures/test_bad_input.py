"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into every figure: one sentence."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from hpclab.figures import (
    access_map,
    bars,
    finish_times,
    job_timeline,
    message_sizes,
    one_axis,
    roofline,
    roofline_points,
    scaling_laws,
    speedup,
    validation,
    warp_memory,
)
from hpclab.figures.collectives import StepPicture
from hpclab.models.collectives import simulate
from hpclab.models.device import from_catalogue
from hpclab.models.scaling import Amdahl
from hpclab.models.topologies import single_node
from hpclab.results import Origin, Result
from hpclab.schedules import collective

NEVER = [-1, math.nan, math.inf, 1e30, "two", None, ...]
A100 = from_catalogue("a100-80gb")
RUNS = [
    Result("e", "makespan", 1 / n, "measured", parameters={"nodes": n, "threads": n, "scaling": "strong"})
    for n in (1, 2, 4)
]
JOB = {
    "id": 1, "name": "a", "state": "COMPLETED", "node_list": "n1", "array_task": None,
    "submitted": 0.0, "started": 1.0, "ended": 2.0,
}  # fmt: skip
LINE = message_sizes.Line("x", (1.0, 2000.0), (1.0, 2.0))
CURVE = speedup.Curve.of_law(Amdahl(0.1), 8)
TIMING = simulate(collective("all_reduce", "ring", 4, 8), single_node("nvlink4", 4))


def _line(**fields: object) -> message_sizes.Line:
    return message_sizes.Line(**{"label": "x", "sizes": (1, 2), "seconds": (1, 2)} | fields)  # type: ignore[arg-type]


def _kernel(**fields: object) -> roofline_points.Kernel:
    good = {"name": "k", "intensity": 1.0, "rates": (1.0,), "bandwidths": (1.0,), "origin": Origin.MEASURED}
    return roofline_points.Kernel(**good | fields)  # type: ignore[arg-type]


def _curve(**fields: object) -> speedup.Curve:
    good = {"name": "usl", "label": "x", "nodes": (1, 8), "speedup": (1, 4)}
    return speedup.Curve(**good | fields)  # type: ignore[arg-type]


NUMBERS = {
    "seconds of a bar": lambda bad: bars.draw({1: {"compute": bad}}),
    "a bar's place": lambda bad: bars.draw({bad: {"compute": 1.0}}),
    "nodes of a bar": lambda bad: bars.rank_seconds(
        [Result("e", "rank-seconds", 1.0, "measured", component="compute", parameters={"nodes": bad})]
    ),
    "a job's end": lambda bad: job_timeline.draw(
        [SimpleNamespace(**JOB | {"ended": "never" if bad in (None, -1) else bad})]
    ),
    "a size": lambda bad: _line(sizes=(1, bad)),
    "a time": lambda bad: _line(seconds=(1, bad)),
    "intensity": lambda bad: _kernel(intensity=bad),
    "a rate": lambda bad: _kernel(rates=(bad,)),
    "a bandwidth": lambda bad: _kernel(bandwidths=(bad,)),
    "speedup": lambda bad: _curve(speedup=(1, bad)),
    "low": lambda bad: _curve(low=(1, bad), high=(1, 4)),
    "fitted_to": lambda bad: _curve(fitted_to=bad),
    "at": CURVE.at,
    "grid": speedup.grid,
    "most": lambda bad: speedup.Curve.of_law(Amdahl(0.1), bad),
    "number predicted for": lambda bad: speedup.draw([], prediction=(bad, 2.0)),
    "predicted": lambda bad: scaling_laws.draw({}, along="threads", title="t", prediction=(4, bad)),
    "step": lambda bad: StepPicture(TIMING).elapsed(bad),
}
MAYBE = {  # these may be left out
    "highest": lambda bad: bars.draw({}, highest=bad),
    "predicted end": lambda bad: job_timeline.draw([], bad),
    "predicted": lambda bad: one_axis.draw("t", RUNS, bad),
    "crossing": lambda bad: message_sizes.draw([LINE], title="t", crossing=bad),
    "cores": lambda bad: speedup.draw([], cores=bad),
    "cursor": lambda bad: speedup.draw([], cursor=bad),
    "prediction": lambda bad: speedup.draw([], prediction=bad),
    "guess": lambda bad: scaling_laws.compare({"a": RUNS}, "threads", bad),
    "cores here": lambda bad: scaling_laws.draw({}, along="threads", title="t", cores=bad),
    "healthy": lambda bad: finish_times.draw(TIMING, bad),
    "moved": lambda bad: roofline.draw(A100, moved=bad),
}
OBJECTS = {
    "rank_seconds": bars.rank_seconds,
    "bars": bars.draw,
    "unit": lambda bad: bars.draw({}, unit=bad),
    "timing": finish_times.draw,
    "jobs": job_timeline.draw,
    "results": lambda bad: one_axis.draw("t", bad),
    "lines": lambda bad: message_sizes.draw(bad, title="t"),
    "points": lambda bad: message_sizes.draw([LINE], bad, title="t"),
    "sizes": lambda bad: _line(sizes=bad),
    "rates": lambda bad: _kernel(rates=bad),
    "origin": lambda bad: _kernel(origin=bad),
    "kernels": roofline_points.kernels,
    "modelled": roofline_points.modelled,
    "device": roofline.draw,
    "under": lambda bad: roofline.draw(A100, bad),
    "precisions": lambda bad: roofline.draw(A100, (), bad),
    "speedups": speedup.speedups,
    "speedups of": lambda bad: scaling_laws.speedups(bad, "threads"),
    "along": lambda bad: scaling_laws.speedups(RUNS, bad),
    "runs": lambda bad: scaling_laws.compare(bad, "threads"),
    "run": lambda bad: scaling_laws.compare({"a": bad}, "threads"),
    "groups": lambda bad: scaling_laws.draw(bad, along="threads", title="t"),
    "group": lambda bad: scaling_laws.draw({"a": bad}, along="threads", title="t"),
    "curves": lambda bad: scaling_laws.draw({}, bad, along="threads", title="t"),
    "curves of speedup": lambda bad: speedup.draw([], bad),
    "points of speedup": speedup.draw,
    "law": lambda bad: speedup.Curve.of_law(bad, 8),
    "fit": lambda bad: speedup.Curve.of_fit(bad, 8),
    "nodes": lambda bad: _curve(nodes=bad),
    "rows": validation.draw,
    "rows of a group": lambda bad: validation.draw({"a": bad}),
    "trace": lambda bad: access_map.draw(bad, "a"),
    "warp": lambda bad: warp_memory.WarpPicture(bad, (0, 0, 0), 0),
    "picture": StepPicture,
}


@pytest.mark.parametrize("bad", NEVER, ids=repr)
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_of_this(name, bad, refused):
    refused(lambda: NUMBERS[name](bad))


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, 1e30, "two", ...], ids=repr)
@pytest.mark.parametrize("name", MAYBE)
def test_what_is_no_such_option(name, bad, refused):
    MAYBE[name](None)
    refused(lambda: MAYBE[name](bad))


@pytest.mark.parametrize("bad", [0, -1, math.nan, 1e30, None, ..., [None]], ids=repr)
@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_not_the_object(name, bad, refused):
    refused(lambda: OBJECTS[name](bad))


def test_a_curve_has_its_values_at_its_nodes(refused):
    refused(lambda: _curve(speedup=(1,)))
    refused(lambda: _curve(low=(1,), high=(1,)))
    refused(lambda: _curve(nodes=(), speedup=()))
    refused(lambda: _curve(name="nobody's"))
