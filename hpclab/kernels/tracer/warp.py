"""How the lanes of a warp talk: shuffles, votes and the arithmetic on bits that goes with them.

What to notice: a warp is a row of 32 values. A shuffle takes the row apart and puts it together in another
order, a vote makes one number of it; no memory takes part, and no barrier is needed but the call itself.
"""

from collections.abc import Callable
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer import arithmetic
from hpclab.kernels.tracer.arithmetic import Value
from hpclab.kernels.tracer.block import Call
from hpclab.kernels.tracer.lanes import spread
from hpclab.kernels.warp_simulator import SHUFFLES
from hpclab.models.gpu_memory import WARP

_ALL = numpy.int64(0xFFFFFFFF)


def _rows(call: Call, value: Value) -> NDArray:
    """A value as a row of 32 for each warp."""
    return spread(value, call.block.threads.width).reshape(-1, WARP)


def _check_members(call: Call, members: Value, what: str) -> None:
    """The lanes that a membermask names must all be here, those that live; the first lane's mask counts."""
    here, block = call.mask.by_warp, call.block
    mask = _rows(call, members)[numpy.arange(len(here)), here.argmax(axis=1)].astype(numpy.int64)
    named = mask[:, None] >> numpy.arange(WARP) & 1 == 1
    absent = numpy.flatnonzero(named & block.living.by_warp & ~here & here.any(axis=1, keepdims=True))
    if len(absent):
        said = f"named in the mask of {what} but not here: call it where all lanes of the mask pass, or name "
        said += "only those that do."
        block.findings.about("barrier", call.node.lineno, block.index, absent.tolist(), "is", said)


def _syncwarp(call: Call, members: Value = _ALL) -> None:
    _check_members(call, members, "cuda.syncwarp")
    epochs = call.block.warp_epochs.copy()
    epochs[[warp for warp, _, _ in call.mask.warps]] += 1
    call.block.warp_epochs = epochs


def _shuffle(whom: Callable[[Any, Any], Any], what: str) -> Callable[[Call, Value, Value, Value], Value]:
    def shuffled(call: Call, members: Value, value: Value, by: Value) -> Value:
        _check_members(call, members, what)
        here, block, line = call.mask.by_warp, call.block, call.node.lineno
        lane = numpy.broadcast_to(numpy.arange(WARP), here.shape)
        of = whom(lane, _rows(call, by))
        of = numpy.where((of < 0) | (of >= WARP), lane, of)
        silent = numpy.flatnonzero(here & ~numpy.take_along_axis(here, of, axis=1))
        if len(silent) and not block.findings.has("barrier", line):
            said = f"from a lane that takes no part in {what}: what comes back is undefined; let whole warps "
            said += "take part, with a neutral value in the lanes beyond the end."
            block.findings.about("uninitialised", line, block.index, silent.tolist(), "reads", said)
        return numpy.take_along_axis(_rows(call, value), of, axis=1).ravel()

    return shuffled


def _vote(combine: Callable[[NDArray, NDArray], NDArray], what: str) -> Callable[[Call, Value, Value], Value]:
    def vote(call: Call, members: Value, predicate: Value) -> Value:
        _check_members(call, members, what)
        said = _rows(call, arithmetic.truth(predicate))
        return numpy.repeat(combine(said, call.mask.by_warp), WARP)

    return vote


def _match_any(call: Call, members: Value, value: Value) -> Value:
    _check_members(call, members, "cuda.match_any_sync")
    rows = _rows(call, value)
    equal = (rows[:, :, None] == rows[:, None, :]) & call.mask.by_warp[:, None, :]
    return _packed(equal).astype(numpy.int32).ravel()


def _packed(lanes: NDArray) -> NDArray:
    """The truth values of 32 lanes as one number. Numba takes most as signed: lane 31 is the sign."""
    return (lanes.astype(numpy.int64) << numpy.arange(WARP)).sum(axis=-1).astype(numpy.uint32)


def _bits(value: Value) -> NDArray:
    """A row of 0 and 1 for each value, the lowest bit first."""
    return value.astype(numpy.int64)[..., None] >> numpy.arange(8 * value.dtype.itemsize) & 1


def _of_bits(count: Callable[[NDArray], Any]) -> Callable[[Call, Value], Value]:
    return lambda call, value: count(_bits(value)).astype(numpy.int32)[()]


def _reversed(call: Call, value: Value) -> Value:
    places = numpy.arange(8 * value.dtype.itemsize)
    return (_bits(value) << places[::-1]).sum(axis=-1).astype(numpy.uint64).astype(value.dtype)[()]


CALLS: dict[str, Callable[..., Any]] = {
    **{name: _shuffle(whom, f"cuda.{name}") for name, whom in SHUFFLES.items()},
    "syncwarp": _syncwarp,
    "ballot_sync": _vote(lambda said, here: _packed(said & here).astype(numpy.int32), "cuda.ballot_sync"),
    "any_sync": _vote(lambda said, here: (said & here).any(axis=1), "cuda.any_sync"),
    "all_sync": _vote(lambda said, here: (said | ~here).all(axis=1), "cuda.all_sync"),
    "eq_sync": _vote(
        lambda said, here: (said | ~here).all(axis=1) | ~(said & here).any(axis=1), "cuda.eq_sync"
    ),
    "match_any_sync": _match_any,
    "activemask": lambda call: numpy.repeat(_packed(call.mask.by_warp), WARP),
    "lanemask_lt": lambda call: ((1 << call.block.threads.lane.astype(numpy.int64)) - 1).astype(numpy.uint32),
    "popc": _of_bits(lambda bits: bits.sum(axis=-1)),
    "ffs": _of_bits(lambda bits: numpy.where(bits.any(axis=-1), bits.argmax(axis=-1) + 1, 0)),
    "clz": _of_bits(
        lambda bits: numpy.where(bits.any(axis=-1), bits[..., ::-1].argmax(axis=-1), bits.shape[-1])
    ),
    "brev": _reversed,
}
