"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into every figure: one sentence."""

from __future__ import annotations

import math

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
    speedup,
    style,
    timeline,
    validation,
    warp_memory,
)
from hpclab.figures.collectives import StepPicture
from hpclab.models.collectives import simulate
from hpclab.models.device import from_catalogue
from hpclab.models.scaling import Amdahl
from hpclab.models.speedups import Curve, grid, speedups
from hpclab.models.topologies import single_node
from hpclab.results import Origin, Result
from hpclab.schedules import collective

NEVER = [-1, math.nan, math.inf, 1e30, "two", None, ...]
AX = style.figure()[1]
A100 = from_catalogue("a100-80gb")
RUNS = [
    Result("e", "makespan", 1 / n, "measured", parameters={"nodes": n, "threads": n, "scaling": "strong"})
    for n in (1, 2, 4)
]
LINE = message_sizes.Line("x", (1.0, 2000.0), (1.0, 2.0))
CURVE = Curve.of_law(Amdahl(0.1), 8)
TIMING = simulate(collective("all_reduce", "ring", 4, 8), single_node("nvlink4", 4))


def _line(**fields: object) -> message_sizes.Line:
    return message_sizes.Line(**{"label": "x", "sizes": (1, 2), "seconds": (1, 2)} | fields)  # type: ignore[arg-type]


def _kernel(**fields: object) -> roofline_points.Kernel:
    good = {"name": "k", "intensity": 1.0, "rates": (1.0,), "bandwidths": (1.0,), "origin": Origin.MEASURED}
    return roofline_points.Kernel(**good | fields)  # type: ignore[arg-type]


NUMBERS = {
    "seconds of a bar": lambda bad: bars.draw(AX, {1: {"compute": bad}}),
    "a bar's place": lambda bad: bars.draw(AX, {bad: {"compute": 1.0}}),
    "nodes of a bar": lambda bad: bars.rank_seconds(
        [Result("e", "rank-seconds", 1.0, "measured", component="compute", parameters={"nodes": bad})]
    ),
    "a size": lambda bad: _line(sizes=(1, bad)),
    "a time": lambda bad: _line(seconds=(1, bad)),
    "intensity": lambda bad: _kernel(intensity=bad),
    "a rate": lambda bad: _kernel(rates=(bad,)),
    "a bandwidth": lambda bad: _kernel(bandwidths=(bad,)),
    "at": CURVE.at,
    "grid": grid,
    "most": lambda bad: Curve.of_law(Amdahl(0.1), bad),
    "number predicted for": lambda bad: speedup.draw(AX, [], prediction=(bad, 2.0)),
    "step": lambda bad: StepPicture(TIMING).elapsed(bad),
}
MAYBE = {  # these may be left out
    "highest": lambda bad: bars.draw(AX, {}, highest=bad),
    "predicted end": lambda bad: job_timeline.draw(AX, [], bad),
    "predicted": lambda bad: one_axis.draw(AX, RUNS, bad),
    "crossing": lambda bad: message_sizes.draw(AX, [LINE], title="t", crossing=bad),
    "cores": lambda bad: speedup.draw(AX, [], cores=bad),
    "prediction": lambda bad: speedup.draw(AX, [], prediction=bad),
    "healthy": lambda bad: finish_times.draw(AX, TIMING, bad),
}
OBJECTS = {
    "rank_seconds": bars.rank_seconds,
    "bars": lambda bad: bars.draw(AX, bad),
    "timing": lambda bad: finish_times.draw(AX, bad),
    "jobs": lambda bad: job_timeline.draw(AX, bad),
    "results": lambda bad: one_axis.draw(AX, bad),
    "lines": lambda bad: message_sizes.draw(AX, bad),
    "points": lambda bad: message_sizes.draw(AX, [LINE], bad),
    "sizes": lambda bad: _line(sizes=bad),
    "rates": lambda bad: _kernel(rates=bad),
    "origin": lambda bad: _kernel(origin=bad),
    "kernels": roofline_points.kernels,
    "modelled": roofline_points.modelled,
    "device": lambda bad: roofline.draw(AX, bad),
    "under": lambda bad: roofline.draw(AX, A100, bad),
    "precisions": lambda bad: roofline.draw(AX, A100, (), bad),
    "speedups": speedups,
    "along": lambda bad: speedups(RUNS, bad),
    "runs": lambda bad: speedup.draw(AX, {"a": bad}),
    "a timeline": lambda bad: timeline.draw(AX, bad),
    "curves of speedup": lambda bad: speedup.draw(AX, [], bad),
    "points of speedup": lambda bad: speedup.draw(AX, bad),
    "law": lambda bad: Curve.of_law(bad, 8),
    "fit": lambda bad: Curve.of_fit(bad, 8),
    "rows": lambda bad: validation.draw(AX, bad),
    "rows of a group": lambda bad: validation.draw(AX, {"a": bad}),
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
