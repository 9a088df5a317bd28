"""How the lanes of a warp talk: shuffles, votes and the arithmetic on bits that goes with them.

What to notice: a warp is a row of 32 values. A shuffle takes the row apart and puts it together in another
order, a vote makes one number of it; no memory takes part, and no barrier is needed but the call itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer import arithmetic
from hpclab.kernels.tracer.arithmetic import Value
from hpclab.kernels.tracer.block import Call
from hpclab.kernels.tracer.lanes import spread
from hpclab.models.gpu_memory import WARP

_ALL = numpy.int64(0xFFFFFFFF)


def _named(call: Call, members: Value, what: str) -> NDArray[numpy.bool_]:
    """The lanes that a membermask names, a row per warp; those that live must all be here."""
    bits = (numpy.asarray(members).astype(numpy.int64)[..., None] >> numpy.arange(WARP)) & 1
    if bits.ndim == 1:
        named = numpy.broadcast_to(bits.astype(bool), call.mask.by_warp.shape)
    else:  # a mask computed by each lane: that of the first lane taking part
        rows = bits.astype(bool).reshape(-1, WARP, WARP)
        named = rows[numpy.arange(len(rows)), call.mask.by_warp.argmax(axis=1)]
    here = call.mask.by_warp
    absent = numpy.flatnonzero(named & call.block.living.by_warp & ~here & here.any(axis=1, keepdims=True))
    if len(absent):
        said = f"named in the mask of {what} but not here: call it where all lanes of the mask pass, or name "
        said += "only those that do."
        call.block.findings.about("barrier", call.line, call.block.index, absent.tolist(), "is", said)
    return named


def _syncwarp(call: Call, members: Value = _ALL) -> None:
    _named(call, members, "cuda.syncwarp")
    epochs = call.block.warp_epochs.copy()
    epochs[[warp for warp, _, _ in call.mask.warps]] += 1
    call.block.warp_epochs = epochs


def _shuffle(
    source: Callable[[NDArray, Any], NDArray], what: str
) -> Callable[[Call, Value, Value, Value], Value]:
    def shuffled(call: Call, members: Value, value: Value, by: Value) -> Value:
        _named(call, members, what)
        here, block = call.mask.by_warp, call.block
        lane = numpy.broadcast_to(numpy.arange(WARP), here.shape)
        by_lane = spread(by, block.threads.width).reshape(here.shape)
        of = source(lane, by_lane)
        of = numpy.where((of < 0) | (of >= WARP), lane, of)
        silent = numpy.flatnonzero(here & ~numpy.take_along_axis(here, of, axis=1))
        if len(silent) and not block.findings.has("barrier", call.line):
            said = f"from a lane that takes no part in {what}: what comes back is undefined; let whole warps "
            said += "take part, with a neutral value in the lanes beyond the end."
            block.findings.about("uninitialised", call.line, block.index, silent.tolist(), "reads", said)
        values = spread(arithmetic.number(value), block.threads.width).reshape(here.shape)
        return numpy.take_along_axis(values, of, axis=1).ravel()

    return shuffled


def _vote(combine: Callable[[NDArray, NDArray], NDArray], what: str) -> Callable[[Call, Value, Value], Value]:
    def vote(call: Call, members: Value, predicate: Value) -> Value:
        _named(call, members, what)
        here = call.mask.by_warp
        said = spread(arithmetic.truth(predicate), call.block.threads.width).reshape(here.shape)
        return numpy.repeat(combine(said, here), WARP)

    return vote


def _bits(rows: NDArray[numpy.bool_]) -> NDArray[numpy.int64]:
    return (rows.astype(numpy.int64) << numpy.arange(WARP)).sum(axis=1)


def _ballot(said: NDArray, here: NDArray) -> NDArray:
    return _bits(said & here).astype(numpy.uint32).astype(numpy.int32)  # Numba's type: lane 31 is the sign


def _activemask(call: Call) -> Value:
    return numpy.repeat(_bits(call.mask.by_warp).astype(numpy.uint32), WARP)


def _match_any(call: Call, members: Value, value: Value) -> Value:
    _named(call, members, "cuda.match_any_sync")
    here = call.mask.by_warp
    rows = spread(value, call.block.threads.width).reshape(here.shape)
    equal = (rows[:, :, None] == rows[:, None, :]) & here[:, None, :]
    return _bits(equal.reshape(-1, WARP)).astype(numpy.uint32).astype(numpy.int32)


def _by_bits(count: Callable[[NDArray], NDArray]) -> Callable[[Call, Value], Value]:
    def counted(call: Call, value: Value) -> Value:
        width = value.dtype.itemsize * 8
        bits = (value.astype(numpy.int64)[..., None] >> numpy.arange(width)) & 1
        return count(bits)[()]

    return counted


def _first_set(bits: NDArray) -> NDArray:
    return numpy.where(bits.any(axis=-1), bits.argmax(axis=-1) + 1, 0).astype(numpy.int32)


def _leading_zeros(bits: NDArray) -> NDArray:
    width = bits.shape[-1]
    return numpy.where(bits.any(axis=-1), bits[..., ::-1].argmax(axis=-1), width).astype(numpy.int32)


def _reversed_bits(call: Call, value: Value) -> Value:
    width = value.dtype.itemsize * 8
    places = numpy.arange(width, dtype=numpy.uint64)
    bits = (value.astype(numpy.uint64)[..., None] >> places) & numpy.uint64(1)
    weights = numpy.uint64(1) << places[::-1]
    return (bits * weights).sum(axis=-1, dtype=numpy.uint64).astype(value.dtype)[()]


CALLS: dict[str, Callable[..., Any]] = {
    "syncwarp": _syncwarp,
    "shfl_sync": _shuffle(lambda lane, by: by % WARP, "cuda.shfl_sync"),
    "shfl_up_sync": _shuffle(lambda lane, by: lane - by, "cuda.shfl_up_sync"),
    "shfl_down_sync": _shuffle(lambda lane, by: lane + by, "cuda.shfl_down_sync"),
    "shfl_xor_sync": _shuffle(lambda lane, by: lane ^ by, "cuda.shfl_xor_sync"),
    "ballot_sync": _vote(_ballot, "cuda.ballot_sync"),
    "any_sync": _vote(lambda said, here: (said & here).any(axis=1), "cuda.any_sync"),
    "all_sync": _vote(lambda said, here: (said | ~here).all(axis=1), "cuda.all_sync"),
    "eq_sync": _vote(
        lambda said, here: (said | ~here).all(axis=1) | ~(said & here).any(axis=1), "cuda.eq_sync"
    ),
    "match_any_sync": _match_any,
    "activemask": _activemask,
    "lanemask_lt": lambda call: ((1 << call.block.threads.lane.astype(numpy.int64)) - 1).astype(numpy.uint32),
    "popc": _by_bits(lambda bits: bits.sum(axis=-1).astype(numpy.int32)),
    "ffs": _by_bits(_first_set),
    "clz": _by_bits(_leading_zeros),
    "brev": _reversed_bits,
}
