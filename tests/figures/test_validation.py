"""Predictions against what was published: a cross for every row that is placed, with its citation."""

import pytest

from hpclab.figures import published_runs, style, validation
from hpclab.validation import predictions
from hpclab.validation.score import Observation, PredictedRow
from hpclab.validation.tables import Row


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


def row(published, predicted, unit="s"):
    fields = {"gpus": f"{8 * published:g}"}
    seen = Observation(Row("train_x.csv", 2, fields), "step time", published, unit, 1, None, None)
    return PredictedRow(seen, predicted, 1.0)


def test_a_cross_for_each_row_and_its_error_in_words(ax, words):
    tables = {"times": [row(2.0, 2.2), row(4.0, 4.0), row(1.0, None)], "rates": [row(0.5, 0.4, "1/s")]}
    published_runs.draw(ax, tables)
    points = [line.get_xydata().tolist() for line in ax.lines if line.get_linestyle() == "None"]
    assert points[0] == [[16, pytest.approx(1.1)], [32, 1.0]]
    assert points[1] == [[4, pytest.approx(1.25)]]
    assert "times\n5.0% off" in words(ax)
    assert ax.get_title("left") == "3 published steps, predicted 11.7% off on average"
    assert "rates, 25.0% off" in style.description(ax.figure)


def test_nothing_placed_is_refused(ax):
    with pytest.raises(ValueError, match="no row to draw"):
        published_runs.draw(ax, {"x": [row(1.0, None), row(3.0, 3.0, "B")]})
