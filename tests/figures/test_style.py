"""The look: readable without colour, big enough for a projector, spoken by a screen reader."""

import itertools
import xml.etree.ElementTree as ET

import pytest
from hpclab.figures.axes import Axes, Scale

from hpclab.figures import style
from hpclab.results import Origin

SVG = "{http://www.w3.org/2000/svg}"


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", style.COLOUR)
def test_text_in_every_colour_can_be_read_on_white(name):
    assert 1.05 / (luminance(style.ink(style.COLOUR[name])) + 0.05) >= 4.5


def test_every_origin_has_a_mark_of_its_own_without_colour():
    def shape(origin):
        element = ET.fromstring(style.mark(origin, 0, 0, "#123456"))
        filled = element.get("fill") not in (None, "none", style.GROUND)
        return element.tag, element.get("d"), filled

    shapes = {shape(origin) for origin in Origin}
    assert len(shapes) == len(Origin)


def test_a_figure_is_announced_and_can_be_parsed():
    axes = Axes(Scale("Nodes", 1, 4), Scale("Speedup ×", 0, 4), title='4 nodes: "2" < 3 & more')
    axes.line([(1, 1), (4, 4)], style.COLOUR["ideal"])
    axes.label(4, 4, "<script>alert(1)</script>")
    root = ET.fromstring(axes.svg("What <it> shows"))
    assert root.get("role") == "img"
    ids = root.get("aria-labelledby").split()
    texts = {element.get("id"): element.text for element in root if element.get("id")}
    assert [texts[name] for name in ids] == ['4 nodes: "2" < 3 & more', "What <it> shows"]
    assert not root.findall(f".//{SVG}script")
    assert all(float(e.get("font-size", style.TEXT)) >= 14 * 96 / 72 for e in root.iter(f"{SVG}text"))


def test_labels_in_the_margin_never_overlap():
    places = style.spread([10, 11, 12, 300, 300], 24, 0, 400)
    ordered = sorted(places)
    assert all(b - a >= 23.5 for a, b in itertools.pairwise(ordered))
    assert places[0] < places[1] < places[2]


@pytest.mark.parametrize(
    ("low", "high", "base"), [(0, 0, 0), (4, 1, 0), (0, 8, 2), (float("nan"), 1, 0), (0, float("inf"), 0)]
)
def test_an_axis_that_cannot_be_drawn_is_refused(low, high, base):
    with pytest.raises(ValueError, match="axis"):
        Scale("x", low, high, base)


def test_ticks():
    assert Scale("x", 1, 64, 2).ticks() == [1, 2, 4, 8, 16, 32, 64]
    assert Scale("x", 0, 4).ticks() == [0, 1, 2, 3, 4]
    assert Scale("x", 1, 16, at=(1, 2, 99)).ticks() == [1, 2]
