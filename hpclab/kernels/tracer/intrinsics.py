"""What stands behind `cuda.` in a kernel: thread indices, barriers, shared arrays, atomics.

Each intrinsic is one function of the call (who calls, where, under which mask) and its arguments. Shuffles
and votes are in `warp`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer import arithmetic, warp
from hpclab.kernels.tracer.arithmetic import Value
from hpclab.kernels.tracer.block import Block, Call
from hpclab.kernels.tracer.lanes import spread
from hpclab.kernels.tracer.memory import ATOMICS, UNNAMED, Memory, View, row_major, whole
from hpclab.models.gpu_memory import WARP


@dataclass(frozen=True)
class Intrinsic:
    """`cuda.shared.array` or a part of it: the attribute names decide, whatever object stands for cuda."""

    name: str


def value(name: str, block: Block) -> Value | None:
    """What a name that is not called stands for, such as threadIdx.x; None where there is no such name."""
    threads = block.threads
    head, _, axis = name.partition(".")
    if head in ("blockIdx", "blockDim", "gridDim") and axis in ("x", "y", "z"):
        of = {"blockIdx": block.index, "blockDim": threads.shape, "gridDim": block.grid}[head]
        return numpy.int32(of["xyz".index(axis)])
    if head == "threadIdx" and axis in ("x", "y", "z"):
        return getattr(threads, axis)
    return {"laneid": threads.lane, "warpsize": numpy.int32(WARP)}.get(name)


def _grid(call: Call, dimensions: Value) -> Value:
    threads, block = call.block.threads, call.block.index
    at = [
        numpy.int64(block[axis] * threads.shape[axis]) + along
        for axis, along in enumerate((threads.x, threads.y, threads.z))
    ]
    return at[0] if int(dimensions) == 1 else tuple(at[: int(dimensions)])


def _gridsize(call: Call, dimensions: Value) -> Value:
    sizes = tuple(numpy.int64(g * b) for g, b in zip(call.block.grid, call.block.threads.shape, strict=True))
    return sizes[0] if int(dimensions) == 1 else sizes[: int(dimensions)]


def _shape(shape: Value) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(isinstance(size, numpy.integer) and size > 0 for size in sizes):
        raise ValueError("the shape of an array in a kernel is one or more constant whole numbers above 0")
    return tuple(int(size) for size in sizes)


def _type(dtype: object) -> numpy.dtype:
    found = arithmetic.as_dtype(dtype)
    if found is None:
        raise ValueError("the type of an array in a kernel is one such as numba.float32")
    return found


def _shared_array(call: Call, shape: Value, dtype: object, alignment: Value = None) -> View:
    return call.block.shared_array(id(call.node), _shape(shape), _type(dtype), call.line)


def _local_array(call: Call, shape: Value, dtype: object, alignment: Value = None) -> View:
    return call.block.local_array(id(call.node), _shape(shape), _type(dtype))


def constant(array: Any, name: str) -> View:
    """An array that the kernel sees as a constant: cached apart, so it makes no requests."""
    data = numpy.ascontiguousarray(array)
    return whole(Memory(name, "constant", data.ravel(), data.shape, row_major(data.shape)))


def _syncthreads(call: Call) -> None:
    call.block.barrier(call.mask, call.line)


def _syncthreads_vote(combine: Callable[[NDArray[numpy.bool_]], Any]) -> Callable[[Call, Value], Value]:
    def vote(call: Call, predicate: Value) -> Value:
        call.block.barrier(call.mask, call.line)
        said = spread(arithmetic.truth(predicate), call.block.threads.width)
        return numpy.int32(combine(said[call.mask.lanes]))

    return vote


def _atomic(name: str) -> Callable[..., Value]:
    def update(call: Call, view: View, index: Value, *values: Value) -> Value:
        at = index if isinstance(index, tuple) else (index,)
        value = values if name == "cas" else values[0]
        return call.block.atomic(view, at, name, value, call.mask, call.line, call.wants_value)

    return update


def _compare_and_swap(call: Call, view: View, old: Value, new: Value) -> Value:
    return _atomic("cas")(call, view, numpy.int64(0), old, new)


def _fma(call: Call, a: Value, b: Value, c: Value) -> Value:
    return arithmetic.binary(ast.Add(), arithmetic.binary(ast.Mult(), a, b), c)


def _select(call: Call, condition: Value, yes: Value, no: Value) -> Value:
    return arithmetic.choose(arithmetic.truth(condition), yes, no)


def _half(operator: ast.operator) -> Callable[[Call, Value, Value], Value]:
    def operated(call: Call, left: Value, right: Value) -> Value:
        return arithmetic.binary(operator, left, right).astype(numpy.float16)

    return operated


def _fence(call: Call) -> None:
    call.block.recorder.fence(call.block.number)


def _nothing(call: Call, *values: Value) -> None:
    """Sleep, and the fence of a block: in this model every store is seen at once."""


CALLS: dict[str, Callable[..., Any]] = {
    "grid": _grid,
    "gridsize": _gridsize,
    "shared.array": _shared_array,
    "local.array": _local_array,
    "const.array_like": lambda call, array: (
        constant(array, UNNAMED) if not isinstance(array, View) else array
    ),
    "syncthreads": _syncthreads,
    "syncthreads_count": _syncthreads_vote(numpy.count_nonzero),
    "syncthreads_and": _syncthreads_vote(numpy.all),
    "syncthreads_or": _syncthreads_vote(numpy.any),
    "fma": _fma,
    "selp": _select,
    "cbrt": lambda call, x: numpy.cbrt(arithmetic.floating(x)),
    "fp16.hadd": _half(ast.Add()),
    "fp16.hsub": _half(ast.Sub()),
    "fp16.hmul": _half(ast.Mult()),
    "fp16.hdiv": _half(ast.Div()),
    "fp16.hfma": lambda call, a, b, c: _fma(
        call, *(arithmetic.cast(v, numpy.dtype(numpy.float32)) for v in (a, b, c))
    ).astype(numpy.float16),
    "threadfence": _fence,
    "threadfence_block": _nothing,
    "threadfence_system": _fence,
    "nanosleep": _nothing,
    "atomic.compare_and_swap": _compare_and_swap,
    **{f"atomic.{name}": _atomic(name) for name in ATOMICS},
    **warp.CALLS,
}
_AXES = {f"{head}.{axis}" for head in ("threadIdx", "blockIdx", "blockDim", "gridDim") for axis in "xyz"}
NAMES = {*CALLS, *_AXES, "laneid", "warpsize"}
FIRST_NAMES = {name.split(".")[0] for name in NAMES}
