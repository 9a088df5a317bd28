"""Traffic counted by the tracer against what a pencil says of the access pattern."""

import pytest

from hpclab.experiments import traced_traffic
from hpclab.experiments.kernel_ladder import KernelLadder
from hpclab.experiments.traced_traffic import factor, sectors
from hpclab.kernels.ladder import LADDERS
from hpclab.models.device import from_catalogue
from hpclab.results import select


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


def test_scattered_steps_are_bound_by_the_cache_and_tidy_ones_by_memory(monkeypatch):
    monkeypatch.setattr(traced_traffic, "STREAMING", ("vector add", "transpose"))
    results = KernelLadder(on="gpu").predict(from_catalogue("a100-80gb"), sectors=sectors())
    bound = {(r.parameters["ladder"], r.parameters["step"]): r.component for r in select(results, "time")}
    assert bound["transpose", "naive"] == "cache"
    assert bound["vector add", "strided"] == "cache"
    assert bound["transpose", "padded"] == bound["vector add", "coalesced"] == "memory"
