"""What the figure of lesson 01 says: every repeat, every origin, in words for a screen reader too."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from hpclab.figures import scaling_laws
from hpclab.figures.speedup import Curve
from hpclab.models.scaling import Amdahl
from hpclab.results import Origin, Result


def made(origin, scaling="strong", counts=(1, 2, 4), along="threads"):
    return [
        Result(
            "e", "makespan", 8.0 * (count if scaling == "weak" else 1) / count + 0.1 * repeat, origin,
            repeat=repeat, parameters={along: count, "scaling": scaling},
            condition="stated" if origin is Origin.EMULATED else "",
        )
        for count in counts for repeat in range(3)
    ]  # fmt: skip


def test_speedups_are_over_the_median_of_one():
    points = scaling_laws.speedups(made(Origin.MEASURED), "threads")
    assert len(points) == 9
    assert [round(p.value, 3) for p in points if p.parameters["threads"] == 2] == [
        round(8.1 / (4 + 0.1 * k), 3) for k in range(3)
    ]
    assert {p.quantity for p in points} == {"speedup"}
    weak = scaling_laws.speedups(made(Origin.MEASURED, "weak"), "threads")
    assert max(p.value for p in weak) == pytest.approx(4 * 8.1 / 8)
    assert scaling_laws.speedups(made(Origin.MEASURED, counts=(2, 4)), "threads") == []


def test_every_repeat_is_drawn_and_said():
    groups = {
        "triad": scaling_laws.speedups(made(Origin.MEASURED), "threads"),
        "escape": scaling_laws.speedups(made(Origin.EMULATED), "threads"),
    }
    svg = scaling_laws.draw(
        groups, along="threads", title="Which <work> scales?", most=4, prediction=(4, 3.5)
    )
    ElementTree.fromstring(svg)
    assert len(re.findall(r"<circle", svg)) == 18
    assert "Which &lt;work&gt; scales?" in svg
    assert "triad, median measured speedup by threads: 1: 1.0×, 2: 2.0×, 4: 3.9×." in svg
    assert "you: 3.5× at 4" in svg


def test_one_group_gets_a_key_and_curves_their_value():
    groups = {"triad": scaling_laws.speedups(made(Origin.MEASURED), "threads")}
    svg = scaling_laws.draw(
        groups, [Curve.of_law(Amdahl(0.1), 64)], along="threads", title="t", most=64, cores=2
    )
    assert ">measured</text>" in svg
    assert "What if: 8.8×" in svg
    assert "stroke-dasharray" in svg
    assert "2 cores here" in svg


def test_compare_takes_makespans_and_a_prediction_that_may_be_missing():
    runs = {"triad": made(Origin.MEASURED), "escape": made(Origin.EMULATED)}
    with_one = scaling_laws.compare(runs, "threads", (4, 2.5))
    without = scaling_laws.compare(runs, "threads", (4, None))
    assert "you: 2.5× at 4" in with_one
    assert "you:" not in without
    assert len(re.findall(r"<circle", without)) == 18
    assert "On 4 threads: triad 3.9× as fast as on one (measured)" in without
    assert "Nothing is measured" in scaling_laws.compare({"triad": []}, "threads")
    alone = {"triad": made(Origin.MEASURED, counts=(1,))}
    assert "Threads: only 1 is measured, and a speedup needs more" in scaling_laws.compare(alone, "threads")


def test_a_prediction_off_the_axis_says_so():
    svg = scaling_laws.draw({}, along="threads", title="t", most=4, prediction=(4, 40))
    assert ">(off the axis)<" in svg
    assert "off the axis" not in scaling_laws.draw({}, along="threads", title="t", most=4, prediction=(4, 4))


def test_one_has_a_tick_on_every_axis():
    for most in (4, 16, 64):
        svg = scaling_laws.draw({}, along="threads", title="t", most=most)
        assert re.search(r'text-anchor="middle">1<', svg)


@pytest.mark.parametrize("bad", [0, 1, -1, float("nan"), 1e30, None, "8"])
def test_a_bad_axis_is_refused(bad):
    with pytest.raises(ValueError, match="most must be a whole number"):
        scaling_laws.draw({}, along="threads", title="t", most=bad)


def test_what_is_no_speedup_is_refused():
    with pytest.raises(ValueError, match="only speedups are drawn"):
        scaling_laws.draw({"x": made(Origin.MEASURED)}, along="threads", title="t")
