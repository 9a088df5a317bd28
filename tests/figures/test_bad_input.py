"""NaN, None and a wrong type into every figure of a notebook: one sentence."""

import math
from itertools import product

from hpclab.figures import (
    access_map,
    bars,
    dot_plot,
    finish_times,
    job_timeline,
    message_sizes,
    pipeline,
    roofline,
    roofline_points,
    speedup,
    style,
    timeline,
    validation,
)
from hpclab.models.device import from_catalogue
from hpclab.results import Result

AX = style.figure()[1]
A100 = from_catalogue("a100-80gb")
RUNS = [Result("e", "makespan", 1 / n, "measured", parameters={"nodes": n}) for n in (1, 2, 4)]
OBJECTS = [
    bars.rank_seconds,
    roofline_points.kernels,
    lambda bad: bars.draw(AX, bad),
    lambda bad: bars.draw(AX, {1: {"compute": bad or -1}}),
    lambda bad: finish_times.draw(AX, bad),
    lambda bad: job_timeline.draw(AX, bad),
    lambda bad: dot_plot.draw(AX, bad),
    lambda bad: message_sizes.draw(AX, bad),
    lambda bad: message_sizes.draw(AX, [], bad),
    lambda bad: pipeline.draw(AX, bad),
    lambda bad: roofline.draw(AX, bad),
    lambda bad: roofline.draw(AX, A100, bad),
    lambda bad: roofline.draw(AX, A100, (), bad),
    lambda bad: speedup.draw(AX, RUNS, along=bad),
    lambda bad: speedup.draw(AX, {"a": bad}),
    lambda bad: speedup.draw(AX, bad),
    lambda bad: timeline.draw(AX, bad),
    lambda bad: validation.draw(AX, bad),
    lambda bad: validation.draw(AX, {"a": bad}),
    lambda bad: access_map.draw(bad, "a"),
]


def test_what_is_no_such_object_is_refused(refused):
    for call, bad in product(OBJECTS, (0, math.nan, None, ..., [None])):
        refused(lambda call=call, bad=bad: call(bad))
