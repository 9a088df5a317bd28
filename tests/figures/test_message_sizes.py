"""Time against message size, and when each rank of a collective is done."""

from dataclasses import replace

import pytest

from hpclab.figures import finish_times, message_sizes, style
from hpclab.figures.message_sizes import Line
from hpclab.models.schedule_time import simulate
from hpclab.models.topologies import single_node
from hpclab.results import Origin, Result
from hpclab.schedules import collective

LINES = [
    Line("ring", (1e3, 1e6, 1e9), (1e-4, 2e-4, 1e-1), "ring"),
    Line("tree", (1e3, 1e6, 1e9), (1e-5, 1e-3, 1.0), "binomial_tree"),
]


def made(origin, size, seconds, **more):
    return Result("e", "time", seconds, origin, parameters={"bytes": size}, **more)


def test_time_against_size_shows_lines_points_and_the_crossing(ax, marks, words):
    points = [made(Origin.MEASURED, 2.0**k, 1e-5 * k) for k in range(10, 14)]
    points.append(made(Origin.EMULATED, 2**20, 3e-4, condition="a link <slowed>"))
    message_sizes.draw(ax, LINES, points, title="Which at which size?", crossing=3e5)
    assert marks(ax) == 5
    drawn = {line.get_label(): line for line in ax.lines}
    assert tuple(drawn["ring"].get_ydata()) == LINES[0].seconds
    said = {"293 KiB: here the best one changes", "ring", "tree", "measured", "emulated", "modelled", "1 ms"}
    assert said <= {*words(ax).splitlines()}
    assert "(a link &lt;slowed&gt;)" in style.svg(ax.figure)
    text = style.description(ax.figure)
    assert "1 emulated points." in text
    assert "ring, modelled: 100 µs at 1000 B, 100 ms at 954 MiB." in text


def test_points_of_several_algorithms_are_told_apart_by_name(ax, words):
    points = [made(Origin.MEASURED, size, 1e-3) for size in (2**10, 2**20)]
    named = [replace(point, parameters=point.parameters | {"algorithm": "ring"}) for point in points]
    other = [replace(point, parameters=point.parameters | {"algorithm": "binomial_tree"}) for point in points]
    assert "ring, measured" not in words(message_sizes.draw(ax, LINES, named))
    ax.clear()
    said = words(message_sizes.draw(ax, LINES, named + other))
    assert "ring, measured" in said
    assert "binomial tree, measured" in said


def test_as_many_lines_as_the_lesson_draws_have_a_colour_each_and_names_apart(ax, apart):
    lines = [Line(f"machine {n}", (1e3, 1e6), (1e-5, 1e-3 * (n + 1))) for n in range(7)]
    message_sizes.draw(ax, lines, title="t")
    assert len({line.get_color() for line in ax.lines}) == 7
    apart(ax, ax.texts)


def test_what_is_no_time_of_a_size_is_refused(ax):
    for points in (
        [Result("e", "bandwidth", 1.0, Origin.MEASURED, parameters={"size": 8})],
        [made(Origin.MEASURED, 8, 0.0)],
    ):
        with pytest.raises(ValueError, match="size"):
            message_sizes.draw(ax, LINES, points)
    with pytest.raises(ValueError, match="nothing to draw"):
        message_sizes.draw(ax, [])
    with pytest.raises(ValueError, match="at least two sizes"):
        message_sizes.draw(ax, [Line("x", (1.0,), (1.0,))])


def test_many_ranks_are_done_when_the_model_says(ax, words):
    timing = simulate(collective("all_reduce", "ring", 600, 600), single_node("nvlink4", 600), 1000)
    finish_times.draw(ax, timing, timing)
    for line in ax.lines:
        assert max(line.get_ydata()) == pytest.approx(timing.time, rel=0.01)
        assert len(line.get_xdata()) <= 300
    assert {"all links healthy", "with one slow link"} <= set(words(ax).splitlines())
