"""Expressions for all lanes at once: each is computed once, on vectors, under the mask of the lanes that ask.

`and`, `or` and `x if c else y` skip nothing: both sides are computed, each under the mask of the lanes that
want it, and a lane that is switched off reads nothing.
"""

import ast
import builtins
import math
from dataclasses import dataclass, field
from typing import Any

import numpy

from hpclab.kernels.tracer import arithmetic, intrinsics
from hpclab.kernels.tracer.arithmetic import Value, is_number, truth
from hpclab.kernels.tracer.block import Block, Call
from hpclab.kernels.tracer.intrinsics import Intrinsic
from hpclab.kernels.tracer.lanes import Mask
from hpclab.kernels.tracer.recorder import View
from hpclab.kernels.tracer.source import Function, Sources, Unsupported, python_function


@dataclass
class Loop:
    """A loop that is being executed: its line, and the lanes that executed `break`, or `continue` now."""

    line: int
    broken: list[Mask] = field(default_factory=list)
    continued: list[Mask] = field(default_factory=list)


@dataclass
class Frame:
    """One call of one function; a variable is a value per lane or for all, and the lanes that have it."""

    function: Function
    variables: dict[str, tuple[Value, Mask]]
    depth: int
    loops: list[Loop] = field(default_factory=list)
    value: Value = None  # what its lanes returned


class Expressions:
    """Computes expressions of a kernel; `Interpreter` adds the statements."""

    def __init__(self, sources: Sources, block: Block) -> None:
        self.sources, self.block = sources, block
        self.frame: Frame
        self.line = 0
        self._indices = intrinsics.values(block)
        self._constants: dict[int, View] = {}

    def unsupported(self, node: ast.expr | ast.stmt, what: str) -> Unsupported:
        """The error to raise: the tracer "does not know" `what`, at `node`."""
        return self.sources.refused(node.lineno, f"does not know {what}")

    def value(self, node: ast.expr, mask: Mask) -> Value:
        """Compute an expression in the lanes of `mask`; its value in the others is undefined."""
        compute = getattr(self, f"_{type(node).__name__}", None)
        if compute is None:
            raise self.unsupported(node, f"the construct {type(node).__name__}")
        return compute(node, mask)

    def call_function(self, function: Function, arguments: dict[str, Value], mask: Mask) -> Value:
        """Execute `function` for the lanes of `mask`, and return its value."""
        raise NotImplementedError

    def merged(self, mask: Mask, new: Value, old: Value) -> Value:
        """`new` in the lanes of `mask`, `old` in the others."""
        if new is old:
            return old
        if is_number(new) and is_number(old):
            return numpy.where(mask.on, new, old)
        if isinstance(new, tuple) and isinstance(old, tuple) and len(new) == len(old):
            return tuple(self.merged(mask, *pair) for pair in zip(new, old, strict=True))
        if isinstance(new, View) and isinstance(old, View) and new.memory is old.memory:
            return View(new.memory, numpy.where(mask.on, new.offset, old.offset), new.shape, new.strides)
        raise TypeError("a variable that is a different array or kind of thing in different threads")

    # Names

    def _Constant(self, node: ast.Constant, mask: Mask) -> Value:
        return arithmetic.number(node.value)

    def _Tuple(self, node: ast.Tuple, mask: Mask) -> Value:
        return tuple(self.value(item, mask) for item in node.elts)

    def _Name(self, node: ast.Name, mask: Mask) -> Value:
        function, name = self.frame.function, node.id
        if name in self.frame.variables:
            value, has = self.frame.variables[name]
            if has is not mask and (without := mask.on & ~has.on).any():
                who, rest = numpy.flatnonzero(without).tolist(), f"{name}: give it a value before the if."
                add = self.block.findings.add_about
                add("uninitialised", node.lineno, self.block.index, who, "never assigned", rest)
            return value
        if name in function.assigned:
            raise self.unsupported(node, f"a value of {name}, which is not assigned before this line")
        if name not in function.names:
            raise self.unsupported(node, f"the name {name}")
        return self._outer(name, function.names[name])

    def _outer(self, name: str, value: Any) -> Value:
        """A global's or closure's value as the kernel sees it; an array is a constant, without requests."""
        if isinstance(value, numpy.ndarray):
            return self._constants.setdefault(id(value), intrinsics.constant(value, name))
        if str(getattr(value, "__module__", "")).startswith("numba.cuda"):  # from numba.cuda import grid
            stub = str(getattr(value, "__qualname__", getattr(value, "__name__", "")))
            if stub.split(".")[0] in intrinsics.FIRST_NAMES:
                return self._named(stub)
        return arithmetic.number(value)

    def _Attribute(self, node: ast.Attribute, mask: Mask) -> Value:
        base = self.value(node.value, mask)
        if isinstance(base, View):
            size, itemsize = math.prod(base.shape), base.dtype.itemsize
            known = {
                "shape": base.shape, "ndim": len(base.shape), "size": size, "dtype": base.dtype,
                "itemsize": itemsize, "nbytes": size * itemsize,
                "strides": tuple(stride * itemsize for stride in base.strides),
                "T": View(base.memory, base.offset, base.shape[::-1], base.strides[::-1]),
            }  # fmt: skip
            if node.attr not in known:
                raise self.unsupported(node, f"the attribute {node.attr} of an array")
            return arithmetic.number(known[node.attr])
        if isinstance(base, Intrinsic):
            return self._named(f"{base.name}.{node.attr}")
        if node.attr in intrinsics.FIRST_NAMES and base is not math:  # it has an fma of its own
            return self._named(node.attr)
        if is_number(base) and node.attr in ("dtype", "real", "imag"):
            return getattr(base, node.attr)
        if hasattr(base, node.attr):
            return self._outer(node.attr, getattr(base, node.attr))
        dtype = arithmetic.as_dtype(getattr(numpy, node.attr.replace("boolean", "bool_"), None))
        if dtype is None:
            raise self.unsupported(node, ast.unparse(node))
        return dtype  # whatever object stands for numba

    def _named(self, name: str) -> Value:
        """What ``cuda.<name>`` is: a value, such as `threadIdx.x`, or an Intrinsic."""
        return self._indices.get(name, Intrinsic(name))

    # Operators

    def _BinOp(self, node: ast.BinOp, mask: Mask) -> Value:
        return arithmetic.binary(node.op, self.value(node.left, mask), self.value(node.right, mask))

    def _UnaryOp(self, node: ast.UnaryOp, mask: Mask) -> Value:
        return arithmetic.unary(node.op, self.value(node.operand, mask))

    def _Compare(self, node: ast.Compare, mask: Mask) -> Value:
        left, holds, asking = self.value(node.left, mask), numpy.bool_(True), mask
        for operator, operand in zip(node.ops, node.comparators, strict=True):
            right = self.value(operand, asking)
            holds = holds & arithmetic.binary(operator, left, right)
            asking, left = mask.where(holds), right
            if not asking.count:
                break
        return holds

    def _BoolOp(self, node: ast.BoolOp, mask: Mask) -> Value:
        result = self.value(node.values[0], mask)
        for operand in node.values[1:]:
            asking = mask.where(truth(result) if isinstance(node.op, ast.And) else ~truth(result))
            if not asking.count:
                break
            other = self.value(operand, asking)
            result = other if asking is mask else self.merged(asking, other, result)
        return result

    def _IfExp(self, node: ast.IfExp, mask: Mask) -> Value:
        yes = mask.where(truth(self.value(node.test, mask)))
        if yes is mask:
            return self.value(node.body, yes)
        other = self.value(node.orelse, mask.without(yes))
        return self.merged(yes, self.value(node.body, yes), other) if yes.count else other

    # Arrays

    def _Subscript(self, node: ast.Subscript, mask: Mask) -> Value:
        base = self.value(node.value, mask)
        if isinstance(base, tuple):
            place = self.value(node.slice, mask)
            if not isinstance(place, numpy.integer):
                raise self.unsupported(node, "an index into a tuple that differs between threads")
            return base[int(place)]
        view, index = self.place(base, node, mask)
        get = self.block.load if len(index) == len(view.shape) else self.block.row
        return get(view, index, mask, node.lineno)

    def place(self, base: Value, node: ast.Subscript, mask: Mask) -> tuple[View, tuple[Value, ...]]:
        """The array `base` and its index at `node`, whole numbers; Unsupported if it is anything else."""
        if not isinstance(base, View):
            raise self.unsupported(node, f"an index into {ast.unparse(node.value)}, which is no array")
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if any(isinstance(part, ast.Slice) for part in parts):
            raise self.unsupported(node, "slices of arrays: index the items")
        value = self.value(node.slice, mask)
        index = value if isinstance(value, tuple) else (value,)
        if not all(is_number(at) and at.dtype.kind in "iub" for at in index):
            raise self.unsupported(node, "an index that is not a whole number")
        if len(index) > len(base.shape):
            raise self.unsupported(node, f"{len(index)} indices for an array of {len(base.shape)} dimensions")
        return base, index

    # Calls

    def _Call(self, node: ast.Call, mask: Mask, wants_value: bool = True) -> Value:
        called = self.value(node.func, mask)
        if called is builtins.print:
            return None
        given = [self.value(argument, mask) for argument in node.args]
        named = {keyword.arg or "": self.value(keyword.value, mask) for keyword in node.keywords}
        if isinstance(called, Intrinsic):
            if called.name not in intrinsics.CALLS:
                raise self.unsupported(node, f"cuda.{called.name}")
            if called.name in ("shared.array", "local.array"):
                self._check_constant(node)
            return intrinsics.CALLS[called.name](Call(self.block, mask, node, wants_value), *given, **named)
        if called is builtins.len and len(given) == 1:
            return numpy.int64(len(given[0]) if isinstance(given[0], tuple) else given[0].shape[0])
        if type(called).__hash__ is not None and called in arithmetic.FUNCTIONS:
            return arithmetic.FUNCTIONS[called](*given, **named)
        if (dtype := arithmetic.as_dtype(called)) is not None and len(given) == 1:
            return arithmetic.cast(given[0], dtype)
        if isinstance(called, numpy.ufunc):
            return called(*map(arithmetic.wide, given))
        python = python_function(called)
        if python is not None and str(python.__module__).split(".")[0] not in ("numba", "numba_cuda"):
            function = self.sources.function(python)
            bound = function.signature.bind(*given, **named)
            bound.apply_defaults()
            arguments = {name: arithmetic.number(value) for name, value in bound.arguments.items()}
            return self.call_function(function, arguments, mask)
        raise self.unsupported(node, f"the function {ast.unparse(node.func)}")

    def _check_constant(self, node: ast.Call) -> None:
        """Raise Unsupported if an array's shape is an argument: Numba fixes it before there are any."""
        shape = [keyword.value for keyword in node.keywords if keyword.arg == "shape"] + node.args[:1]
        for part in ast.walk(shape[0]) if shape else ():
            if isinstance(part, ast.Name) and part.id in self.frame.function.signature.parameters:
                raise self.unsupported(node, f"a shape that is not constant: {part.id} is an argument")
