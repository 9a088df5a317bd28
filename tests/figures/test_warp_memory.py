"""The tracer's picture: what was moved is drawn, counted and said; nothing leaves its place between steps."""

import re
import xml.etree.ElementTree as ET

import pytest

from hpclab.figures import access_map, diagram, lanes, listing, style
from hpclab.figures.warp_memory import WarpPicture
from hpclab.models.gpu_memory import Array, Barrier, Branch, KernelTrace, Request

SVG = "{http://www.w3.org/2000/svg}"
BLOCK = (0, 0, 0)
BASE = 1024
LANES = tuple(range(32))
SOURCE = """@cuda.jit
def kernel(a, total):
    tile = cuda.shared.array(1024, float32)
    i = cuda.grid(1)
    if i < a.size:
        tile[i] = a[i]
    value = tile[32 * i]  # <b> & "quotes" in a comment that is longer than any line of a kernel should be
    cuda.atomic.add(total, 0, value)
"""


def request(step, line, space, kind, array, offsets, itemsize=4, active=LANES, warp=0):
    base = BASE if space == "global" else 0
    addresses = tuple(base + offset for offset in offsets)
    indices = tuple((offset // itemsize,) for offset in offsets)
    return Request(step, BLOCK, warp, line, space, kind, array, itemsize, active, addresses, indices)


def trace(*events):
    requests, branches, barriers = (
        tuple(event for event in events if isinstance(event, kind)) for kind in (Request, Branch, Barrier)
    )
    arrays = (Array("a", BASE), Array("total", BASE))
    launch = ((1, 1, 1), (32, 2, 1), (BLOCK,))
    return KernelTrace("kernel", SOURCE, *launch, arrays, requests, branches, (), barriers=barriers)


EVENTS = {
    "parts the warp: 20 lanes go on, 12 wait": Branch(0, BLOCK, 0, 5, LANES[:20], LANES[20:]),
    "reads a: 20 lanes, 3 sectors": request(1, 6, "global", "load", "a", range(0, 80, 4), 4, LANES[:20]),
    "writes tile: 32 lanes, no bank conflict": request(2, 6, "shared", "store", "tile", range(0, 128, 4)),
    "reads tile: 32 lanes, 32 passes, 31": request(3, 7, "shared", "load", "tile", range(0, 4096, 128)),
    "reads a: 32 lanes, 32 sectors where 4": request(4, 6, "global", "load", "a", range(0, 4096, 128)),
    "reads a: 32 lanes, 20 sectors where 8": request(5, 6, "global", "load", "a", range(0, 640, 20), 8),
    "adds to total: 32 lanes, 32 of them in turn": request(6, 8, "global", "atomic", "total", [0] * 32),
    "reads mine: 32 lanes, each in its own": request(7, 6, "local", "load", "mine", [0] * 32),
    "is a barrier: 32 lanes of this warp came": Barrier(8, BLOCK, 0, 7, LANES),
}


@pytest.fixture(scope="module")
def picture():
    return WarpPicture(trace(*EVENTS.values()), BLOCK, 0)


def texts(svg):
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("number", range(len(EVENTS)))
def test_a_step_is_titled_drawn_and_said_at_one_height(picture, number):
    title, event = list(EVENTS.items())[number]
    svg = picture.draw(number)
    assert title in picture.titles[number]
    assert title in svg.split("</title>")[0], "the title is also the figure's name"
    assert SOURCE.splitlines()[event.line - 1].split("#")[0].strip()[:30] in picture.said(number)
    tree = ET.fromstring(svg)
    assert tree.get("viewBox") == ET.fromstring(picture.draw(0)).get("viewBox")
    width, height = (float(side) for side in tree.get("viewBox").split()[2:])
    assert width <= 800
    for box in filter(lambda rect: rect.get("x"), tree.iter(f"{SVG}rect")):
        x, y, wide, high = (float(box.get(side)) for side in ("x", "y", "width", "height"))
        assert 0 <= x <= width + 1 - wide
        assert y <= height + 1 - high
    for element in tree.iter(f"{SVG}text"):
        if element.get("text-anchor") is None and element.get("font-family") is None:
            size, bold = float(element.get("font-size", style.TEXT)), element.get("font-weight") == "600"
            wide = diagram.text_width("".join(element.itertext()), size, bold)
            assert float(element.get("x")) + wide <= width, "text would be cut off"
    sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)"', svg)]
    assert min(sizes) >= 14 * 4 / 3, "14 pt and up"


def boxes(svg, fill):
    return [box for box in ET.fromstring(svg).iter(f"{SVG}rect") if (box.get("fill") or "").startswith(fill)]


def test_a_page_with_the_same_picture_twice_has_each_pattern_twice(picture):
    one, other = (picture.draw(4) for _ in range(2))  # or hiding the first takes the second one's hatching
    ids, others = ({e.get("id") for e in ET.fromstring(svg).iter() if e.get("id")} for svg in (one, other))
    assert not ids & others
    assert {fill[5:-1] for fill in re.findall(r"url\(#[^)]*\)", one)} <= ids
    assert len(ids) >= 4  # title, description and two patterns


def test_each_moved_sector_is_hatched_and_counted_and_each_word_lies_in_its_column(picture):
    svg = picture.draw(4)  # a stride of 128 bytes: 32 sectors, one word used in each
    hatched = [box for box in boxes(svg, "url(#") if box.get("stroke") is None]
    assert len(hatched) == 32
    assert {float(box.get("width")) for box in hatched} == {8 * lanes.CELL}
    rects = ET.fromstring(svg).iter(f"{SVG}rect")
    first = [box for box in rects if "lane 31, thread (31, 0, 0)" in "".join(box.itertext())]
    assert len(first) == 2  # the lane and its word
    assert "a[992], byte 3,968" in "".join(first[0].itertext())
    assert {float(box.get("x")) for box in first} == {lanes.LEFT + 31 * lanes.CELL + 1, lanes.LEFT}
    said = texts(svg)
    assert "Asked for: 128 bytes. Moved: 1,024." in said
    assert "for nothing: 896" in said
    assert "So far: 2 global requests, 35 sectors, 19% used" in said
    assert "35" in said, "beside line 6, in the column of sectors"


def test_a_conflict_is_told_without_colour(picture):
    assert lanes.words_by_bank([0, 0, 128, 4], 4) == {0: 2, 1: 1}
    assert "32 words in bank 0" in texts(picture.draw(3))
    assert len(boxes(picture.draw(3), lanes.WASTED)) == 1
    assert not boxes(picture.draw(2), lanes.WASTED)
    assert "one word in each bank" in texts(picture.draw(2))


def test_waiting_lanes_are_crossed_out_and_text_of_the_kernel_cannot_become_markup(picture):
    assert picture.draw(0).count("m0,-10") == 12
    assert "<b>" not in picture.draw(3)
    code = " ".join(text.strip() for text in texts(picture.draw(3)))
    assert "that is longer than any line" in code, "a long line goes on below"
    assert "of a kernel should be" in code


def test_a_long_source_scrolls_and_keeps_its_height():
    source = "@cuda.jit\ndef kernel(a):\n" + "\n".join(f"    a[{n}] = {n}" for n in range(50))
    assert listing.height(source) == listing.height(source + "\n    more = 1")
    for line in (2, 10, 30, 52):
        shown = [number for number, _ in listing.window(source, line)]
        assert line in shown
        assert len(shown) == 7
    svg = listing.draw(0, source, 30, {"sectors": {30: "7"}}, "heading")
    assert svg.count("<path") == 1, "one line is marked"
    assert "a[27]" in svg
    assert "a[1] " not in svg


def test_colours_run_from_dark_to_light():
    lightness = [style._luminance(*bytes.fromhex(lanes.colour(lane)[1:])) for lane in LANES]
    assert lightness == sorted(lightness)


def strided(stride):
    offsets = [[4 * (stride * lane + n) for lane in LANES] for n in range(8)]
    return trace(*(request(n, 6, "global", "load", "a", row) for n, row in enumerate(offsets)))


def test_the_map_names_the_distance_of_neighbours():
    for stride, title in ((1, "1 item apart"), (8, "8 items apart"), (0, "share an item")):
        svg = access_map.draw(strided(stride), "a")
        assert title in svg
        grey = svg.count(f"fill: {style.COLOUR['idle'].lower()}")
        assert grey - 1 == sum(r.sectors for r in strided(stride).requests)  # one is the key's
        assert svg.count("lane 31: item") == 8


def test_the_map_says_what_it_leaves_out_and_of_what_was_never_touched_what_was():
    with pytest.raises(ValueError, match="touches no array 'b' in global memory; it touches: a"):
        access_map.draw(strided(1), "b")
    many = trace(*(request(n, 6, "global", "load", "a", [4 * k for k in LANES]) for n in range(100)))
    assert "first 64 of 100 requests" in access_map.draw(many, "a")
