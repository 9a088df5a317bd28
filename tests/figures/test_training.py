"""Charts of training: bars that sum to a step or to the memory, who talks to whom, losses, the bubble."""

from dataclasses import astuple

import pytest

from hpclab import schedules
from hpclab.figures import loss_against_time, memory_stack, pipeline, plans, step_bars, style
from hpclab.models.memory import Memory
from hpclab.models.pipeline import simulate
from hpclab.models.plan import Plan
from hpclab.results import Result

SECONDS = {"forward": 3.0, "backward": 5.0, "exposed": 1.0, "input": 0.5, "optimizer": 0.4, "idle": 0.1,
           "hidden": 2.0, "messages": 3.0}  # fmt: skip


def step(ranks, origin, scale=1.0, repeat=0):
    of = {"origin": origin, "repeat": repeat, "parameters": {"ranks": ranks}}
    of["condition"] = "a link" * (origin == "emulated")
    return [Result("t", "seconds", scale * value, component=name, **of) for name, value in SECONDS.items()]


def test_a_bar_is_the_step_and_hidden_communication_is_part_of_computing(ax):
    step_bars.draw(ax, [*step(2, "emulated", 0.5), *step(2, "emulated", 1.5, 1), *step(2, "modelled", 2.0)])
    came, modelled = (sorted(bar.get_y() + bar.get_height() for bar in ax.patches)[n] for n in (5, -1))
    assert came == pytest.approx(10)
    assert modelled == pytest.approx(20)
    bars = step_bars.parts(step(2, "emulated"))[2, False]
    assert (bars["compute"], bars["hidden communication"]) == (6, 2)


def test_title_key_and_text_say_what_came_and_what_is_modelled(ax, words):
    step_bars.draw(ax, [*step(1, "emulated"), *step(4, "emulated"), *step(4, "modelled", 2.0)])
    assert ax.get_title("left") == "4 ranks: 10% of a step is exposed communication, 20% hidden"
    assert {"emulated", "modelled", "optimizer 800 ms"} <= set(words(ax).split("\n"))
    text = style.description(ax.figure)
    assert "1 rank, emulated: 10 s in all: compute 6 s" in text
    assert "4 ranks, modelled: 20 s in all: compute 12 s" in text


def test_nothing_yet_is_said(ax):
    assert "No run yet" in step_bars.draw(ax, []).get_title("left")
    assert "No loss yet" in loss_against_time.draw(ax, []).get_title("left")


def test_a_line_for_each_number_of_ranks_in_the_order_of_time(ax, words):
    losses = [
        Result("t", "loss", value, "measured", parameters={"ranks": ranks, "elapsed": at, "tokens": 100 * at})
        for ranks, at, value in ((1, 2, 4.0), (1, 1, 5.0), (2, 1, 4.5), (2, 3, 3.0))
    ]  # fmt: skip
    loss_against_time.draw(ax, losses)
    assert [list(line.get_xdata()) for line in ax.lines[:2]] == [[1, 2], [1, 3]]
    assert {"1 rank", "2 ranks"} <= set(words(ax).split("\n"))
    assert "3.00 nats" in ax.get_title("left")
    assert ax.xaxis.get_major_formatter()(2.0) == "2 s"
    loss_against_time.draw(ax, losses, along="tokens")
    assert "Tokens seen" in words(ax)
    assert ax.xaxis.get_major_formatter()(2000.0) == "2,000"


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
    assert "gradients 16 GiB" in words(ax)
    assert "gradients 1 GiB" not in words(ax), "the last bar's parts have names"
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
    many = plans.placement(Plan(512, data=64, tensor=8), 8)  # whose ranks stand on more nodes than are drawn
    assert "more nodes with ranks of its groups" in many
    assert 0 < many.count("stroke-dasharray") < 63


def test_nothing_to_draw_is_refused(ax):
    with pytest.raises(ValueError, match="There is no"):
        memory_stack.draw(ax, {})


def test_every_step_is_a_box_and_the_title_says_the_bubble(ax, apart):
    times = simulate(schedules.pipeline("1F1B", 4, 8), 0.01, 0.02)
    pipeline.draw(ax, times, until=0.4)
    assert ax.get_title("left") == "1F1B on 4 stages, 8 micro-batches: 27% idle (modelled)"
    assert sorted(text.get_text() for text in ax.texts) == sorted("01234567" * 4 * 2)
    assert "Rank 0 holds the activations of up to 4 micro-batches" in style.description(ax.figure)
    forward = ax.patches[4].get_path().vertices[::5]  # after the ranks' frames: the first corners
    assert sorted(forward[:, 0]) == sorted(times.start[times.pipeline.steps["kind"] == 0])
    assert ax.get_xlim() == (0, 0.4)
    apart(ax, [*ax.texts, ax.get_legend().texts[0]])


def test_chunks_are_told_apart_and_of_many_ranks_some_are_drawn(ax, words):
    pipeline.draw(ax, simulate(schedules.pipeline("interleaved 1F1B", 64, 64, 2), 1.0, 2.0, 0.1))
    assert {len(patch.get_path().vertices) for patch in ax.patches[-4:]} == {pipeline.MOST * 64 * 5}
    assert len({patch.get_facecolor() for patch in ax.patches[-4:]}) == 4
    assert "paler: a rank's later chunks" in words(ax)
