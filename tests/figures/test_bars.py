"""The bars add up, name every part, and can be told apart without colour."""

import pytest

from hpclab.figures import bars, style
from hpclab.results import Result
from hpclab.trace import COMPONENTS, UNEXPLAINED

PARTS = dict(zip((*COMPONENTS, UNEXPLAINED), (1.0, 4.0, 0.5, 10.0, 0.7, 1.2, 0.2), strict=True))


def results(nodes, scale=1.0, run="a", repeat=0):
    return [
        Result(
            "t", "rank-seconds", scale * value, "measured",
            run=run, repeat=repeat, component=name, parameters={"nodes": nodes},
        )
        for name, value in PARTS.items()
    ]  # fmt: skip


def test_heights_are_those_of_the_parts_and_every_part_is_named(ax, words):
    bars.draw(ax, [*results(4, 0.5), *results(4, 1.5, "b", 1)])  # means still sum to the mean of the whole
    heights = {bar.get_label(): bar[0].get_height() for bar in ax.containers}
    assert heights == pytest.approx(PARTS)
    assert max(b.get_y() + b.get_height() for b in ax.patches) == pytest.approx(sum(PARTS.values()))
    said = words(ax)
    assert all(name in said for name in PARTS)
    assert "worker start 4 s" in said


def test_parts_differ_without_colour():
    looks = {name: style.part(name)["hatch"] for name in (*COMPONENTS, UNEXPLAINED)}
    assert {name for name, hatch in looks.items() if not hatch} == {"compute", "idle"}  # one dark, one light
    assert len(set(looks.values())) == len(looks) - 1


def test_title_says_the_answer_and_the_text_says_the_numbers(ax):
    bars.draw(ax, {1: {"compute": 9.0, "idle": 1.0}, 4: PARTS})
    assert ax.get_title("left") == "At 4 nodes: 57% compute, 23% worker start"
    assert "4 nodes: 17.6 s in all: compute 10 s" in style.description(ax.figure)
    sizes = bars.draw(ax, {8: PARTS, 256: PARTS}, unit="KiB a chunk").get_title("left")
    assert sizes.startswith("At 256 KiB a chunk: 57% compute")
    assert bars.shares({"compute": 1.0, "communication": 3.0}) == "25% compute, 75% communication"
    assert "No run yet" in bars.draw(ax, {}).get_title("left")


def test_every_column_says_how_much_and_what_the_last_has_not(ax):
    bars.draw(ax, {1: {"compute": 9.0, "unexplained": 4.0, "idle": 0.1}, 2: {"compute": 8.0, "idle": 4.0}})
    inside = [text.get_text() for text in ax.texts if text.get_position()[0] == 0]
    assert inside == ["9 s", "unexplained\n4 s"]
