"""Charts of plans: bars that sum to what is drawn, against what there is, and who talks to whom."""

from dataclasses import astuple

import pytest

from hpclab.figures import memory_stack, plans, style
from hpclab.models.memory import Memory
from hpclab.models.plan import Plan

SMALL, LARGE = Memory(2.0**30, 2.0**30, 6.0 * 2**30, 2.0**32, 2.0**29), Memory(*[2.0**34] * 5)


def test_a_bar_is_all_of_the_memory_and_the_title_says_whether_it_fits(ax, words):
    memory_stack.draw(ax, {"one": SMALL, "two": LARGE}, 39.6 * 2**30)
    tops = sorted({round(bar.get_y() + bar.get_height()) for bar in ax.patches})
    assert tops[-1] == LARGE.total == sum(astuple(LARGE))
    assert round(SMALL.total) in tops
    assert ax.get_title("left") == "80 GiB at the peak: too much for 39.6 GiB"
    assert "39.6 GiB usable" in words(ax)
    said = "one: 12.5 GiB in all: parameters 1 GiB, gradients 1 GiB, optimizer 6 GiB"
    assert said in style.description(ax.figure)
    turned = memory_stack.draw(ax, {"two": LARGE, "one": SMALL}, 39.6 * 2**30)
    assert "too much" in turned.get_title("left")  # the fullest decides, not the last
    assert "it fits" in memory_stack.draw(ax, {"one": SMALL}, 39.6 * 2**30).get_title("left")


def test_a_plan_is_a_bar_of_its_parts_and_nothing_is_left_out(ax, words):
    parts = {"matrix products": 4.0, "something new": 1.0, "recompute": 2.0, "bubble": 3.0}
    assert plans.grouped(parts) == {
        "compute": 5.0, "recompute": 2.0, "tensor and context": 0.0, "data": 0.0, "pipeline": 3.0,
        "optimizer": 0.0,
    }  # fmt: skip
    name = plans.name(Plan(64, 2, data=4, tensor=2, pipeline=2, zero=3, recompute="full"))
    plans.steps(ax, {name: parts}, "t")
    assert "DP 4 · TP 2 · PP 2\nmicro-batch 2, ZeRO 3, recomputed" in words(ax)
    assert max(bar.get_x() + bar.get_width() for bar in ax.patches) == pytest.approx(10)


def test_whom_a_rank_talks_to_and_what_leaves_the_node():
    plan = Plan(64, data=2, tensor=8, pipeline=2)
    assert [*map(list, plan.groups(10).values())] == [[*range(8, 16)], [10], [2, 10], [10, 26]]
    drawn = plans.placement(plan, 8)
    assert "Rank 0: tensor inside the node; data, pipeline across nodes" in drawn
    assert "data: 0, 8" in drawn
    assert drawn.count("stroke-dasharray") == 2
    assert "it is alone" in plans.placement(Plan(1), 8)


def test_nothing_to_draw_is_refused(ax):
    with pytest.raises(ValueError, match="There is no"):
        memory_stack.draw(ax, {})
