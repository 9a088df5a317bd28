"""Every planted bug is found: the right kind, on the line marked `# here`, with the threads it happens to."""

from types import SimpleNamespace

import numpy
import pytest
from numpy import float32, int32

from hpclab.kernels import tracer
from hpclab.kernels.tracer import interpreter

cuda = SimpleNamespace()  # the tracer goes by the names of its attributes


def sum_without_atomic(out, a):
    i = cuda.grid(1)
    out[0] += a[i]  # here


def round_without_barrier(out, a):
    shared = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    shared[i] = a[i]
    cuda.syncthreads()
    for half in (32, 16):
        if i < half:
            shared[i] += shared[i + half]  # here
    out[i] = a[i]


def read_behind_the_barrier(out, a):
    shared = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    for _ in range(2):
        shared[i] = a[i]  # here
        cuda.syncthreads()
        out[i] = shared[63 - i]


def blocks_share_items(out, a):
    i = cuda.threadIdx.x
    out[i] = a[cuda.grid(1)]  # here


def warp_without_syncwarp(out, a):
    shared = cuda.shared.array(32, float32)
    i = cuda.threadIdx.x
    shared[i] = a[i]
    cuda.syncthreads()
    if i < 8:
        shared[i] += shared[i + 8]
        shared[i] += shared[i + 4]  # here
    out[i] = a[i]


def syncwarp_between_warps(out, a):
    shared = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    shared[i] = a[i]
    cuda.syncwarp()
    out[i] = shared[63 - i]  # here


def syncwarp_of_the_other_warp(out, a):
    shared = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    shared[i] = a[i]
    if i < 32:
        cuda.syncwarp()
    out[i] = shared[i ^ 1]  # here


def last_block_without_fence(out, a):
    i = cuda.blockIdx.x
    if cuda.threadIdx.x == 0:
        out[1 + i] = a[i]
        if cuda.atomic.add(a, 63, 1) == 3:
            for k in range(4):
                out[0] += out[1 + k]  # here


def barrier_in_branch(out, a):
    i = cuda.threadIdx.x
    if i < 16:
        out[i] = a[i]
        cuda.syncthreads()  # here


def shuffle_by_half_a_warp(out, a):
    i = cuda.threadIdx.x
    x = a[i]
    if i < 16:
        x += cuda.shfl_down_sync(0xFFFFFFFF, x, 8)  # here
    out[i] = x


def shuffle_beyond_the_block(out, a):
    i = cuda.threadIdx.x
    out[i] = cuda.shfl_down_sync(0xFFFFFFFF, a[i], 4)  # here


def no_guard(out, a):
    i = cuda.grid(1)
    out[i] = 1  # here


def one_before_the_first(out, a):
    i = cuda.grid(1)
    out[i] = a[i] - a[i - 1]  # here


def wrong_order_of_indices(out, a):
    x, y = cuda.grid(2)
    out[x, y] = 1  # here


def halo_never_filled(out, a):
    shared = cuda.shared.array(66, float32)
    i = cuda.threadIdx.x
    shared[i + 1] = a[i]
    cuda.syncthreads()
    out[i] = shared[i] + shared[i + 1]  # here


def assigned_by_some(out, a):
    i = cuda.threadIdx.x
    if i > 0:
        x = a[i]
    out[i] = x  # here


def second(array, i):
    return array[i + 1]  # here


def bug_in_a_device_function(out, a):
    i = cuda.grid(1)
    out[i] = second(a, i)


def never_zeroed(out, a):
    bins = cuda.shared.array(4, int32)
    i = cuda.threadIdx.x
    cuda.atomic.add(bins, i % 4, 1)  # here
    cuda.syncthreads()
    if i < 4:
        out[i] = bins[i]


def writes_for_ever(out, a):
    i = cuda.threadIdx.x
    while a[i] == 0:  # here
        out[i] += 1


def never_ends(out, a):
    i = cuda.threadIdx.x
    while i != 33:  # here
        i += 2
    out[i] = a[i]


def strided(out, a):
    i = cuda.threadIdx.x
    out[i] = a[(i * 8) % 512]  # here


def two_lanes_for_each_bank(out, a):
    shared = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    shared[2 * i] = a[i]  # here
    out[i] = a[i]


def scattered_tree(out, a):
    shared = cuda.shared.array(256, float32)
    i = cuda.threadIdx.x
    shared[i] = a[i]
    cuda.syncthreads()
    s = 1
    while s < 256:
        if i % (2 * s) == 0:  # here
            shared[i] += shared[i + s]
        cuda.syncthreads()
        s *= 2
    if i == 0:
        out[0] = shared[0]


def too_much_shared(out, a):
    tile = cuda.shared.array((128, 128), float32)  # here
    tile[0, cuda.threadIdx.x] = 0
    out[cuda.threadIdx.x] = tile[0, cuda.threadIdx.x]


def f4(*shape):
    return numpy.zeros(shape or 64, numpy.float32)


def x(*numbers):
    return tuple((number, 0, 0) for number in numbers)


# kernel, grid, block, out, a, kind, threads named (None: not checked), words of the sentence
BUGS = [
    (sum_without_atomic, 1, 64, f4(1), numpy.arange(64.0), "race", None, "use an atomic"),
    (round_without_barrier, 1, 64, f4(), f4(), "race", None, "at the end of each round"),
    (read_behind_the_barrier, 1, 64, f4(), f4(), "race", None, "at the end of each round"),
    (blocks_share_items, 4, 16, f4(16), numpy.arange(64.0), "race", x(0), "thread 0 of block 1"),
    (warp_without_syncwarp, 1, 32, f4(32), f4(32), "race", None, "shared["),
    (syncwarp_between_warps, 1, 64, f4(), f4(), "race", x(0, 63), "cuda.syncthreads()"),
    (syncwarp_of_the_other_warp, 1, 64, f4(), f4(), "race", x(32, 33), "shared[32]"),
    (last_block_without_fence, 4, 32, f4(5), f4(), "race", x(0), "no barrier spans blocks"),
    (barrier_in_branch, 1, 64, f4(), f4(), "barrier", x(*range(16, 48)), "Thread 16 and 47 more never"),
    (shuffle_by_half_a_warp, 1, 32, f4(), f4(), "barrier", x(*range(16, 32)), "cuda.shfl_down_sync"),
    (shuffle_beyond_the_block, 1, 20, f4(), f4(), "uninitialised", x(*range(16, 20)), "undefined"),
    (no_guard, 2, 40, f4(), f4(), "out of bounds", x(*range(24, 40)), "out[64], but out has 64 items"),
    (one_before_the_first, 1, 64, f4(), f4(), "out of bounds", x(0), "a[-1], which Numba silently"),
    (wrong_order_of_indices, 1, (8, 4), f4(4, 8), 0, "out of bounds", None, "out has shape (4, 8)"),
    (halo_never_filled, 1, 64, f4(), f4(), "uninitialised", x(0), "shared[0], which nobody has written"),
    (assigned_by_some, 1, 64, f4(), f4(), "uninitialised", x(0), "Thread 0 never assigned x"),
    (bug_in_a_device_function, 1, 64, f4(), f4(), "out of bounds", x(63), "a[64]"),
    (never_zeroed, 1, 64, f4(4), f4(), "uninitialised", None, "Thread 0 and 63 more read bins[0]"),
    (writes_for_ever, 1, 1024, f4(1024), f4(1024), "endless", None, "Thread 0 and 1023 more"),
    (never_ends, 1, 64, f4(), f4(), "endless", None, "Thread 0 and "),
    (strided, 1, 64, f4(), f4(512), "uncoalesced", x(*range(32)), "72 sectors where 16"),
    (two_lanes_for_each_bank, 1, 32, f4(32), f4(32), "bank conflict", x(*range(32)), "take 1 extra passes"),
    (scattered_tree, 1, 256, f4(1), f4(256), "divergence", None, "neighbours"),
    (too_much_shared, 1, 64, f4(), f4(), "limit", None, "65536 bytes"),
]  # fmt: skip


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug[0].__name__)
def test_a_planted_bug_is_found(bug, monkeypatch):
    monkeypatch.setattr(interpreter, "STEPS", 5000)  # loops without end would take some seconds
    monkeypatch.setattr(interpreter, "MOST", 200_000)
    kernel, grid, block, out, a, kind, threads, words = bug
    trace = tracer.trace(kernel, grid, block, out, a)
    source = trace.source.splitlines()
    found = [finding for finding in trace.findings if source[finding.line - 1].endswith("# here")]
    assert [finding.kind for finding in found] == [kind]
    assert words in found[0].message
    assert found[0].message.endswith(".")
    if threads is not None:
        assert found[0].threads == threads[:32]
    assert {finding.kind for finding in trace.findings} == {kind}, "something else was said of it"
