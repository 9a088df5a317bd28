"""A learner's kernel is judged by what it did on launches it has not seen, traced in the limited child.

The kernel travels as source and is walked through by the tracer, never run as Python, and what it should have
computed never leaves this process. Numba's objects stay behind, so that the child starts in half the time.
"""

from __future__ import annotations

import linecache
import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.exercises import UNSOLVED, Verdict, is_unsolved, limits
from hpclab.exercises.judges import Formula, Judge, Mistakes, told
from hpclab.exercises.limits import Stopped
from hpclab.kernels.tracer import arithmetic
from hpclab.kernels.tracer.source import python_function
from hpclab.models.gpu_memory import SECTOR


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

    @property
    def kind(self) -> str:
        """The kind of the first error, or ""."""
        return self.errors[0][0] if self.errors else ""

    @property
    def missing(self) -> list[int]:
        """The items of the output that a kernel without errors never wrote."""
        return [] if self.errors else numpy.flatnonzero(numpy.isnan(self.output)).tolist()

    @property
    def filled(self) -> int:
        """How many sectors the output fills."""
        return -(-self.output.nbytes // SECTOR)

    @property
    def fault(self) -> str:
        """The first thing wrong with what it computed; "" if it is right and clean."""
        output, expected = self.output, self.launch.expected
        if self.errors:
            return self.errors[0][1]
        unwritten = numpy.argwhere(numpy.isnan(output) & ~numpy.isnan(expected))
        if len(unwritten):
            return f"item {_index(unwritten[0])} of the output is never written."
        wrong = numpy.argwhere(~numpy.isclose(output, expected, rtol=1e-4))
        if len(wrong):
            at = tuple(wrong[0])
            return f"item {_index(wrong[0])} is {output[at]:g} and should be {expected[at]:g}."
        return ""

    @property
    def waste(self) -> str:
        """Why too many sectors move, as far as the requests show it."""
        if self.lanes == 1:
            return "Only one lane of a warp asks at a time: let all threads work, each on items of its own."
        if self.output.ndim > 1 and self.apart >= self.output.shape[1]:
            return "Neighbouring threads are a whole row apart: the last index follows cuda.threadIdx.x."
        if self.output.ndim == 1 and self.apart > 1:
            return (
                f"Neighbouring threads are {self.apart} items apart: each goes through a stretch of its own, "
                "as on a CPU. What a warp reads in one moment should lie side by side."
            )
        return (
            "Something is read or written more often than once: keep what is in between in a variable of the "
            "thread, not in an array."
        )

    def gives(self, formula: Formula) -> bool:
        """Whether the output is what `formula` makes of the arrays of the launch."""
        return not self.errors and numpy.allclose(self.output, formula(*self.launch.arrays), rtol=1e-4)


def by_kernel(
    launches: Callable[[], list[Launch]], wrong: Mistakes, dear: Mistakes = (), *,
    most: Callable[[Trial], float] = lambda _: math.inf, why: str = "{f.waste}",
    yes: str = "", then: Judge | None = None,
) -> Judge:  # fmt: skip
    """A kernel under @cuda.jit, traced on each of `launches()`: conditions are of the Trial `f`.

    All must be right before what is `dear` is told of any: more than `most` sectors (`why` is the advice),
    and what else is named. `then` judges on where nothing is found.
    """
    many = (lambda f: f.sectors > most(f), "right, but {f.sectors} sectors move, and {most} would do. " + why)
    stages = ((*wrong, (lambda f: f.fault, "{f.fault}")), (many, *dear))

    def judge(answer: object) -> Verdict:
        trials = run(answer, launches())
        for stage in stages:
            for trial in trials:
                if said := told(stage, trial, most=most(trial)):
                    return Verdict(False, f"{trial.launch.said}: {said}")
        aimed = math.isfinite(most(trials[-1]))  # the fewest sectors are a score where they were asked for
        score = (sum(trial.sectors for trial in trials), "sectors") if aimed else None
        return then(answer) if then else Verdict(True, yes, score)

    return judge


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
