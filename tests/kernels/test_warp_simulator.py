"""The warp's instructions mean in the simulator what they mean on a GPU: one body for both."""

from __future__ import annotations

import numpy
import pytest

from hpclab.kernels import warp_simulator
from hpclab.kernels.cuda import cuda, simulated

FULL = 0xFFFFFFFF
LANES = numpy.arange(32)


@cuda.jit
def shuffles(out):
    i = cuda.grid(1)
    out[0, i] = cuda.shfl_down_sync(FULL, i, 5)
    out[1, i] = cuda.shfl_up_sync(FULL, i, 5)
    out[2, i] = cuda.shfl_xor_sync(FULL, i, 3)
    out[3, i] = cuda.shfl_sync(FULL, i, 7)


@cuda.jit
def votes(out):
    i = cuda.grid(1)
    even = cuda.ballot_sync(FULL, i % 2 == 0)
    out[0, i] = even & 0xFFFF
    out[1, i] = 1 if cuda.all_sync(FULL, i < 63) else 0
    out[2, i] = 1 if cuda.any_sync(FULL, i == 40) else 0
    cuda.syncwarp()


@cuda.jit
def half_warp(out):
    i = cuda.grid(1)
    if i < 16:
        out[i] = cuda.shfl_xor_sync(0x0000FFFF, i, 15)


def test_shuffles_move_values_within_each_warp():
    out = numpy.zeros((4, 64), dtype=numpy.int64)
    shuffles[1, 64](out)
    for warp in range(2):
        got, base = out[:, 32 * warp : 32 * warp + 32] - 32 * warp, LANES
        numpy.testing.assert_array_equal(got[0], numpy.where(base + 5 < 32, base + 5, base))
        numpy.testing.assert_array_equal(got[1], numpy.where(base >= 5, base - 5, base))
        numpy.testing.assert_array_equal(got[2], base ^ 3)
        numpy.testing.assert_array_equal(got[3], 7)


def test_votes_are_counted_within_each_warp():
    out = numpy.zeros((3, 64), dtype=numpy.int64)
    votes[1, 64](out)
    numpy.testing.assert_array_equal(out[0], 0x5555)
    assert [out[1, 0], out[1, 63]] == [1, 0]
    assert [out[2, 0], out[2, 63]] == [0, 1]


def test_a_mask_may_name_some_lanes():
    out = numpy.zeros(16, dtype=numpy.int64)
    half_warp[1, 32](out)
    numpy.testing.assert_array_equal(out, LANES[:16][::-1])


@pytest.mark.skipif(not simulated, reason="hangs on a GPU, or worse")
class TestWhatWouldHangOnAGpu:
    def test_a_lane_that_does_not_come_is_named(self, monkeypatch):
        monkeypatch.setattr(warp_simulator, "PATIENCE", 0.3)

        @cuda.jit
        def absent(out):
            if cuda.grid(1) != 3:
                out[cuda.grid(1)] = cuda.shfl_down_sync(FULL, 1, 1)

        with pytest.raises(RuntimeError, match=r"had to meet here and not all came: on a GPU this hangs"):
            absent[1, 8](numpy.zeros(8))

    def test_a_lane_outside_the_mask_is_refused(self):
        @cuda.jit
        def outside(out):
            out[cuda.grid(1)] = cuda.shfl_sync(0x1, 1, 0)

        with pytest.raises(ValueError, match="not in the mask 0x00000001"):
            outside[1, 2](numpy.zeros(2))

    def test_asking_a_lane_that_takes_no_part_is_refused(self):
        @cuda.jit
        def nobody(out):
            out[cuda.grid(1)] = cuda.shfl_down_sync(FULL, 1, 4)

        with pytest.raises(ValueError, match="takes no part: undefined on a GPU"):
            nobody[1, 8](numpy.zeros(8))
