"""What a name means: a variable of a thread, something outside the kernel, or a part of `cuda`.

What to notice: a variable is a register, and each lane has its own. An assignment under a mask changes those
of the active lanes only; a lane that never came by has nothing there.
"""

from __future__ import annotations

import ast
import math
import types
from dataclasses import dataclass
from typing import Any

import numpy

from hpclab.kernels.tracer import arithmetic, intrinsics
from hpclab.kernels.tracer.arithmetic import Value, is_number
from hpclab.kernels.tracer.block import Block
from hpclab.kernels.tracer.intrinsics import Intrinsic
from hpclab.kernels.tracer.lanes import Mask
from hpclab.kernels.tracer.memory import View
from hpclab.kernels.tracer.source import Function, Sources, Unsupported

_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_TYPES = {name: numpy.dtype(name) for name in (*_INTEGERS, "float16", "float32", "float64")}
_TYPES |= {"boolean": numpy.dtype(bool), "bool_": numpy.dtype(bool)}


@dataclass
class Variable:
    """A local variable: one value per lane (or one for all), and the lanes that have it."""

    value: Value
    mask: Mask


class Frame:
    """One call of one function: its variables, and what its lanes returned."""

    def __init__(self, function: Function, variables: dict[str, Variable]) -> None:
        self.function = function
        self.variables = variables
        self.value: Value = None  # what it returns


class Names:
    """Looks up names and attributes; `Expressions` adds all else that has a value."""

    def __init__(self, sources: Sources, block: Block) -> None:
        self.sources, self.block = sources, block
        self.frame: Frame
        self.line = 0
        self._constants: dict[int, View] = {}

    def unsupported(self, node: ast.AST, what: str) -> Unsupported:
        line = getattr(node, "lineno", self.line)
        text = self.sources.text.splitlines()[line - 1].strip()
        return Unsupported(f"Line {line} ({text}): the tracer does not know {what}.")

    def value(self, node: ast.expr, mask: Mask) -> Value:
        raise NotImplementedError

    def _Name(self, node: ast.Name, mask: Mask) -> Value:
        frame, name = self.frame, node.id
        variable = frame.variables.get(name)
        if variable is not None:
            if variable.mask is not mask:
                self._check_assigned(name, variable, mask, node)
            return variable.value
        if name in frame.function.assigned:
            raise self.unsupported(node, f"a value of {name}, which is not assigned before this line")
        if name not in frame.function.names:
            raise self.unsupported(node, f"the name {name}")
        return self._outer(name, frame.function.names[name])

    def _check_assigned(self, name: str, variable: Variable, mask: Mask, node: ast.Name) -> None:
        if variable.mask.count == self.block.threads.count:
            return
        without = mask.on & ~variable.mask.on
        if without.any():
            who = numpy.flatnonzero(without).tolist()
            said = f"{name}: give it a value before the if."
            self.block.findings.about(
                "uninitialised", node.lineno, self.block.index, who, "never assigned", said
            )

    def _outer(self, name: str, value: Any) -> Value:
        """What a global or closure name means in the kernel."""
        if isinstance(value, numpy.ndarray):
            return self._constants.setdefault(id(value), intrinsics.constant(value, name))
        if str(getattr(value, "__module__", "")).startswith("numba.cuda"):  # from numba.cuda import grid
            stub = str(getattr(value, "__qualname__", getattr(value, "__name__", "")))
            if stub.split(".")[0] in intrinsics.FIRST_NAMES:
                return self._named(Intrinsic(stub))
        return arithmetic.number(value)

    def _Attribute(self, node: ast.Attribute, mask: Mask) -> Value:
        base = self.value(node.value, mask)
        if isinstance(base, View):
            return self._of_array(base, node)
        if isinstance(base, Intrinsic):
            return self._named(Intrinsic(f"{base.name}.{node.attr}"))
        if node.attr in intrinsics.FIRST_NAMES and not _is_library(base):
            return self._named(Intrinsic(node.attr))
        if is_number(base) and node.attr in ("dtype", "real", "imag"):
            return getattr(base, node.attr)
        if not hasattr(base, node.attr) and node.attr in _TYPES:
            return _TYPES[node.attr]  # whatever object stands for numba
        if not hasattr(base, node.attr):
            raise self.unsupported(node, ast.unparse(node))
        return self._outer(node.attr, getattr(base, node.attr))

    def _named(self, intrinsic: Intrinsic) -> Value:
        value = intrinsics.value(intrinsic.name, self.block)
        return intrinsic if value is None else value

    def _of_array(self, view: View, node: ast.Attribute) -> Value:
        itemsize = view.dtype.itemsize
        known = {
            "shape": view.shape, "ndim": len(view.shape), "size": math.prod(view.shape), "dtype": view.dtype,
            "itemsize": itemsize, "nbytes": math.prod(view.shape) * itemsize,
            "strides": tuple(stride * itemsize for stride in view.strides),
        }  # fmt: skip
        if node.attr == "T":
            return View(view.memory, view.offset, view.shape[::-1], view.strides[::-1])
        if node.attr not in known:
            raise self.unsupported(node, f"the attribute {node.attr} of an array")
        return arithmetic.number(known[node.attr])


def _is_library(value: object) -> bool:
    """Modules that have names of their own such as `grid` or `local`: never what stands for cuda."""
    if isinstance(value, types.ModuleType):
        return value.__name__ in ("math", "numpy", "operator", "numba.types", "numba.core.types")
    return isinstance(value, type) or is_number(value) or isinstance(value, tuple)
