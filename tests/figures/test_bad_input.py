"""-1, NaN, infinity, 1e30, text, None and a wrong type into every figure of a notebook: one sentence."""

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
)
from hpclab.models.collectives import simulate
from hpclab.models.device import from_catalogue
from hpclab.models.topologies import single_node
from hpclab.results import Result
from hpclab.schedules import collective

AX = style.figure()[1]
A100 = from_catalogue("a100-80gb")
RUNS = [Result("e", "makespan", 1 / n, "measured", parameters={"nodes": n}) for n in (1, 2, 4)]
LINE = message_sizes.Line("x", (1.0, 2000.0), (1.0, 2.0))
TIMING = simulate(collective("all_reduce", "ring", 4, 8), single_node("nvlink4", 4))


def _of(nodes: object) -> Result:
    return Result("e", "rank-seconds", 1.0, "measured", component="compute", parameters={"nodes": nodes})


NUMBERS = {
    "seconds of a bar": lambda bad: bars.draw(AX, {1: {"compute": bad}}),
    "a bar's place": lambda bad: bars.draw(AX, {bad: {"compute": 1.0}}),
    "nodes of a bar": lambda bad: bars.rank_seconds([_of(bad)]),
    "a size": lambda bad: message_sizes.Line("x", (1, bad), (1, 2)),
    "a time": lambda bad: message_sizes.Line("x", (1, 2), (1, bad)),
    "number predicted for": lambda bad: speedup.draw(AX, [], prediction=(bad, 2.0)),
}
MAYBE = {  # these may be left out
    "predicted end": lambda bad: job_timeline.draw(AX, [], bad),
    "predicted": lambda bad: one_axis.draw(AX, RUNS, bad),
    "crossing": lambda bad: message_sizes.draw(AX, [LINE], title="t", crossing=bad),
    "cores": lambda bad: speedup.draw(AX, [], cores=bad),
    "most": lambda bad: speedup.draw(AX, [], most=bad),
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
    "sizes": lambda bad: message_sizes.Line("x", bad, (1, 2)),
    "kernels": roofline_points.kernels,
    "device": lambda bad: roofline.draw(AX, bad),
    "under": lambda bad: roofline.draw(AX, A100, bad),
    "precision": lambda bad: roofline.draw(AX, A100, (), bad),
    "along": lambda bad: speedup.draw(AX, RUNS, along=bad),
    "runs": lambda bad: speedup.draw(AX, {"a": bad}),
    "points of speedup": lambda bad: speedup.draw(AX, bad),
    "curves of speedup": lambda bad: speedup.draw(AX, [], bad),
    "a timeline": lambda bad: timeline.draw(AX, bad),
    "rows": lambda bad: validation.draw(AX, bad),
    "rows of a group": lambda bad: validation.draw(AX, {"a": bad}),
    "trace": lambda bad: access_map.draw(bad, "a"),
}


@pytest.mark.parametrize("name", NUMBERS | MAYBE)
def test_what_is_no_such_number(name, refused):
    for bad in (-1, math.nan, math.inf, 1e30, "two", ..., *([None] if name in NUMBERS else [])):
        refused(lambda bad=bad: (NUMBERS | MAYBE)[name](bad))
    if name in MAYBE:
        MAYBE[name](None)


@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_not_the_object(name, refused):
    for bad in (0, math.nan, None, ..., [None]):
        refused(lambda bad=bad: OBJECTS[name](bad))
