"""What every figure owes a reader: no bad input, doubt in place of a claim, each origin in its own mark."""

import math
from itertools import product

import pytest

from hpclab import quality
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
    step_bars,
    style,
    timeline,
    validation,
    wall,
)
from hpclab.models.device import from_catalogue
from hpclab.models.scaling import Amdahl, fit_times
from hpclab.models.speedups import Curve
from hpclab.results import Origin, Result
from hpclab.trace import Event, Trace
from tests.models.makespans import makespans, of_law

DOUBT = "busy: tasks got 40 % of a core; run again"


def results(quantity, origin="measured", component="", **parameters):
    condition = "one core each" * (origin == "emulated")
    more = {"component": component, "condition": condition, "environment": {"doubt": False}}
    return [
        Result("e", quantity, 1e-3 * n, origin, parameters=parameters | dict.fromkeys(("nodes", "ranks"), n)
               | {"bytes": 1e6 * n}, **more)
        for n in (1, 2, 4)
    ]  # fmt: skip


DOUBTED = {
    "bars": lambda ax: bars.draw(ax, results("rank-seconds", component="compute")),
    "bars of rank-seconds": lambda ax: bars.draw(ax, {2: {"compute": 1.0}}, doubt=DOUBT),
    "dots": lambda ax: dot_plot.draw(ax, results("time", component="a"), title="t"),
    "sizes": lambda ax: message_sizes.draw(ax, [], results("time"), title="t"),
    "steps": lambda ax: step_bars.draw(ax, results("seconds", component="forward")),
    "timeline": lambda ax: timeline.draw(ax, Trace((Event(0, "compute", 0, 1),), 1, 0, 1), doubt=DOUBT),
    "roofline": lambda ax: roofline.draw(
        ax, from_catalogue("a100-80gb"), roofline_points.kernels(results("time", step="s", flops=1e9))
    ),
    "speedup": lambda ax: speedup.draw(ax, makespans(of_law(Amdahl(0.1), (1, 2), 3), "measured", "nodes")),
}


@pytest.mark.parametrize("draw", DOUBTED.values(), ids=DOUBTED)
def test_a_doubt_stands_in_place_of_the_claim(ax, monkeypatch, draw):
    monkeypatch.setattr(quality, "doubt", lambda results, ranks=1: DOUBT if results else "")
    assert draw(ax).get_title("left") == "Busy: tasks got 40 % of a core; run again"


MARKED = {
    "dots": lambda ax: dot_plot.draw(ax, results("time", "emulated", "a"), title="t"),
    "sizes": lambda ax: message_sizes.draw(ax, [], results("time", "emulated"), title="t"),
    "wall": lambda ax: wall.draw(ax, [results("speedup", "emulated")] * 2),
    "speedup": lambda ax: speedup.draw(ax, makespans(of_law(Amdahl(0.1), (1, 2), 3), "emulated", "nodes")),
}


@pytest.mark.parametrize("draw", MARKED.values(), ids=MARKED)
def test_emulated_points_are_open_circles(ax, draw):
    marked = [line for line in draw(ax).lines if line.get_marker() == "o"]
    assert marked
    assert {line.get_markerfacecolor() for line in marked} == {style.GROUND}


def test_what_is_not_measured_is_said_in_the_title_of_bars(ax):
    title = bars.draw(ax, results("rank-seconds", "emulated", "compute")).get_title("left")
    assert title.endswith(f"({Origin.EMULATED})")


def test_the_interval_at_the_cursor_runs_from_its_low_to_its_high_end(ax, words):
    runs = makespans(of_law(Amdahl(0.1), (1, 2, 3, 4), 3, spread=0.2), "measured", "nodes")
    curve = Curve.of_fit(fit_times(Amdahl, runs, "nodes"), 8)
    value, low, high = curve.at(8)
    assert low < value < high
    speedup.draw(ax, [], [curve], most=8)
    assert f"{low:.1f}–{speedup.times(high)}, modelled" in words(ax)


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
