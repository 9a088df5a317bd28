"""The speedup figure draws every number it is given, by origin, on axes that stay where they are."""

import re
import xml.etree.ElementTree as ET

import pytest

from hpclab.figures import speedup, style
from hpclab.models.scaling import USL, Amdahl, fit_times
from hpclab.results import Result

SVG = "{http://www.w3.org/2000/svg}"


def makespans(origin="measured", factor=1.0, nodes=(1, 2, 3, 4), repeats=3):
    condition = "a core for each node" if origin == "emulated" else ""
    return [
        Result(
            "t", "makespan", factor * (1 + 9 / n) * (1 + 0.02 * r), origin,
            repeat=r, parameters={"nodes": n}, condition=condition,
        )
        for n in nodes
        for r in range(repeats)
    ]  # fmt: skip


def test_speedups_compare_only_numbers_of_the_same_origin():
    ratios = speedup.speedups([*makespans(), *makespans("emulated", factor=0.5)])
    measured = [r.value for r in ratios if r.origin == "measured" and r.parameters["nodes"] == 4]
    emulated = [r.value for r in ratios if r.origin == "emulated" and r.parameters["nodes"] == 4]
    assert measured == pytest.approx(emulated)
    assert measured[1] == pytest.approx(10 / 3.25)


def test_without_a_run_at_one_node_there_is_no_speedup():
    assert speedup.speedups(makespans(nodes=(2, 4))) == []


def test_every_repeat_is_a_mark():
    points = speedup.speedups([*makespans(), *makespans("emulated")])
    root = ET.fromstring(speedup.draw(points, cores=2))
    filled = [c for c in root.iter(f"{SVG}circle") if c.get("fill-opacity")]
    hollow = [c for c in root.iter(f"{SVG}circle") if c.get("fill") == "#ffffff"]
    assert (len(filled), len(hollow)) == (12 + 1, 12 + 1)  # one each in the key


def test_a_fit_is_dashed_beyond_its_points_and_read_out_at_the_cursor():
    fit = fit_times(Amdahl, makespans(), "nodes")
    curve = speedup.Curve.of_fit(fit, 8)
    assert curve.at(4)[0] == pytest.approx(float(fit.law.speedup(4)), rel=0.01)
    svg = speedup.draw([], [curve], most=8, cursor=4)
    dashed = re.findall(r'd="M([\d.]+),[^"]*"[^>]*stroke-dasharray="9 6"', svg)
    solid_end = speedup.draw([], [curve], most=8)
    assert len(dashed) == 1
    assert "Amdahl: 3.1× at 4" in svg
    assert "Amdahl: 3.1×" not in solid_end


def test_axes_stay_while_the_cursor_and_the_model_move():
    def frame(svg):
        return re.findall(r'<text x="([\d.]+)" y="([\d.]+)"[^>]*>(\d+)</text>', svg)

    first = speedup.draw([], [speedup.Curve.of_law(USL(0.1, 0.01), 8)], most=8)
    second = speedup.draw([], [speedup.Curve.of_law(USL(0.5, 0.2), 8)], most=8)
    assert frame(first) == frame(second)
    assert first != second


def test_a_figure_is_small_enough_to_redraw_at_a_key_press():
    curves = [speedup.Curve.of_fit(fit_times(law, makespans(), "nodes"), 64) for law in (Amdahl, USL)]
    svg = speedup.draw(speedup.speedups(makespans()), curves, most=64, cores=2, cursor=3)
    assert len(svg) < 20_000


def test_a_prediction_off_the_axis_says_so():
    svg = speedup.draw([], most=8, prediction=(4, 40))
    assert "you: 40× at 4<" in svg
    assert ">(off the axis)<" in svg


def test_no_label_is_cut_at_the_right():
    curves = [speedup.Curve.of_fit(fit_times(law, makespans(), "nodes"), 64) for law in (Amdahl, USL)]
    curves.append(speedup.Curve.of_law(USL(0.1, 0.01), 64))
    svg = speedup.draw([], curves, most=64, cursor=64, prediction=(4, 640))
    for text in ET.fromstring(svg).iter(f"{SVG}text"):
        if text.get("text-anchor") is None:
            assert float(text.get("x")) + style.text_width(text.text) <= style.WIDTH, text.text


def test_the_first_node_has_a_tick_on_every_axis():
    for most in (4, 8, 16, 64):
        assert re.search(r'text-anchor="middle">1<', speedup.draw([], most=most))


def test_a_run_on_two_nodes_alone_is_no_speedup():
    assert "No speedup measured yet" in speedup.draw(speedup.speedups(makespans(nodes=(2,))))


@pytest.mark.parametrize("most", [0, 1, -3, float("nan"), 1e30, "many", None])
def test_axes_that_cannot_be_drawn_are_refused_in_one_sentence(most):
    with pytest.raises(ValueError, match="most must be a whole number"):
        speedup.draw([], most=most)
