"""A kernel as text and syntax tree: Numba's decorators are looked through, never run."""

import ast
import builtins
import inspect
import linecache
import textwrap
import types
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


class Unsupported(ValueError):
    """The kernel holds something that the tracer does not know; the message names line and construct."""


@dataclass(frozen=True, eq=False)
class Function:
    """One function of the program: its local names are `assigned`, `names` are closure, globals, builtins."""

    name: str
    signature: inspect.Signature
    assigned: frozenset[str]
    body: list[ast.stmt]
    line: int
    names: Mapping[str, Any]


class Sources:
    """The kernel and its device functions, read when first called; `text` holds one after another, and a line
    number means a line of it."""

    def __init__(self) -> None:
        self.text = ""
        self.operations: dict[ast.stmt, int] = {}  # of each statement, without those inside it
        self._read: dict[types.FunctionType, Function] = {}

    def function(self, of: types.FunctionType) -> Function:
        """Read the function `of`, its lines counted in `text`; Unsupported if it cannot be read or traced."""
        if of in self._read:
            return self._read[of]
        linecache.checkcache(of.__code__.co_filename)
        try:
            text = textwrap.dedent(inspect.getsource(of))
            definition = next(iter(ast.parse(text).body), None)  # the file may have changed
        except (OSError, SyntaxError, TypeError):
            where = "define it in a file or a notebook cell"
            raise Unsupported(f"The source of {of.__name__} cannot be read: {where}.") from None
        if not isinstance(definition, ast.FunctionDef):
            raise Unsupported(f"{of.__name__} must be written with def to be traced.")
        if definition.args.vararg or definition.args.kwarg or definition.args.kwonlyargs:
            raise Unsupported(f"{of.__name__} takes * or ** arguments, which a Numba CUDA kernel does not.")
        ast.increment_lineno(definition, self.text.count("\n"))
        self.text += text if text.endswith("\n") else text + "\n"
        statements = (node for node in ast.walk(definition) if isinstance(node, ast.stmt))
        self.operations.update((node, _operations(node)) for node in statements)
        cells: dict[str, Any] = {}
        for name, cell in zip(of.__code__.co_freevars, of.__closure__ or (), strict=True):
            with suppress(ValueError):  # an outer name that has no value yet
                cells[name] = cell.cell_contents
        self._read[of] = Function(
            of.__name__, inspect.signature(of), frozenset(of.__code__.co_varnames), definition.body,
            definition.lineno, {**vars(builtins), **of.__globals__, **cells},
        )  # fmt: skip
        return self._read[of]

    def refused(self, line: int, why: str) -> Unsupported:
        """The error to raise where the tracer cannot go on in `line`; `why` follows "the tracer"."""
        return Unsupported(f"Line {line} ({self.text.splitlines()[line - 1].strip()}): the tracer {why}.")


def python_function(kernel: object) -> types.FunctionType | None:
    """The function behind a plain def, numba.cuda's dispatcher or the simulator's kernel; None for others."""
    for attribute in ("py_func", "fn"):
        kernel = getattr(kernel, attribute, kernel)
    return kernel if isinstance(kernel, types.FunctionType) else None


def _operations(statement: ast.stmt) -> int:
    """Number of operations of a statement: the nodes of its own expressions, at least 1."""
    own = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.expr)]
    return max(1, sum(isinstance(node, ast.expr) for child in own for node in ast.walk(child)))
