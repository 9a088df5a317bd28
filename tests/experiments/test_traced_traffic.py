"""Traffic counted by the tracer against what a pencil says of the access pattern."""

import pytest

from hpclab.experiments import traced_traffic
from hpclab.experiments.traced_traffic import demands, factor, sectors
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


def test_one_block_says_what_a_large_launch_asks_for():
    # 128 × 128 sums a block: A and B are read 4096 / 128 times each; a thread's stores are four sectors apart
    work, passes = demands(LADDERS["matrix multiply"][2], (4096, 4096, 4096))
    assert work.cache_bytes == pytest.approx(4 * 4096**3 * (2 / 128) + 4 * 4 * 4096**2)
    warps = 4096**2 / 64 / 32
    assert passes > warps * 4096 * 16  # a warp reads 16 numbers a thread for each of 4,096 products
    assert passes < warps * 4096 * 16 * 1.8  # those of b are four words apart: two turns of the banks
    work, passes = demands(LADDERS["transpose"][2], (4096, 4096))
    assert work.cache_bytes == 2 * 4 * 4096**2
    assert passes == 4 * 4096**2 / 32  # a line read, a row of banks written and read, a line written
