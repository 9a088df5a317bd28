"""The speedup figure draws every number it is given, by origin, on axes that stay where they are."""

import xml.etree.ElementTree as ET

import pytest

from hpclab import quality
from hpclab.figures import speedup, style
from hpclab.models.scaling import USL, Amdahl, fit_times
from hpclab.models.speedups import Curve
from tests.models.makespans import makespans, of_law


def runs(origin="measured", nodes=(1, 2, 3, 4), along="nodes"):
    return makespans(of_law(Amdahl(0.1), nodes, 3, spread=0.02), origin, along)


def test_every_repeat_is_a_mark_and_the_title_answers(ax, marks, words):
    assert speedup.draw(ax, [*runs(), *runs("emulated")]) is ax
    assert marks(ax) == 24
    assert ax.get_title("left") == "4 nodes are 3.1× as fast as one here (measured)"
    assert {"measured", "emulated", "4 cores here", "ideal"} <= set(words(ax).splitlines())
    assert "Median emulated speedup by nodes: 1: 1.0×, 2: 1.8×" in style.description(ax.figure)
    assert "4 nodes, repeat 3: 3.0" in style.svg(ax.figure)


def test_several_kinds_of_work_are_named_and_a_prediction_may_be_missing(ax, marks, words):
    works = {"triad": runs(along="threads"), "<escape>": runs("emulated", along="threads")}
    speedup.draw(ax, works, along="threads", prediction=(4, None))
    assert ax.get_title("left") == "On 4 threads: triad 3.1× as fast as on one (measured)"
    said = words(ax)
    assert "triad\nmeasured: 3.1×" in said
    assert "<escape>\nemulated: 3.1×" in said
    assert "you" not in said
    ax.clear()
    speedup.draw(ax, works, along="threads", prediction=(4, 2.5))
    assert "you: 2.5× at 4" in words(ax)


def test_a_fit_is_dashed_beyond_its_points_with_a_band(ax, words):
    fit = fit_times(Amdahl, runs(), "nodes")
    curve = Curve.of_fit(fit, 8)
    speedup.draw(ax, [], [curve], most=8)
    looks = {line.get_linestyle(): line for line in ax.lines if line.get_color() == style.COLOUR["amdahl"]}
    assert max(looks["-"].get_xdata()) == min(looks["--"].get_xdata()) == fit.largest
    assert len(ax.collections) == 1
    assert f"Amdahl: {curve.at(8)[0]:.1f}× at 8" in words(ax)


def test_what_moves_is_drawn_over_a_figure_that_stands_still(ax):
    curve = Curve.of_fit(fit_times(Amdahl, runs(), "nodes"), 8)
    speedup.draw(ax, runs(), [curve], most=8, named=False)
    before = style.svg(ax.figure).count("<path")
    first = speedup.over(ax, 8, [curve], Curve.of_law(USL(0.1, 0.01), 8), 4, (4, 40))
    said = [element.text for element in ET.fromstring(first.svg()).iter() if element.tag.endswith("text")]
    assert {"4", "ideal", "Amdahl: 3.1× at 4", "you: 40× at 4", "(off the axis)"} <= set(said)
    assert any(text.startswith("What if: 2.") for text in said)
    other = speedup.over(ax, 8, [curve], Curve.of_law(USL(0.5, 0.2), 8), 4, (4, 40))
    assert first.svg() != other.svg()
    assert style.svg(ax.figure).count("<path") == before
    assert len(first.svg()) < 8_000


@pytest.mark.parametrize("most", [4, 64])
def test_one_has_a_tick_and_no_label_is_cut_or_covers_another(ax, words, apart, most):
    curves = [Curve.of_fit(fit_times(law, runs(), "nodes"), most) for law in (Amdahl, USL)]
    speedup.draw(ax, runs(), [*curves, Curve.of_law(USL(0.1, 0.01), most)], most=most, prediction=(4, 640))
    assert "1" in [tick.get_text() for tick in ax.get_xticklabels()]
    assert "640× at 4\n(off the axis)" in words(ax)
    apart(ax, ax.texts)


@pytest.mark.parametrize(("nodes", "said"), [((2,), "No speedup measured yet"), ((1,), "only 1 is measured")])
def test_what_is_missing_is_said(ax, nodes, said):
    assert said in speedup.draw(ax, runs(nodes=nodes)).get_title("left")


def test_a_worthless_measurement_is_drawn_paler(ax, monkeypatch):
    monkeypatch.setattr(quality, "doubt", lambda results: "busy: tasks got 40 % of a core; run again")
    speedup.draw(ax, [*runs(), *runs("emulated")])
    alphas = {line.get_markerfacecolor(): line.get_alpha() for line in ax.lines if line.get_marker() == "o"}
    assert alphas[style.INK] < 0.5
    assert alphas[style.GROUND] == 1
