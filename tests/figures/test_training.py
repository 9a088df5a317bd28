"""Charts of training: bars that sum to the step with hidden communication inside, and losses as they came."""

import pytest

from hpclab.figures import loss_against_time, step_bars, style
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
    loss_against_time.draw(ax, losses, along="tokens")
    assert "Tokens seen" in words(ax)
