"""Prediction against publication: a cross for every row, with its citation; a line for every system."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from hpclab.figures import validation
from hpclab.validation import predictions


def rows(part):
    (path,) = [path for path in predictions.shipped() if part in path.name]
    return predictions.predict(path)


def test_every_published_row_is_a_cross_and_every_system_says_its_error():
    lut, h100 = rows("a100_v100"), rows("h100_nvlink")
    a100 = [one for one in lut if "A100" in one.observation.case.words and one.observation.case.gpus == 8]
    svg = validation.draw({"8× <A100>": a100, "8× H100": h100})
    ElementTree.fromstring(svg)
    assert len(re.findall(r"<title>8×[^<]*published [^<]*predicted", svg)) == len(a100) + len(h100)
    assert "8× &lt;A100&gt;" in svg
    assert "dgxc-benchmarking" in re.sub(r"</text><text[^>]*>", " ", svg)
    error = sum(one.error for one in h100) / len(h100)
    assert f"8× H100: {len(h100)} rows, 0 not placed, {100 * error:.0f} % off on average." in svg
    assert f"over {len(a100) + len(h100)} rows" in re.sub(r"</text><text[^>]*>", " ", svg)


def test_rows_that_are_not_placed_are_drawn_without_a_line_and_counted():
    found = [one for one in rows("ib_vs_roce") if one.observation.quantity == "time"][:19]
    svg = validation.draw({"all-reduce": found})
    assert "all-reduce: 19 rows, 19 not placed, 100 % off on average." in svg
    assert svg.count("published 5.") >= 2


def test_what_cannot_be_drawn_together_is_refused():
    osu = rows("ib_vs_roce")
    with pytest.raises(ValueError, match="all times or all bandwidths"):
        validation.draw({"both": osu})
    for groups in ({}, {"none": []}, {str(n): osu[:3] for n in range(5)}):
        with pytest.raises(ValueError, match="1 to 4 groups"):
            validation.draw(groups)
    with pytest.raises(ValueError, match="None of these rows"):
        validation.draw({"a size of nothing": osu[:1]})
