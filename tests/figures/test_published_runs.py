"""Published runs: a point for each row that is placed, rates turned into times."""

import pytest

from hpclab.figures import published_runs, style
from hpclab.validation.score import Observation, PredictedRow
from hpclab.validation.tables import Row


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
