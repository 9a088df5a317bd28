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
shared = type("shared", (), {"__module__": "numba.cuda.stubs"})


def test_names_imported_one_by_one_from_numba_cuda():
    def kernel(out):
        own = shared.array(32, float32)
        own[grid(1)] = 2
        out[grid(1)] = own[grid(1)]

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
        cuda.atomic.inc(a, 3, 9)  # counts 0 to 9 and begins again
        cuda.atomic.cas(a, 4, 5, i + 40)  # only the first finds the 5
        cuda.atomic.exch(a, 5, 8)
        cuda.atomic.xor(a, 6, i)

    a = numpy.array([1, 0, 0, 0, 5, 0, 0])
    trace = tracer.trace(kernel, 1, 36, a, numpy.zeros(36, int))
    assert trace.after["a"].tolist() == [73, 35, -36, 6, 40, 8, 0]  # 0 ^ 1 ^ ... ^ 35 = 0
    assert trace.after["found"].tolist() == list(range(1, 73, 2))
    assert trace.findings == ()


def test_bits_and_votes():
    def kernel(out):
        i = cuda.grid(1)
        out[0, i] = cuda.popc(cuda.ballot_sync(0xFFFFFFFF, i % 3 == 0))
        out[1, i] = cuda.ffs(int32(8 * i)) + 100 * cuda.clz(int32(i))
        out[2, i] = cuda.brev(numba.uint32(1)) == 2**31
        out[3, i] = cuda.syncthreads_count(i < 7)
        if i < 3:
            out[4, i] = cuda.popc(cuda.activemask())
        out[5, i] = cuda.match_any_sync(0xFFFFFFFF, i // 31)

    out = run(kernel, numpy.zeros((6, 32), int))
    assert (out[0] == 11).all()
    assert out[1, 6] == 5 + 100 * 29  # 48 = 0b110000; 6 = 0b110
    assert out[2].all()
    assert (out[3] == 7).all()
    assert (out[4, :3] == 3).all()
    assert out[5, 31] == -(2**31)


def test_each_shared_array_is_one_and_each_local_array_a_threads_own():
    def kernel(out):
        i = cuda.threadIdx.x
        one, two = cuda.shared.array(32, float32), cuda.shared.array(shape=32, dtype=float32)
        own = cuda.local.array((2, 2), int32)
        own[1, 1] = i
        one[i], two[i] = i, 2 * i
        cuda.syncthreads()
        out[i] = one[31 - i] + two[i] + own[1, 1]

    i = numpy.arange(32)
    numpy.testing.assert_array_equal(run(kernel, numpy.zeros(32)), 31 - i + 2 * i + i)


def test_half_precision_and_fused_products():
    def kernel(out, a):
        i = cuda.grid(1)
        out[i] = cuda.fma(a[i], numpy.float16(2), numpy.float16(0.5)) + cuda.fp16.hadd(a[i], a[i])

    a = numpy.arange(32, dtype=numpy.float16)
    numpy.testing.assert_array_equal(run(kernel, numpy.zeros(32), a), 4 * numpy.arange(32) + 0.5)


def test_only_the_chosen_blocks_run():
    def kernel(out):
        out[cuda.grid(1)] = 1

    trace = tracer.trace(kernel, 4, 8, numpy.zeros(32), blocks=[2, (0,)])
    assert trace.blocks == ((2, 0, 0), (0, 0, 0))
    assert numpy.flatnonzero(trace.after["out"]).tolist() == [*range(8), *range(16, 24)]


UNKNOWN = {
    "out[0] = numpy.linalg.norm(out)": "linalg.norm",
    "cuda.cg.this_grid().sync()": "cg",
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
    text, names = f"def kernel(out):\n    {body}\n", dict(globals())
    linecache.cache[body] = (len(text), None, text.splitlines(keepends=True), body)
    exec(compile(text, body, "exec"), names)
    with pytest.raises(tracer.Unsupported, match=f"Line 2 .*{UNKNOWN[body]}") as refused:
        tracer.trace(names["kernel"], 1, 32, numpy.zeros(32))
    assert "\n" not in str(refused.value)


def fine(out):
    out[0] = 1


@pytest.mark.parametrize("wrong", [None, "32", float("nan"), 1.5, float("inf"), (1, 2, 3, 4), [], True, 1e30])
@pytest.mark.parametrize("place", ["grid", "block"])
def test_a_launch_that_is_none_is_refused(place, wrong):
    size = {"grid": 1, "block": 1} | {place: wrong}
    with pytest.raises(ValueError, match=f"The {place}"):
        tracer.trace(fine, size["grid"], size["block"], numpy.zeros(1))


@pytest.mark.parametrize("wrong", [None, "text", numpy.array(["a"]), numpy.array(1.0), [1, 2], object()])
def test_an_argument_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="The argument out must be"):
        tracer.trace(fine, 1, 1, wrong)


def test_everything_else_that_is_wrong_is_refused():
    with pytest.raises(ValueError, match="takes a kernel"):
        tracer.trace(None, 1, 1)
    with pytest.raises(ValueError, match="takes 1 arguments"):
        tracer.trace(fine, 1, 1)
    with pytest.raises(ValueError, match="block's index"):
        tracer.trace(fine, 2, 1, numpy.zeros(1), blocks=[2])
    with pytest.raises(ValueError, match="different blocks"):
        tracer.trace(fine, 2, 1, numpy.zeros(1), blocks=[])
    with pytest.raises(ValueError, match="list of block indices"):
        tracer.trace(fine, 2, 1, numpy.zeros(1), blocks="0")
    with pytest.raises(ValueError, match=r"blocks=\["):
        tracer.trace(fine, 10**6, 1, numpy.zeros(1))
    with pytest.raises(tracer.Unsupported, match="with def"):
        tracer.trace(lambda out: out, 1, 1, numpy.zeros(1))


def test_a_trace_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(recorder, "MOST", 50)
    with pytest.raises(ValueError, match="trace fewer blocks"):
        tracer.trace(fine, 100, 1, numpy.zeros(1))


def test_the_callers_arrays_stay_as_they_are():
    a = numpy.zeros(1)
    assert tracer.trace(fine, 1, 1, a).after["out"][0] == 1
    assert a[0] == 0
