"""What stands behind `cuda.` in a kernel: thread indices, barriers, shared arrays, atomics.

Each intrinsic that is called is one function of the call (who calls, where, under which mask) and its
arguments. Shuffles and votes are in `warp`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

from hpclab.kernels.tracer import arithmetic, warp
from hpclab.kernels.tracer.arithmetic import Value
from hpclab.kernels.tracer.block import Block, Call
from hpclab.kernels.tracer.memory import View
from hpclab.models.gpu_memory import WARP


@dataclass(frozen=True)
class Intrinsic:
    """`cuda.shared.array` or a part of it: the attribute names decide, whatever object stands for cuda."""

    name: str


def values(block: Block) -> dict[str, Value]:
    """What the names that are not called stand for, such as threadIdx.x."""
    threads = block.threads
    triples: dict[str, Any] = {"threadIdx": (threads.x, threads.y, threads.z)}
    sizes = {"blockIdx": block.index, "blockDim": threads.shape, "gridDim": block.grid}
    triples |= {head: tuple(map(numpy.int32, of)) for head, of in sizes.items()}
    known = {f"{head}.{axis}": at for head, of in triples.items() for axis, at in zip("xyz", of, strict=True)}
    return known | {"laneid": threads.lane, "warpsize": numpy.int32(WARP)}


def _first(axes: list[Value], dimensions: Value) -> Value:
    return axes[0] if int(dimensions) == 1 else tuple(axes[: int(dimensions)])


def _grid(call: Call, dimensions: Value) -> Value:
    threads, block = call.block.threads, call.block.index
    begins = [numpy.int64(at * size) for at, size in zip(block, threads.shape, strict=True)]
    return _first([begins[0] + threads.x, begins[1] + threads.y, begins[2] + threads.z], dimensions)


def _gridsize(call: Call, dimensions: Value) -> Value:
    pairs = zip(call.block.grid, call.block.threads.shape, strict=True)
    return _first([numpy.int64(blocks * threads) for blocks, threads in pairs], dimensions)


def _layout(shape: Value, dtype: object) -> tuple[tuple[int, ...], numpy.dtype]:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(isinstance(size, numpy.integer) and size > 0 for size in sizes):
        raise ValueError("the shape of an array in a kernel is one or more constant whole numbers above 0")
    found = arithmetic.as_dtype(dtype)
    if found is None:
        raise ValueError("the type of an array in a kernel is one such as numba.float32")
    return tuple(int(size) for size in sizes), found


def _atomic(operation: numpy.ufunc) -> Callable[..., Value]:
    def update(call: Call, view: View, index: Value, value: Value) -> Value:
        at = index if isinstance(index, tuple) else (index,)
        return call.block.atomic(operation, view, at, value, call)

    return update


CALLS: dict[str, Callable[..., Any]] = {
    "grid": _grid,
    "gridsize": _gridsize,
    "shared.array": lambda call, shape, dtype: call.block.shared_array(call.node, *_layout(shape, dtype)),
    "local.array": lambda call, shape, dtype: call.block.local_array(call.node, *_layout(shape, dtype)),
    "syncthreads": lambda call: call.block.barrier(call.mask, call.node.lineno),
    "atomic.add": _atomic(numpy.add),
    "atomic.sub": _atomic(numpy.subtract),
    "atomic.max": _atomic(numpy.maximum),
    "atomic.min": _atomic(numpy.minimum),
    "atomic.and_": _atomic(numpy.bitwise_and),
    "atomic.or_": _atomic(numpy.bitwise_or),
    "atomic.xor": _atomic(numpy.bitwise_xor),
    "atomic.nanmax": _atomic(numpy.fmax),
    "atomic.nanmin": _atomic(numpy.fmin),
    **warp.CALLS,
}
FIRST_NAMES = {name.split(".")[0] for name in CALLS} | {
    "threadIdx", "blockIdx", "blockDim", "gridDim", "laneid", "warpsize",
}  # fmt: skip
