"""What a warp asks of memory, pattern by pattern, with the counts worked out by hand."""

from types import SimpleNamespace

import numpy
import pytest
from numpy import float32, float64

from hpclab.kernels import tracer

cuda = SimpleNamespace()


def copy(out, a, stride, shift):
    i = cuda.grid(1)
    out[i] = a[i * stride + shift]


# One warp, its first item on a 256-byte border. What other patterns cost: tests/models/test_gpu_memory.py.
@pytest.mark.parametrize(
    ("dtype", "stride", "shift", "sectors", "lines"),
    [
        ("f4", 1, 0, 4, 1),  # 128 / 32
        ("f4", 1, 1, 5, 2),  # bytes 4 to 131: one item hangs over into a fifth sector
        ("f4", 3, 0, 12, 3),  # 31 * 12 + 4 = 376 bytes: 11.75 sectors, all touched; lines 0, 1 and 2
        ("f4", 0, 5, 1, 1),  # broadcast
        ("i1", 1, 0, 1, 1),  # 32 bytes
        ("c16", 1, 0, 16, 4),  # 512 bytes
    ],
)
def test_a_load(dtype, stride, shift, sectors, lines):
    out, a = numpy.zeros(32, dtype), numpy.arange(100).astype(dtype)
    trace = tracer.trace(copy, 1, 32, out, a, stride, shift)
    (load,) = trace.select(array="a", kind="load")
    assert (load.sectors, load.lines) == (sectors, lines)
    assert load.indices == tuple((i * stride + shift,) for i in range(32))
    assert [request.array for request in trace.select(kind="store")] == ["out"]
    numpy.testing.assert_array_equal(trace.after["out"], a[numpy.arange(32) * stride + shift])


def test_two_warps_and_a_tail():
    # 40 threads: a full warp (4 sectors) and 8 lanes (32 bytes, 1 sector).
    trace = tracer.trace(copy, 1, 40, numpy.zeros(40, "f4"), numpy.zeros(40, "f4"), 1, 0)
    assert [(array.name, array.base) for array in trace.arrays] == [("out", 0), ("a", 256)]
    loads = trace.select(kind="load")
    assert [(r.warp, len(r.lanes), r.sectors) for r in loads] == [(0, 32, 4), (1, 8, 1)]
    assert loads[1].addresses[0] == 256 + 128
    a = numpy.zeros(32, "f4")  # the same array twice is at one address
    assert {request.addresses[0] for request in tracer.trace(copy, 1, 32, a, a, 1, 0).requests} == {0}


def along_rows(a):
    x, y = cuda.grid(2)
    a[y, x] = 1


def along_columns(a):
    x, y = cuda.grid(2)
    a[x, y] = 1


@pytest.mark.parametrize(
    ("kernel", "order", "sectors"),
    [
        (along_rows, "C", 4),  # 32 neighbours
        (along_columns, "C", 32),  # 32 rows, 128 bytes apart
        (along_rows, "F", 32),  # Fortran order turns it round
        (along_columns, "F", 4),
    ],
)
def test_two_dimensions(kernel, order, sectors):
    a = numpy.zeros((32, 32), numpy.float32, order=order)
    trace = tracer.trace(kernel, 1, (32, 2), a)
    assert [request.sectors for request in trace.requests] == [sectors] * 2
    assert trace.requests[0].indices[5] == ((0, 5) if kernel is along_rows else (5, 0))
    assert trace.after["a"].flags.f_contiguous == (order == "F")
    assert trace.after["a"].sum() == 64


@pytest.mark.parametrize(
    ("dtype", "stride", "conflicts"),
    [
        (float32, 1, 0),
        (float32, 32, 31),
        (float32, 33, 0),  # the padded tile's column
        (float64, 2, 2),  # each half: 16 lanes on words 0, 4 ... 60: two for each bank
    ],
)
def test_shared_memory(dtype, stride, conflicts):
    def kernel(out):
        shared = cuda.shared.array(1056, dtype)
        i = cuda.threadIdx.x
        shared[i * stride] = 1
        out[i] = shared[i * stride]

    trace = tracer.trace(kernel, 1, 32, numpy.zeros(32))
    load = trace.counts(space="shared", kind="load")
    assert (load.requests, load.bank_conflicts, load.sectors) == (1, conflicts, 0)


def test_atomics_queue_at_one_address():
    def count_all(bins, which):
        cuda.atomic.add(bins, which[cuda.grid(1)], 1)

    which = numpy.arange(64) % 8
    trace = tracer.trace(count_all, 1, 64, numpy.zeros(8, numpy.int32), which)
    atomics = trace.select(kind="atomic")
    assert [request.contention for request in atomics] == [4, 4]  # 32 lanes on 8 counters
    assert trace.after["bins"].tolist() == [8] * 8


def test_a_warp_that_parts_asks_twice():
    def halves(out, a):
        i = cuda.grid(1)
        if i % 2 == 0:
            out[i] = a[i]
        else:
            out[i] = -a[i]

    trace = tracer.trace(halves, 1, 32, numpy.zeros(32, "f4"), numpy.zeros(32, "f4"))
    assert [len(request.lanes) for request in trace.requests] == [16, 16, 16, 16]
    (branch,) = trace.branches
    assert branch.taken == tuple(range(0, 32, 2))
    assert branch.not_taken == tuple(range(1, 32, 2))


def test_steps_count_everything_that_happens_in_order():
    def kernel(out):
        i = cuda.threadIdx.x
        shared = cuda.shared.array(64, float32)
        shared[i] = i
        cuda.syncthreads()
        if i < 40:
            out[i] = shared[i]

    trace = tracer.trace(kernel, 1, 64, numpy.zeros(64))
    # 2 warps store, 2 pass the barrier, warp 1 parts, 2 warps load, 2 store
    steps = [event.step for event in (*trace.requests, *trace.barriers, *trace.branches)]
    assert sorted(steps) == list(range(9))
