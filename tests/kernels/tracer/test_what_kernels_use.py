"""What Numba CUDA kernels are made of, one thing at a time; and what the tracer does not know."""

import linecache
from types import SimpleNamespace

import numba
import numpy
import pytest
from numpy import float32, int32

from hpclab.kernels import tracer
from hpclab.kernels.cuda import cuda as real
from hpclab.kernels.tracer import recorder

cuda = SimpleNamespace()
TABLE = numpy.arange(5) * 1.5
SIZES = (2, 3)


def run(kernel, *args, grid=1, block=32):
    trace = tracer.trace(kernel, grid, block, *args)
    assert trace.errors == ()
    return next(iter(trace.after.values()))


@real.jit
def decorated(out, a):
    i = real.grid(1)
    if i < out.size:
        out[i] = twice(a[i]) + plainly(a[i])


@real.jit(device=True)
def twice(x):
    return plainly(x) * 2


def plainly(x):
    return x + 1


def test_decorated_kernels_and_device_functions():
    trace = tracer.trace(decorated, 1, 32, numpy.zeros(20), numpy.arange(20.0))
    assert trace.after["out"].tolist() == [3 * (x + 1) for x in range(20)]
    assert trace.kernel == "decorated"
    assert "def plainly" in trace.source, "a device function's text follows the kernel's"
    lines = trace.source.splitlines()
    assert {lines[request.line - 1].strip() for request in trace.requests} == {
        "out[i] = twice(a[i]) + plainly(a[i])"
    }


grid = type("grid", (), {"__module__": "numba.cuda.stubs"})


def test_a_name_imported_from_numba_cuda():
    def kernel(out):
        out[grid(1)] = 2

    assert run(kernel, numpy.zeros(32)).sum() == 64


def test_types_are_numbas():
    def kernel(out, a):
        out[0] = (a[0] * a[0]).dtype == float32
        out[1] = (a[0] * 2).dtype == numpy.float64  # a whole number is an int64
        out[2] = (int32(7) + int32(1)).dtype == numpy.int64
        out[3] = (int32(7) / int32(2)) == 3.5
        out[4] = -7 // 2 == -4 and -7 % 3 == 2
        out[5] = numba.float32(0.1) != 0.1
        out[6] = numba.uint8(300) == 44

    assert run(kernel, numpy.zeros(7, int), numpy.ones(1, "f4"), block=1).all()


def test_indices_shapes_and_rows():
    def kernel(out, a, t):
        z, y, x = cuda.threadIdx.z, cuda.threadIdx.y, cuda.threadIdx.x
        plane = a[z]
        row = plane[y]
        out[z, y, x] = row[x] + a.shape[2] * 100 + a.ndim * 10_000 + len(a) + t[1] + SIZES[1] + TABLE[2]

    a = numpy.arange(24).reshape(2, 3, 4)
    expected = a + 400 + 30_000 + 2 + 8 + 3 + 3
    numpy.testing.assert_array_equal(
        run(kernel, numpy.zeros((2, 3, 4)), a, (7, 8), block=(4, 3, 2)), expected
    )


def test_where_a_thread_is():
    def kernel(out):
        x, y, z = cuda.grid(3)
        out[z, y, x] = (
            cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y + 100 * cuda.gridDim.x + 1000 * cuda.laneid
        )
        out[z, y, x] += cuda.gridsize(3)[0] + 0 * cuda.warpsize

    out = run(kernel, numpy.zeros((4, 4, 4), int), grid=(2, 2, 2), block=(2, 2, 2))
    assert out[0, 3, 2] == 3 + 200 + 1000 * 2 + 4


def test_atomics_leave_what_they_should_and_return_what_was():
    def kernel(a, found):
        i = cuda.grid(1)
        found[i] = cuda.atomic.add(a, 0, 2)
        cuda.atomic.max(a, (1,), i)
        cuda.atomic.sub(a, 2, 1)
        cuda.atomic.xor(a, 3, i)

    trace = tracer.trace(kernel, 1, 36, numpy.array([1, 0, 0, 0]), numpy.zeros(36, int))
    assert trace.after["a"].tolist() == [73, 35, -36, 0]  # 0 ^ 1 ^ ... ^ 35 = 0
    assert trace.after["found"].tolist() == list(range(1, 73, 2))
    assert trace.findings == ()


def written(parameters, body):
    text, names = f"def kernel({parameters}):\n    {body}\n", dict(globals())
    linecache.cache[body] = (len(text), None, text.splitlines(keepends=True), body)
    exec(compile(text, body, "exec"), names)
    return names["kernel"]


LANE = numpy.arange(32)
CALLS = {
    "cuda.syncthreads_count(i < 7)": 7,
    "cuda.syncthreads_and(i < 32) + 2 * cuda.syncthreads_and(i < 31)": 1,
    "cuda.syncthreads_or(i == 31) + 2 * cuda.syncthreads_or(i == 32)": 1,
    "cuda.fma(a[i], 2.0, 0.5)": 2 * LANE + 0.5,
    "cuda.const.array_like(TABLE)[i % 5]": TABLE[LANE % 5],
    "cuda.ffs(int32(8 * i))": [(8 * k & -8 * k).bit_length() for k in range(32)],
    "cuda.clz(int32(i))": [32 - k.bit_length() for k in range(32)],
    "cuda.popc(cuda.activemask()) if i < 3 else 0": numpy.where(LANE < 3, 3, 0),
    "cuda.atomic.exch(a, 0, i)": numpy.maximum(LANE - 1, 0),
    "cuda.atomic.cas(a, 0, i, i + 1)": LANE,
    "cuda.atomic.compare_and_swap(a, 0, i)": LANE > 1,
    "cuda.nanosleep(5) is cuda.threadfence_block()": 1,
    "cuda.atomic.nanmax(a, 0, i) + cuda.atomic.nanmin(a, 1, -i)": numpy.maximum(LANE - 1, 0)
    + numpy.minimum(1 - LANE, 1),
    "a.itemsize + a.strides[0] + a.nbytes": 8 + 8 + 256,
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_gives_what_cuda_says(call):
    kernel = written("out, a", f"i = cuda.grid(1)\n    out[i] = {call}")
    numpy.testing.assert_allclose(run(kernel, numpy.zeros(32), LANE), CALLS[call], rtol=1e-14)


def test_arrays_in_a_kernel_and_an_exchange_that_needs_nothing_there_before():
    def kernel(out):
        i = cuda.threadIdx.x
        one, two = cuda.shared.array(32, float32), cuda.shared.array(shape=32, dtype=float32)
        own, last = cuda.local.array((2, 2), int32), cuda.shared.array(1, int32, alignment=16)
        own[1, 1] = i
        one[i], two[i] = i, 2 * i
        cuda.atomic.exch(last, 0, 4)
        cuda.syncthreads()
        out[i] = one[31 - i] + two[i] + own[1, 1] + last[0]

    i = numpy.arange(32)
    numpy.testing.assert_array_equal(run(kernel, numpy.zeros(32)), 31 - i + 2 * i + i + 4)


def test_only_the_chosen_blocks_run():
    def kernel(out):
        out[cuda.grid(1)] = 1

    trace = tracer.trace(kernel, 4, 8, numpy.zeros(32), blocks=[2, (0,)])
    assert trace.blocks == ((2, 0, 0), (0, 0, 0))
    assert numpy.flatnonzero(trace.after["out"]).tolist() == [*range(8), *range(16, 24)]


def library(x):
    return x


library.__module__ = "numba.cuda.intrinsic_wrapper"  # as Numba's own device functions
UNKNOWN = {
    "out[0] = numpy.linalg.norm(out)": "linalg.norm",
    "cuda.cg.this_grid().sync()": "cg",
    "out[0] = cuda.selp(True, 1, 2)": "cuda.selp",
    "out[0] = library(1)": "the function library",
    "out[0] = plainly(1, 2)": "too many positional arguments",
    "out[0] = out[1:3][0]": "slices",
    "out[cuda.threadIdx.x / 2] = 1": "whole number",
    "try: out[0] = 1\n    except ValueError: pass": "Try",
    "out[0] = max([2 * k for k in range(3)])": "ListComp",
    "out[0] = nowhere": "nowhere",
    "out[0] = x\n    x = 1": "not assigned before",
    "out[0] = kernel(out)": "calling itself",
    "cuda.shared.array(cuda.threadIdx.x, float32)": "constant whole numbers",
    "cuda.shared.array(out.size, float32)": "out is an argument",
}


@pytest.mark.parametrize("body", UNKNOWN)
def test_what_is_not_known_is_named(body):
    with pytest.raises(tracer.Unsupported, match=f"Line 2 .*{UNKNOWN[body]}") as refused:
        tracer.trace(written("out", body), 1, 32, numpy.zeros(32))
    assert "\n" not in str(refused.value)


def fine(out):
    out[0] = 1


REFUSED = [
    *(("grid", wrong, "The grid") for wrong in (None, (1, 2, 3, 4))),
    *(("block", wrong, "The block") for wrong in (1.5, ())),
    *(("out", wrong, "argument out must be") for wrong in ([1, 2], numpy.array(["a"]), numpy.array(1.0))),
    *(("blocks", wrong, "block's index") for wrong in ([1], [(0, -1)], 5)),
    *(("blocks", wrong, "different blocks") for wrong in ([], [0, 0])),
    ("kernel", None, "takes a kernel"),
    ("kernel", lambda out: out, "must be written with def"),
    ("more", (1,), "takes 1 arguments"),
]


@pytest.mark.parametrize(("place", "wrong", "said"), REFUSED)
def test_what_is_no_launch_is_refused(place, wrong, said):
    given = {"kernel": fine, "grid": 1, "block": 1, "out": numpy.zeros(1), "more": (), "blocks": None}
    kernel, grid, block, out, more, blocks = (given | {place: wrong}).values()
    with pytest.raises(ValueError, match=said):
        tracer.trace(kernel, grid, block, out, *more, blocks=blocks)


def test_what_would_fill_the_memory_is_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"choose at most 65536 with blocks=\["):
        tracer.trace(fine, 10**6, 1, numpy.zeros(1))
    monkeypatch.setattr(recorder, "MOST", 50)
    with pytest.raises(ValueError, match="trace fewer blocks"):
        tracer.trace(fine, 100, 1, numpy.zeros(1))
