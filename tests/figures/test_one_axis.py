"""One axis for numbers of every origin."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from hpclab.figures import one_axis
from hpclab.results import Origin, Result


def result(component: str, value: float, origin: str = "measured") -> Result:
    return Result("e", "makespan", value, Origin(origin), component=component, condition="c", source="s")


ALL = [result(f"a {origin} number", 10.0**-place, origin) for place, origin in enumerate(Origin)]


def test_every_origin_has_a_row_its_value_and_its_word():
    svg = one_axis.draw("All five", ALL, predicted=0.5)
    tree = ElementTree.fromstring(svg)
    texts = [element.text or "" for element in tree.iter("{http://www.w3.org/2000/svg}text")]
    for origin in Origin:
        assert f"a {origin} number" in texts
        assert str(origin) in texts
    assert "you predicted 500 ms" in texts
    description = next(tree.iter("{http://www.w3.org/2000/svg}desc")).text or ""
    assert "predicted: 500 ms; a measured number: 1 s (measured)" in description


def test_every_repeat_is_a_mark():
    svg = one_axis.draw("t", [result("one core", 1 + n / 10) for n in range(5)])
    assert svg.count("<circle") == 5
    assert "1.2 s" in svg, "the median is written beside them"


@pytest.mark.parametrize("predicted", [None, 1e-9, 1e9])
def test_everything_stays_inside_the_picture(predicted: float | None):
    svg = one_axis.draw("t", ALL, predicted)
    width, height = (float(side) for side in re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())
    for x, y in re.findall(r' x="([-\d.]+)" y="([-\d.]+)"', svg):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= height


@pytest.mark.parametrize("value", [0, -1, float("inf"), 1e30])
def test_a_time_that_cannot_stand_on_the_axis_is_refused(value: float):
    with pytest.raises(ValueError, match="one core: makespan must be a number"):
        one_axis.draw("t", [result("one core", value)])


def test_nothing_to_draw_says_what_to_do():
    with pytest.raises(ValueError, match="run the cells above"):
        one_axis.draw("t", [])


def test_a_name_cannot_become_markup():
    ElementTree.fromstring(one_axis.draw("<t> & t", [result("<script>", 1)]))
