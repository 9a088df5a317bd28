"""The look: readable without colour, big enough for a projector, spoken by a screen reader, one's own."""

import re
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import matplotlib.pyplot as plt
import pytest
from IPython.core.interactiveshell import InteractiveShell

from hpclab.figures import direct_labels, speedup, style
from hpclab.figures.overlay import Overlay
from hpclab.results import Origin

SVG = "{http://www.w3.org/2000/svg}"


def test_text_in_every_colour_can_be_read_on_white():
    for name, colour in style.COLOUR.items():
        channels = [one / 255 for one in bytes.fromhex(style.ink(colour)[1:])]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        assert 1.05 / (luminance + 0.05) >= 4.5, name


def test_every_origin_has_a_mark_of_its_own_without_colour():
    looks = [style.mark(origin, "#123456") for origin in Origin]
    assert len({(look["marker"], look.get("markerfacecolor")) for look in looks}) == len(Origin)
    assert style.mark("measured", pale=True)["alpha"] < style.mark("measured")["alpha"] / 2


def test_a_figure_is_announced_can_be_parsed_and_stands_beside_another(ax):
    ax.plot([1, 2], [1, 2], "o")
    ax.text(1, 1, "<script>alert(1)</script>")
    style.tips(ax.lines[0], "the first <1>", "the second")
    style.describe(ax, '4 nodes: "2" < 3 & more', "What <it> shows")
    one, other = style.svg(ax.figure), style.svg(ax.figure)
    root = ET.fromstring(one)
    assert root.get("role") == "img"
    texts = {element.get("id"): element.text for element in root if element.get("id")}
    assert [texts[name] for name in root.get("aria-labelledby").split()] == [
        '4 nodes: "2" < 3 & more', "What <it> shows",
    ]  # fmt: skip
    assert not root.findall(f".//{SVG}script")
    assert [t.text for use in root.iter(f"{SVG}use") for t in use.iter(f"{SVG}title")] == [
        "the first <1>", "the second",
    ]  # fmt: skip
    ids = [{e.get("id") for e in ET.fromstring(svg).iter() if e.get("id")} for svg in (one, other)]
    assert not ids[0] & ids[1]
    rules = "".join(e.text for e in root.iter(f"{SVG}style"))
    assert rules.strip().startswith(f"#{root.get('id')} ")  # it is the page's, and would reach its icons


def test_text_stays_text_and_is_large_enough(ax):
    speedup.draw(ax, [])
    root = ET.fromstring(style.svg(ax.figure))
    drawn = list(root.iter(f"{SVG}text"))
    assert {"ideal", "Nodes"} <= {e.text for e in drawn}
    scale = 800 / float(root.get("viewBox").split()[2])
    sizes = [float(size) for e in drawn for size in re.findall(r"([\d.]+)px", e.get("style"))]
    assert min(sizes) * scale >= 14 * 4 / 3


def test_a_learners_figure_shows_itself_and_a_widgets_leaves_no_trace():
    before = dict(matplotlib.rcParams)

    def draw(_number):
        with style.drawing_context():
            return style.svg(speedup.draw(style.figure()[1], []).figure)

    with ThreadPoolExecutor(4) as threads:
        assert all("ideal" in svg for svg in threads.map(draw, range(4)))
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []
    with plt.style.context("hpclab.hpclab"):
        figure, ax = plt.subplots()
        assert speedup.draw(ax, []) is ax
    shell = InteractiveShell.instance()
    try:
        with pytest.MonkeyPatch.context() as patch:
            shown = []
            patch.setattr("IPython.display.display", shown.append)
            shell.display_formatter.format(figure)
    finally:
        InteractiveShell.clear_instance()
        plt.close(figure)
    assert "Empty axes with the ideal line" in shown[0].data


def test_an_overlay_lies_where_the_figure_has_its_points(ax):
    ax.set(xlim=(1, 8), ylim=(0, 8))
    ax.plot([1, 8], [8, 0])
    body = style.svg(ax.figure)
    layer = Overlay(ax)
    path = next(
        e for e in ET.fromstring(body).iter(f"{SVG}path") if "stroke-width: 2.3" in (e.get("style") or "")
    )
    drawn = [float(word) for word in path.get("d").split() if word[0] not in "ML"]
    assert [*layer.at(1, 8), *layer.at(8, 0)] == pytest.approx(drawn, abs=0.1)
    layer.line([1, 8], [8, 0], style.INK)
    layer.vertical(4, "4")
    layer.at_right([direct_labels.Label(8, 0, "<b>here</b>\nsecond line")])
    layer.mark(2, 2)
    root = ET.fromstring(layer.svg())
    assert root.get("viewBox") == ET.fromstring(body).get("viewBox")
    assert [e.text for e in root.iter(f"{SVG}text")] == ["4", "<b>here</b>", "second line"]
