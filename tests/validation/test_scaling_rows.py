"""Published rows, complete and cited, and the models against them; our own runs, with their provenance."""

import re

import pytest

from hpclab.experiments import laws
from hpclab.models.scaling import Amdahl, fit
from hpclab.results import Origin
from hpclab.validation import recordings, scaling_rows


@pytest.mark.parametrize("curve", scaling_rows.CURVES)
def test_rows_are_complete_and_cited_and_eight_gpus_predict_sixteen_within_15_percent(curve):
    rows = scaling_rows.published(curve)
    assert [row.parameters["gpus"] for row in rows] == [1, 4, 8, 16]
    assert all(row.origin is Origin.PUBLISHED and "DGX-2" in row.source for row in rows)
    *few, last = rows
    found = fit(Amdahl, [row.parameters["gpus"] for row in few], [row.value for row in few])
    assert found.speed_of_one * found.law.speedup(16) == pytest.approx(last.value, rel=0.15)


def test_each_law_has_a_larger_machine_whose_points_it_fits_and_one_of_them_has_a_peak():
    rays, users, llama = scaling_rows.larger_machines().values()
    assert laws.fit(rays, "processors")["Amdahl"].law.serial == pytest.approx(0.057, abs=0.001)
    assert laws.fit(llama, "nodes")["Gustafson"].law.serial == pytest.approx(0.029, abs=0.001)
    law = laws.fit(users, "users")["USL"].law
    assert law.speedup(108) > law.speedup(216)


def test_the_shipped_recording_says_where_it_comes_from():
    results = recordings.read("one_core")
    assert len(results) >= 5
    assert len({result.run for result in results}) == 1
    for result in results:
        assert result.origin is Origin.RECORDED
        assert "benchmarks/record_one_core.py" in result.source
        assert re.search(r"20\d\d-\d\d-\d\d", result.source)
        assert "NumPy" in result.source


@pytest.mark.parametrize("name", ["none", "../one_core", "", None])
def test_what_is_not_there_lists_what_is(name):
    with pytest.raises(ValueError, match="one_core"):
        recordings.read(name)
    with pytest.raises(ValueError, match="amp-128"):
        scaling_rows.published(name)
