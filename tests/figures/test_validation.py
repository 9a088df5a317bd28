"""Prediction against publication: a cross for every row, with its citation; a line for every system."""

import pytest

from hpclab.figures import style, validation
from hpclab.validation import predictions


def rows(part):
    (path,) = [path for path in predictions.shipped() if part in path.name]
    return predictions.predict(path)


def test_every_published_row_is_a_cross_and_every_system_says_its_error(ax, marks, words):
    lut, h100 = rows("a100_v100"), rows("h100_nvlink")
    a100 = [one for one in lut if "A100" in one.observation.case.system and one.observation.case.gpus == 8]
    validation.draw(ax, {"8× <A100>": a100, "8× H100": h100})
    assert marks(ax) == len(a100) + len(h100)
    said = words(ax)
    assert "8× <A100>" in said
    assert "dgxc-benchmarking" in said.replace("\n", " ")
    error = sum(one.error for one in h100) / len(h100)
    text = f"8× H100: {len(h100)} rows, 0 not placed, {100 * error:.0f} % off on average."
    assert text in style.description(ax.figure)
    assert f"over {len(a100) + len(h100)} rows" in ax.get_title("left")


def test_rows_that_are_not_placed_are_drawn_without_a_line_and_counted(ax, marks):
    found = [one for one in rows("ib_vs_roce") if one.observation.quantity == "time"][:19]
    validation.draw(ax, {"all-reduce": found})
    assert "all-reduce: 19 rows, 19 not placed, 100 % off on average." in style.description(ax.figure)
    assert marks(ax) == len(found)
    assert len(ax.lines) == 1


def test_what_cannot_be_drawn_together_is_refused(ax):
    osu = rows("ib_vs_roce")
    with pytest.raises(ValueError, match="all times or all bandwidths"):
        validation.draw(ax, {"both": osu})
    for groups in ({}, {"none": []}, {str(n): osu[:3] for n in range(5)}):
        with pytest.raises(ValueError, match="1 to 4 groups"):
            validation.draw(ax, groups)
    with pytest.raises(ValueError, match="None of these rows"):
        validation.draw(ax, {"a size of nothing": osu[:1]})
