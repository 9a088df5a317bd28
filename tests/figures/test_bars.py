"""The bars add up, name every part, and can be told apart without colour."""

import xml.etree.ElementTree as ET

import pytest

from hpclab.figures import bars, style
from hpclab.results import Result
from hpclab.trace import COMPONENTS, UNEXPLAINED

SVG = "{http://www.w3.org/2000/svg}"
PARTS = dict(zip((*COMPONENTS, UNEXPLAINED), (1.0, 4.0, 0.5, 10.0, 0.7, 1.2, 0.2), strict=True))


def results(nodes, scale=1.0, run="a", repeat=0):
    return [
        Result(
            "t", "rank-seconds", scale * value, "measured",
            run=run, repeat=repeat, component=name, parameters={"nodes": nodes},
        )
        for name, value in PARTS.items()
    ]  # fmt: skip


def test_means_over_repeats_still_sum_to_the_mean_of_the_whole():
    given = bars.rank_seconds([*results(4), *results(4, 3.0, "b", 1), *results(2)])
    assert list(given) == [2, 4]
    assert sum(given[4].values()) == pytest.approx(2 * sum(PARTS.values()))


def test_heights_are_in_proportion_and_every_part_is_named():
    root = ET.fromstring(bars.draw({4: PARTS}))
    parts = [r for r in root.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    assert len(parts) == len(PARTS)
    heights = {
        r.find(f"{SVG}title").text.split(": ")[0].split(", ")[1]: float(r.get("height")) for r in parts
    }
    for name, seconds in PARTS.items():
        assert heights[name] / heights["compute"] == pytest.approx(seconds / PARTS["compute"], abs=0.01)
    drawn = " ".join(t.text for t in root.iter(f"{SVG}text"))
    assert all(name in drawn for name in PARTS)


def test_parts_differ_without_colour():
    plain = [name for name in (*COMPONENTS, UNEXPLAINED) if name not in style.PATTERN]
    patterns = [style.PATTERN[name] for name in (*COMPONENTS, UNEXPLAINED) if name in style.PATTERN]
    assert set(plain) == {"compute", "idle"}  # one dark, one light
    assert len(set(patterns)) == len(patterns)


def test_title_says_the_answer_and_the_text_says_the_numbers():
    svg = bars.draw({1: {"compute": 9.0, "idle": 1.0}, 4: PARTS})
    assert "4 nodes: 57% compute, 23% worker start" in svg
    assert "256 KiB a chunk: 57% compute" in bars.draw({8: PARTS, 256: PARTS}, unit="KiB a chunk")
    assert "4 nodes: 17.6 s in all: compute 10 s" in svg


def test_no_run_is_said():
    assert "No run yet" in bars.draw({})
