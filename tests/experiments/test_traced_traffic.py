"""Traffic counted by the tracer against what a pencil says of the access pattern."""

import pytest

from hpclab.experiments import traced_traffic
from hpclab.experiments.traced_traffic import factor, sectors
from hpclab.kernels.ladder import LADDERS


@pytest.mark.parametrize(
    ("ladder", "number", "expected"),
    [
        ("transpose", 0, (4 + 32) / 8),  # each 4 bytes written cost a sector of 32; those read lie together
        ("transpose", 2, 1.0),
        ("vector add", 0, (4 + 4 + 32) / 12),  # a block reads each sector once, though not at once
        ("vector add", 1, 1.0),
        ("softmax", 0, (4 + 32) / 8),  # a thread a row: every store of a warp in a row of its own
    ],
)
def test_sectors_of_the_textbook_patterns(ladder, number, expected):
    assert factor(LADDERS[ladder][number]) == pytest.approx(expected, rel=0.01)


def test_they_have_the_names_that_a_prediction_looks_for(monkeypatch):
    monkeypatch.setattr(traced_traffic, "STREAMING", ("vector add",))
    assert set(sectors()) == {f"vector add, {step.name}" for step in LADDERS["vector add"]}
