"""What we measured elsewhere and ship: recorded, with machine, date, command and versions."""

import re

import pytest

from hpclab.results import Origin
from hpclab.validation import recordings


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
def test_an_unknown_recording_lists_the_known_ones(name):
    with pytest.raises(ValueError, match="one_core"):
        recordings.read(name)
