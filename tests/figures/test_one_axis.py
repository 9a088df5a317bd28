"""One axis for numbers of every origin."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from hpclab.figures import one_axis, style
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


def spans(svg):
    """Left and right end, height and words of every text of the figure."""
    for x, y, more, words in re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)"([^>]*)>([^<]*)</text>', svg):
        width = style.text_width(words, style.TITLE if "font-size" in more else style.TEXT, "bold" in more)
        left = float(x) - (width / 2 if "middle" in more else 0)
        yield left, left + width, float(y), words


@pytest.mark.parametrize("predicted", [None, 1e-4, 0.5, 1e5])
def test_no_text_is_cut_or_stands_on_another(predicted):
    texts = list(spans(one_axis.draw("t", ALL, predicted)))
    assert all(left >= -1 and right <= style.WIDTH + 1 for left, right, _, _ in texts), texts
    for number, (left, right, y, _) in enumerate(texts):
        for other in texts[number + 1 :]:
            assert other[2] != y or other[0] >= right or other[1] <= left, (texts[number], other)


def test_the_axis_says_how_far_apart_its_ticks_are():
    assert "each step ten times the last" in one_axis.draw("t", ALL)
    wide = one_axis.draw("t", ALL, 1e5)
    ticks = [words for _, _, _, words in spans(wide) if re.fullmatch(r"[\d,.]+ (µs|ms|s)", words)]
    assert "each step ten times" not in wide, ticks


def test_no_line_goes_through_a_number():
    svg = one_axis.draw("t", [result("one core", 0.37)], 0.5)
    line, number = svg.index("stroke-dasharray"), svg.index("370 ms</text>")
    assert "<rect" in svg[line:number], "a white ground between the line of the prediction and the number"


@pytest.mark.parametrize("value", [0, -1, float("inf"), 1e30])
def test_a_time_that_cannot_stand_on_the_axis_is_refused(value: float):
    with pytest.raises(ValueError, match="must be a number"):
        one_axis.draw("t", [result("one core", value)])


def test_nothing_to_draw_says_what_to_do():
    with pytest.raises(ValueError, match="run the cells above"):
        one_axis.draw("t", [])


def test_a_name_cannot_become_markup():
    ElementTree.fromstring(one_axis.draw("<t> & t", [result("<script>", 1)]))
