"""Expressions for all lanes at once: each is computed once, on vectors, under the mask of those that asked.

What to notice: `and`, `or` and `x if c else y` do not skip anything. Both sides are computed, each under the
mask of the lanes that want it, and a lane that is switched off reads nothing.
"""

from __future__ import annotations

import ast
import builtins

import numpy

from hpclab.kernels.tracer import arithmetic, intrinsics
from hpclab.kernels.tracer.arithmetic import Value, is_number, truth
from hpclab.kernels.tracer.block import Call
from hpclab.kernels.tracer.intrinsics import Intrinsic
from hpclab.kernels.tracer.lanes import Mask
from hpclab.kernels.tracer.memory import View
from hpclab.kernels.tracer.names import Names
from hpclab.kernels.tracer.source import Function, python_function


class Expressions(Names):
    """Computes expressions of a kernel; `Interpreter` adds the statements."""

    def value(self, node: ast.expr, mask: Mask) -> Value:
        """The value of an expression in the lanes of `mask`; anything in the others."""
        compute = getattr(self, f"_{type(node).__name__}", None)
        if compute is None:
            raise self.unsupported(node, f"the construct {type(node).__name__}")
        return compute(node, mask)

    def call_function(self, function: Function, arguments: dict[str, Value], mask: Mask) -> Value:
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

    def _Constant(self, node: ast.Constant, mask: Mask) -> Value:
        return arithmetic.number(node.value)

    def _Tuple(self, node: ast.Tuple, mask: Mask) -> Value:
        return tuple(self.value(item, mask) for item in node.elts)

    # Operators

    def _BinOp(self, node: ast.BinOp, mask: Mask) -> Value:
        return arithmetic.binary(node.op, self.value(node.left, mask), self.value(node.right, mask))

    def _UnaryOp(self, node: ast.UnaryOp, mask: Mask) -> Value:
        return arithmetic.unary(node.op, self.value(node.operand, mask))

    def _Compare(self, node: ast.Compare, mask: Mask) -> Value:
        left, holds, asking = self.value(node.left, mask), numpy.bool_(True), mask
        for operator, operand in zip(node.ops, node.comparators, strict=True):
            right = self.value(operand, asking)
            holds = holds & arithmetic.compare(operator, left, right)
            asking, left = mask.where(holds), right
            if not asking.count:
                break
        return holds

    def _BoolOp(self, node: ast.BoolOp, mask: Mask) -> Value:
        result = self.value(node.values[0], mask)
        for operand in node.values[1:]:
            decided = truth(result)
            asking = mask.where(decided if isinstance(node.op, ast.And) else ~decided)
            if not asking.count:
                break
            result = self._chosen(mask, asking, self.value(operand, asking), result)
        return result

    def _IfExp(self, node: ast.IfExp, mask: Mask) -> Value:
        yes = mask.where(truth(self.value(node.test, mask)))
        no = mask.without(yes)
        if not no.count:
            return self.value(node.body, yes)
        other = self.value(node.orelse, no)
        return self._chosen(mask, yes, self.value(node.body, yes), other) if yes.count else other

    def _chosen(self, mask: Mask, part: Mask, new: Value, old: Value) -> Value:
        return new if part is mask else self.merged(part, new, old)

    # Arrays

    def _Subscript(self, node: ast.Subscript, mask: Mask) -> Value:
        base = self.value(node.value, mask)
        if isinstance(base, tuple):
            place = self.value(node.slice, mask)
            if not isinstance(place, numpy.integer):
                raise self.unsupported(node, "an index into a tuple that differs between threads")
            return base[int(place)]
        view, index = self.place(base, node, mask)
        if len(index) == len(view.shape):
            return self.block.load(view, index, mask, node.lineno)
        return self.block.row(view, index, mask, node.lineno)

    def place(self, base: Value, node: ast.Subscript, mask: Mask) -> tuple[View, tuple[Value, ...]]:
        """The array and the whole numbers between its brackets."""
        if not isinstance(base, View):
            raise self.unsupported(node, f"an index into {ast.unparse(node.value)}, which is no array")
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if any(isinstance(part, ast.Slice) for part in parts):
            raise self.unsupported(node, "slices of arrays: index the items")
        value = self.value(node.slice, mask)
        index = value if isinstance(value, tuple) else (value,)
        if not all(is_number(at) and at.dtype.kind in "iub" for at in index):
            raise self.unsupported(node, "an index that is not a whole number")
        if len(index) > len(view_shape := base.shape):
            raise self.unsupported(node, f"{len(index)} indices for an array of {len(view_shape)} dimensions")
        return base, index

    # Calls

    def _Call(self, node: ast.Call, mask: Mask, wants_value: bool = True) -> Value:
        called = self.value(node.func, mask)
        if called is builtins.print:
            return None
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.unsupported(node, "* in a call")
        arguments = [self.value(argument, mask) for argument in node.args]
        named = {keyword.arg or "": self.value(keyword.value, mask) for keyword in node.keywords}
        if isinstance(called, Intrinsic):
            if called.name not in intrinsics.CALLS:
                raise self.unsupported(node, f"cuda.{called.name}")
            if called.name in ("shared.array", "local.array"):
                self._check_constant(node)
            call = Call(self.block, mask, node, wants_value)
            return intrinsics.CALLS[called.name](call, *arguments, **named)
        if called is builtins.len and len(arguments) == 1:
            return numpy.int64(
                len(arguments[0]) if isinstance(arguments[0], tuple) else arguments[0].shape[0]
            )
        if _is_hashable(called) and called in arithmetic.FUNCTIONS:
            return arithmetic.FUNCTIONS[called](*arguments, **named)
        if (dtype := arithmetic.as_dtype(called)) is not None and len(arguments) == 1:
            return arithmetic.cast(arguments[0], dtype)
        if isinstance(called, numpy.ufunc):
            return called(*(arithmetic.wide(argument) for argument in arguments))
        if (function := python_function(called)) is not None:
            return self._call(self.sources.function(function), arguments, named, mask, node)
        raise self.unsupported(node, f"the function {ast.unparse(node.func)}")

    def _check_constant(self, node: ast.Call) -> None:
        """Numba fixes the shape of shared and local arrays when it compiles, before there are arguments."""
        shape = [keyword.value for keyword in node.keywords if keyword.arg == "shape"] + node.args[:1]
        for name in (part.id for part in ast.walk(shape[0]) if isinstance(part, ast.Name)) if shape else ():
            if name in self.frame.function.parameters:
                raise self.unsupported(node, f"a shape that is not constant: {name} is an argument")

    def _call(
        self, function: Function, arguments: list[Value], named: dict[str, Value], mask: Mask, node: ast.Call
    ) -> Value:
        given = dict(zip(function.parameters, arguments, strict=False)) | named
        missing = [
            name for name in function.parameters if name not in given and name not in function.defaults
        ]
        if missing or len(given) != len(arguments) + len(named) or set(given) - set(function.parameters):
            raise self.unsupported(node, f"a call of {function.name} with these arguments")
        defaults = {name: arithmetic.number(value) for name, value in function.defaults.items()}
        return self.call_function(function, defaults | given, mask)


def _is_hashable(value: object) -> bool:
    return type(value).__hash__ is not None
