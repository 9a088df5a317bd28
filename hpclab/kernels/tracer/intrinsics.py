"""What stands behind `cuda.` in a kernel: thread indices, barriers, arrays, atomics, shuffles and votes.

A warp is a row of 32 values: a shuffle puts it in another order, a vote makes one number of it.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer import arithmetic
from hpclab.kernels.tracer.arithmetic import Value
from hpclab.kernels.tracer.block import Block, Call
from hpclab.kernels.tracer.lanes import spread
from hpclab.kernels.tracer.recorder import UNNAMED, Memory, View, whole
from hpclab.kernels.warp_simulator import SHUFFLES
from hpclab.models.gpu_memory import WARP

_ALL_LANES = numpy.int64(0xFFFFFFFF)


@dataclass(frozen=True)
class Intrinsic:
    """A name after `cuda.`, such as `shared.array` or its first part, whatever object stands for cuda."""

    name: str


def values(block: Block) -> dict[str, Value]:
    """The values of `cuda.` that are no functions, by name, such as threadIdx.x."""
    threads = block.threads
    triples: dict[str, Any] = {"threadIdx": (threads.x, threads.y, threads.z)}
    sizes = {"blockIdx": block.index, "blockDim": threads.shape, "gridDim": block.grid}
    triples |= {head: tuple(map(numpy.int32, of)) for head, of in sizes.items()}
    known = {f"{head}.{axis}": at for head, of in triples.items() for axis, at in zip("xyz", of, strict=True)}
    return known | {"laneid": threads.lane, "warpsize": numpy.int32(WARP)}


def constant(array: Any, name: str = UNNAMED) -> View:
    """An array in constant memory, which has a cache of its own: it makes no requests."""
    return whole(Memory(name, "constant", numpy.ascontiguousarray(array)))


def _first(axes: list[Value], dimensions: Value) -> Value:
    """The values of the first `dimensions` axes as cuda.grid gives them: one alone, or a tuple."""
    return axes[0] if int(dimensions) == 1 else tuple(axes[: int(dimensions)])


def _grid(call: Call, dimensions: Value) -> Value:
    threads = call.block.threads
    own = zip(call.block.index, threads.shape, (threads.x, threads.y, threads.z), strict=True)
    return _first([numpy.int64(index * size) + thread for index, size, thread in own], dimensions)


def _gridsize(call: Call, dimensions: Value) -> Value:
    pairs = zip(call.block.grid, call.block.threads.shape, strict=True)
    return _first([numpy.int64(blocks * threads) for blocks, threads in pairs], dimensions)


def _array_type(shape: Value, dtype: object, alignment: Value = None) -> tuple[tuple[int, ...], numpy.dtype]:
    """Shape and dtype of a shared or local array; ValueError if not valid. `alignment` changes nothing."""
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(isinstance(size, numpy.integer) and size > 0 for size in sizes):
        raise ValueError("the shape of an array in a kernel is one or more constant whole numbers above 0")
    found = arithmetic.as_dtype(dtype)
    if found is None:
        raise ValueError("the type of an array in a kernel is one such as numba.float32")
    return tuple(int(size) for size in sizes), found


def _syncthreads(combine: Callable[[NDArray], Any]) -> Callable[[Call, Value], Value]:
    """Return a barrier that gives all threads ``combine`` of their predicates."""

    def vote(call: Call, predicate: Value) -> Value:
        call.block.barrier(call.mask, call.node.lineno)
        votes = spread(arithmetic.truth(predicate), call.block.threads.width)
        return numpy.int32(combine(votes[call.mask.lanes]))

    return vote


def _atomic(operation: Callable, reads: bool = True) -> Callable[..., Value]:
    """Return an atomic that stores ``operation(old, *operands)``; `reads`: it depends on `old`."""

    def update(call: Call, view: View, index: Value, *operands: Value) -> Value:
        at = index if isinstance(index, tuple) else (index,)
        return call.block.atomic(call, operation, reads, view, at, *operands)

    return update


_compare_and_swap = _atomic(lambda old, expected, new: new if old == expected else old)


def _fence(call: Call) -> None:
    recorder = call.block.recorder
    recorder.last_fence[call.block.number] = recorder.steps


def _rows(call: Call, value: Value) -> NDArray:
    """`value` as an array (warps, 32)."""
    return spread(value, call.block.threads.width).reshape(-1, WARP)


def _check_members(call: Call, members: Value, what: str) -> None:
    """Add a finding if living lanes that a warp's membermask names do not execute this call, of `what`. Its
    first active lane's mask counts."""
    here, block = call.mask.by_warp, call.block
    mask = _rows(call, members)[numpy.arange(len(here)), here.argmax(axis=1)].astype(numpy.int64)
    named = mask[:, None] >> numpy.arange(WARP) & 1 == 1
    absent = numpy.flatnonzero(named & block.living.by_warp & ~here & here.any(axis=1, keepdims=True))
    if len(absent):
        rest = f"named in the mask of {what} but not here: call it where all lanes of the mask pass, or name "
        rest += "only those that do."
        block.findings.add_about("barrier", call.node.lineno, block.index, absent.tolist(), "is", rest)


def _syncwarp(call: Call, members: Value = _ALL_LANES) -> None:
    _check_members(call, members, "cuda.syncwarp")
    epochs = call.block.warp_epochs.copy()
    epochs[[warp for warp, _, _ in call.mask.warps]] += 1
    call.block.warp_epochs = epochs


def _shuffle(source: Callable[[Any, Any], Any], what: str) -> Callable[[Call, Value, Value, Value], Value]:
    """Return the shuffle `what`, in which a lane receives the value of lane ``source(lane, by)``."""

    def shuffle(call: Call, members: Value, value: Value, by: Value) -> Value:
        _check_members(call, members, what)
        here, block, line = call.mask.by_warp, call.block, call.node.lineno
        lane = numpy.broadcast_to(numpy.arange(WARP), here.shape)
        of = source(lane, _rows(call, by))
        of = numpy.where((of < 0) | (of >= WARP), lane, of)
        silent = numpy.flatnonzero(here & ~numpy.take_along_axis(here, of, axis=1))
        if len(silent) and not block.findings.has("barrier", line):
            rest = f"from a lane that takes no part in {what}: what comes back is undefined; let whole warps "
            rest += "take part, with a neutral value in the lanes beyond the end."
            block.findings.add_about("uninitialised", line, block.index, silent.tolist(), "reads", rest)
        return numpy.take_along_axis(_rows(call, value), of, axis=1).ravel()

    return shuffle


def _vote(combine: Callable[[NDArray, NDArray], NDArray], what: str) -> Callable[[Call, Value, Value], Value]:
    """Return the vote `what`: ``combine(votes, active)``, of arrays (warps, 32), is a number per warp."""

    def vote(call: Call, members: Value, predicate: Value) -> Value:
        _check_members(call, members, what)
        votes = _rows(call, arithmetic.truth(predicate))
        return numpy.repeat(combine(votes, call.mask.by_warp), WARP)

    return vote


def _packed(lanes: NDArray) -> NDArray:
    """A bit mask of 32 lanes' truth values, lane 0 the lowest bit (Numba makes cuda.ballot_sync's signed)."""
    return (lanes.astype(numpy.int64) << numpy.arange(WARP)).sum(axis=-1).astype(numpy.uint32)


def _of_bits(count: Callable[[NDArray], Any]) -> Callable[[Call, Value], Value]:
    """Return an intrinsic that is ``count`` of the bits of a value, the lowest first."""

    def of_value(call: Call, value: Value) -> Value:
        bits = value.astype(numpy.int64)[..., None] >> numpy.arange(8 * value.dtype.itemsize) & 1
        return count(bits).astype(numpy.int32)[()]

    return of_value


# Frozen: what no kernel, exercise or notebook of the course uses is not added.
CALLS: dict[str, Callable[..., Any]] = {
    "grid": _grid,
    "gridsize": _gridsize,
    "shared.array": lambda call, *of, **named: call.block.shared_array(call.node, *_array_type(*of, **named)),
    "local.array": lambda call, *of, **named: call.block.local_array(call.node, *_array_type(*of, **named)),
    "const.array_like": lambda call, array: array if isinstance(array, View) else constant(array),
    "syncthreads": lambda call: call.block.barrier(call.mask, call.node.lineno),
    "syncthreads_count": _syncthreads(numpy.count_nonzero),
    "syncthreads_and": _syncthreads(numpy.all),
    "syncthreads_or": _syncthreads(numpy.any),
    "threadfence": _fence,
    "threadfence_system": _fence,
    "threadfence_block": lambda call: None,  # in this model every store is seen at once
    "nanosleep": lambda call, nanoseconds: None,
    "fma": lambda call, a, b, c: arithmetic.binary(ast.Add(), arithmetic.binary(ast.Mult(), a, b), c),
    "atomic.add": _atomic(numpy.add),
    "atomic.sub": _atomic(numpy.subtract),
    "atomic.max": _atomic(numpy.maximum),
    "atomic.min": _atomic(numpy.minimum),
    "atomic.nanmax": _atomic(numpy.fmax),
    "atomic.nanmin": _atomic(numpy.fmin),
    "atomic.and_": _atomic(numpy.bitwise_and),
    "atomic.or_": _atomic(numpy.bitwise_or),
    "atomic.xor": _atomic(numpy.bitwise_xor),
    "atomic.exch": _atomic(lambda old, new: new, reads=False),
    "atomic.cas": _compare_and_swap,
    "atomic.compare_and_swap": lambda call, view, *of: _compare_and_swap(call, view, numpy.int64(0), *of),
    **{name: _shuffle(source, f"cuda.{name}") for name, source in SHUFFLES.items()},
    "syncwarp": _syncwarp,
    "ballot_sync": _vote(lambda votes, here: _packed(votes & here).astype(numpy.int32), "cuda.ballot_sync"),
    "any_sync": _vote(lambda votes, here: (votes & here).any(axis=1), "cuda.any_sync"),
    "all_sync": _vote(lambda votes, here: (votes | ~here).all(axis=1), "cuda.all_sync"),
    "activemask": lambda call: numpy.repeat(_packed(call.mask.by_warp), WARP),
    "popc": _of_bits(lambda bits: bits.sum(axis=-1)),
    "ffs": _of_bits(lambda bits: numpy.where(bits.any(axis=-1), bits.argmax(axis=-1) + 1, 0)),
    "clz": _of_bits(lambda bits: (bits[..., ::-1].cumsum(axis=-1) == 0).sum(axis=-1)),
}  # fmt: skip
FIRST_NAMES = {name.split(".")[0] for name in CALLS} | {
    "threadIdx", "blockIdx", "blockDim", "gridDim", "laneid", "warpsize",
}  # fmt: skip
