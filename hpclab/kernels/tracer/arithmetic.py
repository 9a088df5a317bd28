"""A kernel's arithmetic, typed as Numba types it, whole numbers in 64 bits: on scalars where all lanes have
the same value, or on vectors."""

import ast
import builtins
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy

Value = Any  # numpy scalar, vector with an entry per lane, View, tuple of these, or a name's Python object


def is_number(value: object) -> bool:
    """Whether `value` is a number of NumPy, or an array of one per lane: no View, tuple or other object."""
    return isinstance(value, numpy.generic | numpy.ndarray)


def number(value: object) -> Value:
    """A Python number as the NumPy scalar that Numba makes of it; tuples item by item; the rest unchanged."""
    if isinstance(value, bool | int | float | complex) and not isinstance(value, numpy.generic):
        return numpy.asarray(value)[()]
    return tuple(map(number, value)) if isinstance(value, tuple) else value


def wide(value: Value) -> Value:
    """`value` with whole numbers and truth values in 64 bits; floats unchanged. TypeError if no number."""
    if not is_number(value):
        raise TypeError(f"a {type(value).__name__} is not a number")
    if value.dtype.kind == "u":
        return value.astype(numpy.uint64)
    return value.astype(numpy.int64) if value.dtype.kind in "ib" and value.dtype.itemsize < 8 else value


def _paired(left: Value, right: Value) -> tuple[Value, Value]:
    """Both operands in 64 bits, small unsigned ones signed unless both are unsigned. (Of a uint64 beside an
    int64 NumPy makes float64, as Numba does.)"""
    if is_number(left) and is_number(right) and {left.dtype.kind, right.dtype.kind} != {"u"}:
        left, right = (
            value.astype(numpy.int64) if value.dtype.kind == "u" and value.dtype.itemsize < 8 else value
            for value in (left, right)
        )
    return wide(left), wide(right)


def _bitwise(ufunc: numpy.ufunc) -> Callable[[Value, Value], Value]:
    """Return a bitwise operator that computes a signed beside an unsigned operand as uint64."""

    def combine(left: Value, right: Value) -> Value:
        mixed = {left.dtype.kind, right.dtype.kind} == {"u", "i"}
        return ufunc(left.astype(numpy.uint64), right.astype(numpy.uint64)) if mixed else ufunc(left, right)

    return combine


def _power(left: Value, right: Value) -> Value:
    """`left ** right`, in float64 where a whole number has a negative exponent."""
    if left.dtype.kind in "iu" and right.dtype.kind in "iu" and numpy.any(right < 0):
        left = left.astype(numpy.float64)
    return numpy.power(left, right)


_OPERATORS: dict[type[ast.AST], Callable[[Value, Value], Value]] = {
    ast.Add: numpy.add, ast.Sub: numpy.subtract, ast.Mult: numpy.multiply, ast.Div: numpy.true_divide,
    ast.FloorDiv: numpy.floor_divide, ast.Mod: numpy.remainder, ast.Pow: _power,
    ast.LShift: _bitwise(numpy.left_shift), ast.RShift: _bitwise(numpy.right_shift),
    ast.BitAnd: _bitwise(numpy.bitwise_and), ast.BitOr: _bitwise(numpy.bitwise_or),
    ast.BitXor: _bitwise(numpy.bitwise_xor), ast.Eq: numpy.equal, ast.NotEq: numpy.not_equal,
    ast.Lt: numpy.less, ast.LtE: numpy.less_equal, ast.Gt: numpy.greater, ast.GtE: numpy.greater_equal,
}  # fmt: skip
_UNARY = {ast.Invert: numpy.invert, ast.USub: numpy.negative, ast.UAdd: numpy.positive}


def binary(operator: ast.operator | ast.cmpop, left: Value, right: Value) -> Value:
    """`left operator right`, typed as Numba types it; a comparison gives a truth value per lane."""
    if isinstance(operator, ast.Is | ast.IsNot):
        return numpy.bool_((left is right) is isinstance(operator, ast.Is))
    if not (is_number(left) and is_number(right)) and isinstance(operator, ast.Eq | ast.NotEq):
        return numpy.bool_((left == right) is isinstance(operator, ast.Eq))
    if isinstance(left, tuple) and isinstance(right, tuple) and isinstance(operator, ast.Add):
        return left + right
    return _OPERATORS[type(operator)](*_paired(left, right))


def truth(value: Value) -> Value:
    """What `if` makes of a value: a bool scalar, or one per lane."""
    if is_number(value):
        return value if value.dtype == numpy.bool_ else value != 0
    return numpy.bool_(bool(value))


def unary(operator: ast.unaryop, value: Value) -> Value:
    if isinstance(operator, ast.Not):
        return numpy.logical_not(truth(value))
    return _UNARY[type(operator)](wide(value))


def as_dtype(name: object) -> numpy.dtype | None:
    """NumPy's dtype for the type `name`: `numba.float32`, `numpy.float32`, `float` or a dtype; else None."""
    if isinstance(name, numpy.dtype):
        return name
    if isinstance(name, type):
        return numpy.dtype(name) if issubclass(name, numpy.generic | bool | int | float) else None
    with suppress(TypeError):
        if type(name).__module__.split(".")[0] in ("numba", "numba_cuda"):
            return numpy.dtype(str(name))
    return None


def cast(value: Value, dtype: numpy.dtype) -> Value:
    """`value` converted as by ``float32(x)``; to whole numbers it is rounded toward zero."""
    if not is_number(value):
        raise TypeError(f"a {type(value).__name__} cannot become {dtype}")
    return value.astype(dtype)


def _extreme(better: numpy.ufunc) -> Callable[..., Value]:
    """Return `min` or `max` of several values, or of one tuple; ``better(later, best)`` replaces the best."""

    def extreme(*values: Value) -> Value:
        best, *rest = values if len(values) > 1 else values[0]
        for value in rest:
            best, value = _paired(best, value)
            merged: Any = numpy.where(better(value, best), value, best)
            best = merged[()]
        return best

    return extreme


def _of_math(function: Callable) -> Callable[..., Value]:
    """Return `function`, of module `math`, for all lanes: NumPy's of that name, else a call for each lane."""
    twin: Any = getattr(numpy, function.__name__, None)

    def of_lane(*lane: Any) -> float:
        """`function` of one lane's values; NaN where it raises."""
        try:
            return float(function(*lane))
        except (ValueError, OverflowError):
            return math.nan

    def of_all_lanes(*values: Value) -> Value:
        """`function` of all lanes' values, whole numbers among them as float64."""
        given = map(wide, values)
        wanted = [value.astype(numpy.float64) if value.dtype.kind in "iu" else value for value in given]
        if isinstance(twin, numpy.ufunc):
            whole = function in (math.floor, math.ceil, math.trunc)
            return twin(*wanted).astype(numpy.int64) if whole else twin(*wanted)
        return numpy.vectorize(of_lane, otypes=[numpy.result_type(*wanted)])(*wanted)[()]

    return of_all_lanes


FUNCTIONS: dict[Any, Callable[..., Value]] = {
    function: _of_math(function)
    for name, function in vars(math).items()
    if callable(function) and not name.startswith("_")
} | {
    builtins.min: _extreme(numpy.less),
    builtins.max: _extreme(numpy.greater),
    builtins.abs: lambda value: numpy.abs(wide(value)),
    builtins.round: lambda value, digits=None: (
        numpy.rint(wide(value)).astype(numpy.int64)
        if digits is None
        else numpy.round(wide(value), int(digits))
    ),
    builtins.int: lambda value: wide(value) if wide(value).dtype.kind in "iu" else value.astype(numpy.int64),
    builtins.pow: lambda left, right: binary(ast.Pow(), left, right),
    builtins.divmod: lambda a, b: (binary(ast.FloorDiv(), a, b), binary(ast.Mod(), a, b)),
}
