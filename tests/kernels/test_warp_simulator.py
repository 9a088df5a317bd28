"""The warp's instructions mean in the simulator, and under the tracer, what they mean on a GPU."""

import numpy
import pytest

from hpclab.kernels import tracer, warp_simulator
from hpclab.kernels.cuda import cuda, simulated

FULL = 0xFFFFFFFF


@cuda.jit
def talk(out, a):
    i = cuda.grid(1)
    out[0, i] = cuda.shfl_up_sync(FULL, a[i], 5)
    out[1, i] = cuda.shfl_down_sync(FULL, a[i], 5)
    out[2, i] = cuda.shfl_xor_sync(FULL, a[i], 12)
    out[3, i] = cuda.shfl_sync(FULL, a[i], a[i] % 32)
    out[4, i] = cuda.popc(cuda.ballot_sync(FULL, a[i] % 2 == 0))
    out[5, i] = 1 if cuda.any_sync(FULL, i == 40) else 0
    out[6, i] = 1 if cuda.all_sync(FULL, i < 63) else 0
    cuda.syncwarp()
    if i < 16:
        out[7, i] = cuda.shfl_xor_sync(0x0000FFFF, a[i], 15)


@pytest.mark.parametrize("by", ["launch", "tracer"])
def test_lanes_talk_within_their_warp(by):
    a, out = numpy.random.default_rng(5).integers(0, 90, 64), numpy.zeros((8, 64), dtype=numpy.int64)
    if by == "launch":
        talk[1, 64](out, a)
    else:
        trace = tracer.trace(talk, 1, 64, out, a)
        assert trace.findings == ()
        out = trace.after["out"]
    lane, begin = numpy.arange(64) % 32, numpy.arange(64) // 32 * 32
    sources = (
        numpy.where(lane < 5, lane, lane - 5), numpy.where(lane > 26, lane, lane + 5), lane ^ 12, a % 32
    )  # fmt: skip
    for row, source in zip(out, sources, strict=False):
        numpy.testing.assert_array_equal(row, a[begin + source])
    even = (a.reshape(2, 32) % 2 == 0).sum(axis=1)
    numpy.testing.assert_array_equal(out[4], numpy.repeat(even, 32))
    assert [*out[5:7, 0], *out[5:7, 63]] == [0, 1, 1, 0]
    numpy.testing.assert_array_equal(out[7, :16], a[15::-1])


def absent(out):
    if cuda.grid(1) != 3:
        out[cuda.grid(1)] = cuda.shfl_down_sync(FULL, 1, 1)


def outside_the_mask(out):
    out[cuda.grid(1)] = cuda.shfl_sync(0x1, 1, 0)


def asks_nobody(out):
    out[cuda.grid(1)] = cuda.shfl_down_sync(FULL, 1, 4)


@pytest.mark.skipif(not simulated, reason="hangs on a GPU, or worse")
@pytest.mark.parametrize(
    ("kernel", "error", "said"),
    [
        (absent, RuntimeError, "had to meet here and not all came: on a GPU this hangs"),
        (outside_the_mask, ValueError, "not in the mask 0x00000001"),
        (asks_nobody, ValueError, "takes no part: undefined on a GPU"),
    ],
)
def test_what_would_hang_on_a_gpu_is_said(kernel, error, said, monkeypatch):
    monkeypatch.setattr(warp_simulator, "PATIENCE", 0.3)
    with pytest.raises(error, match=said):
        cuda.jit(kernel)[1, 8](numpy.zeros(8))
