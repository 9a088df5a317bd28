"""What stands behind `cuda.` in a kernel: thread indices, barriers, shared arrays, atomics.

Each intrinsic that is called is one function of the call (who calls, where, under which mask) and its
arguments. Shuffles and votes are in `warp`.
"""

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer import arithmetic, warp
from hpclab.kernels.tracer.arithmetic import Value
from hpclab.kernels.tracer.block import Block, Call
from hpclab.kernels.tracer.lanes import spread
from hpclab.kernels.tracer.memory import UNNAMED, Memory, View, whole
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


def _layout(shape: Value, dtype: object, alignment: Value = None) -> tuple[tuple[int, ...], numpy.dtype]:
    """What an array in a kernel is made from; how it is aligned changes nothing here."""
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(isinstance(size, numpy.integer) and size > 0 for size in sizes):
        raise ValueError("the shape of an array in a kernel is one or more constant whole numbers above 0")
    found = arithmetic.as_dtype(dtype)
    if found is None:
        raise ValueError("the type of an array in a kernel is one such as numba.float32")
    return tuple(int(size) for size in sizes), found


def constant(array: Any, name: str = UNNAMED) -> View:
    """An array that the kernel sees as a constant: cached apart, so it makes no requests."""
    return whole(Memory(name, "constant", numpy.ascontiguousarray(array)))


def _syncthreads_vote(combine: Callable[[NDArray], Any]) -> Callable[[Call, Value], Value]:
    def vote(call: Call, predicate: Value) -> Value:
        call.block.barrier(call.mask, call.node.lineno)
        said = spread(arithmetic.truth(predicate), call.block.threads.width)
        return numpy.int32(combine(said[call.mask.lanes]))

    return vote


def _atomic(operation: Callable, reads: bool = True) -> Callable[..., Value]:
    """`operation` of what is there and the operands; `reads` where the former matters."""

    def update(call: Call, view: View, index: Value, *operands: Value) -> Value:
        at = index if isinstance(index, tuple) else (index,)
        return call.block.atomic(call, operation, reads, view, at, *operands)

    return update


_compare_and_swap = _atomic(lambda old, expected, new: new if old == expected else old)


def _fma(call: Call, a: Value, b: Value, c: Value) -> Value:
    return arithmetic.binary(ast.Add(), arithmetic.binary(ast.Mult(), a, b), c)


def _half(operator: ast.operator) -> Callable[[Call, Value, Value], Value]:
    return lambda call, left, right: arithmetic.binary(operator, left, right).astype(numpy.float16)


def _fence(call: Call) -> None:
    call.block.recorder.fence(call.block.number)


CALLS: dict[str, Callable[..., Any]] = {
    "grid": _grid,
    "gridsize": _gridsize,
    "shared.array": lambda call, *of, **named: call.block.shared_array(call.node, *_layout(*of, **named)),
    "local.array": lambda call, *of, **named: call.block.local_array(call.node, *_layout(*of, **named)),
    "const.array_like": lambda call, array: array if isinstance(array, View) else constant(array),
    "syncthreads": lambda call: call.block.barrier(call.mask, call.node.lineno),
    "syncthreads_count": _syncthreads_vote(numpy.count_nonzero),
    "syncthreads_and": _syncthreads_vote(numpy.all),
    "syncthreads_or": _syncthreads_vote(numpy.any),
    "threadfence": _fence,
    "threadfence_system": _fence,
    "threadfence_block": lambda call: None,  # in this model every store is seen at once
    "nanosleep": lambda call, nanoseconds: None,
    "fma": _fma,
    "selp": lambda call, condition, yes, no: arithmetic.choose(arithmetic.truth(condition), yes, no),
    "cbrt": lambda call, x: arithmetic.FUNCTIONS[math.cbrt](x),
    "fp16.hadd": _half(ast.Add()),
    "fp16.hsub": _half(ast.Sub()),
    "fp16.hmul": _half(ast.Mult()),
    "fp16.hdiv": _half(ast.Div()),
    "fp16.hfma": lambda call, a, b, c: _fma(
        call, *(arithmetic.cast(value, numpy.dtype(numpy.float32)) for value in (a, b, c))
    ).astype(numpy.float16),
    "atomic.add": _atomic(numpy.add),
    "atomic.sub": _atomic(numpy.subtract),
    "atomic.max": _atomic(numpy.maximum),
    "atomic.min": _atomic(numpy.minimum),
    "atomic.and_": _atomic(numpy.bitwise_and),
    "atomic.or_": _atomic(numpy.bitwise_or),
    "atomic.xor": _atomic(numpy.bitwise_xor),
    "atomic.nanmax": _atomic(numpy.fmax),
    "atomic.nanmin": _atomic(numpy.fmin),
    "atomic.exch": _atomic(lambda old, new: new, reads=False),
    "atomic.inc": _atomic(lambda old, most: 0 if old >= most else old + 1),
    "atomic.dec": _atomic(lambda old, most: most if old == 0 or old > most else old - 1),
    "atomic.cas": _compare_and_swap,
    "atomic.compare_and_swap": lambda call, view, old, new: _compare_and_swap(
        call, view, numpy.int64(0), old, new
    ),
    **warp.CALLS,
}
FIRST_NAMES = {name.split(".")[0] for name in CALLS} | {
    "threadIdx", "blockIdx", "blockDim", "gridDim", "laneid", "warpsize",
}  # fmt: skip
