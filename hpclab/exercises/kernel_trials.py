"""A learner's kernel on launches it has not seen: traced in the limited child, judged here by what it did.

The kernel travels as source and is walked through by the tracer, never run as Python, and what it should have
computed never leaves this process. Numba's objects stay behind, so that the child starts in half the time.
"""

from __future__ import annotations

import linecache
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.exercises import UNSOLVED, is_unsolved, limits
from hpclab.exercises.limits import Stopped
from hpclab.kernels.tracer import arithmetic
from hpclab.kernels.tracer.source import python_function


@dataclass(frozen=True)
class Launch:
    """``kernel[grid, block](*arrays)``, with what `output`, the last array, should hold afterwards.

    `said` names the launch to the learner. An item of the output that nobody has written is NaN.
    """

    said: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arrays: tuple[Any, ...]
    expected: NDArray


@dataclass(frozen=True)
class Trial:
    """What a launch did: `errors` are the tracer's, each a kind, a sentence and how many threads did it;
    `output` is the last array.

    `sectors` are all that moved; `apart` is the largest usual distance of neighbouring lanes, in items, and
    `lanes` the most that asked together; `conflicts` are the extra passes over the banks.
    """

    launch: Launch
    errors: tuple[tuple[str, str, int], ...]
    output: NDArray
    sectors: int
    apart: int
    lanes: int
    conflicts: int


def run(kernel: object, launches: Sequence[Launch]) -> list[Trial]:
    """Trace `kernel` on each launch; Stopped in one sentence where that cannot be done, or is not solved."""
    function = python_function(kernel)
    if function is None:
        what = type(kernel).__name__
        raise Stopped(f"The answer must be a kernel, a function under @cuda.jit, not {what}.")
    if is_unsolved(function):
        raise Stopped(UNSOLVED)
    sources: dict[str, list[str]] = {}
    portable = _portable(function, sources, {})
    calls = [(portable, sources, launch.grid, launch.block, launch.arrays) for launch in launches]
    outcomes: list[Any] = limits.call_each(_tracing(), calls, seconds=4)
    trials = []
    for launch, outcome in zip(launches, outcomes, strict=True):
        if isinstance(outcome, str):
            raise Stopped(outcome)
        trials.append(Trial(launch, *outcome))
    return trials


def numbers(*shape: int, seed: int = 0) -> NDArray:
    """Random float32 from 1 to 2, the same each time."""
    return numpy.random.default_rng((seed, *shape)).random(shape, dtype=numpy.float32) + 1


def nothing(*shape: int) -> NDArray:
    """An output that nobody has written to yet."""
    return numpy.full(shape, numpy.nan, numpy.float32)


def fault(trial: Trial) -> str:
    """The first thing wrong with what a trial computed, in a sentence; "" if it is right and clean."""
    where, output, expected = trial.launch.said, trial.output, trial.launch.expected
    if trial.errors:
        return f"{where}: {trial.errors[0][1]}"
    unwritten = numpy.argwhere(numpy.isnan(output) & ~numpy.isnan(expected))
    if len(unwritten):
        return f"{where}: item {_index(unwritten[0])} of the output is never written."
    wrong = numpy.argwhere(~numpy.isclose(output, expected, rtol=1e-4))
    if len(wrong):
        at = tuple(wrong[0])
        return f"{where}: item {_index(wrong[0])} is {output[at]:g} and should be {expected[at]:g}."
    return ""


def _index(place: NDArray) -> str:
    return str(int(place[0])) if len(place) == 1 else str(tuple(map(int, place)))


def _portable(function: types.FunctionType, sources: dict, seen: dict) -> types.FunctionType:
    """The function with only the globals it names, and none of Numba's: the tracer needs only names."""
    if function in seen:
        return seen[function]
    _refuse_own(function.__module__)
    file = function.__code__.co_filename
    sources[file] = linecache.getlines(file)
    names: dict[str, Any] = {}
    copy = types.FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    seen[function] = copy
    for name in function.__code__.co_names:
        if name in function.__globals__:
            names[name] = _plain(function.__globals__[name], sources, seen)
    return copy


def _plain(value: Any, sources: dict, seen: dict) -> Any:
    if isinstance(value, types.ModuleType):
        _refuse_own(value.__name__)
        return types.SimpleNamespace() if value.__name__.startswith("numba") else value
    if type(value).__module__.startswith("numba") and (dtype := arithmetic.as_dtype(value)) is not None:
        return dtype.type
    called = python_function(value)
    return value if called is None else _portable(called, sources, seen)


def _refuse_own(module: str | None) -> None:
    if str(module).partition(".")[0] == "hpclab":
        raise Stopped("That uses the package's own code: write the kernel yourself, in this cell.")


def _tracing() -> Callable:
    """What the child calls: it travels by value, because the child may import nothing of hpclab.exercises."""

    def traced(kernel: Any, sources: dict, grid: tuple, block: tuple, arrays: tuple) -> str | tuple:
        import linecache
        import statistics
        from itertools import pairwise

        from hpclab.kernels import tracer

        for file, lines in sources.items():
            linecache.cache[file] = (sum(map(len, lines)), None, lines, file)
        try:
            trace = tracer.trace(kernel, grid, block, *arrays)
        except (ValueError, TypeError) as error:
            return str(error)
        asked = trace.select(space="global")
        apart = [
            statistics.median_low(abs(b - a) // r.itemsize for a, b in pairwise(r.addresses))
            for r in asked
            if len(r.addresses) > 1
        ]
        counts = trace.counts()
        return (
            tuple((found.kind, found.message, len(found.threads)) for found in trace.errors),
            list(trace.after.values())[-1],
            int(counts.sectors),
            int(max(apart, default=0)),
            max((len(r.lanes) for r in asked), default=0),
            int(counts.bank_conflicts),
        )

    return traced
