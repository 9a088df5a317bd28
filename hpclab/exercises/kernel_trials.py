"""A learner's kernel is judged by what it did on launches it has not seen, traced in the limited child.

The kernel travels as source and is walked through by the tracer, never run as Python, and what it should have
computed never leaves this process. Numba's objects stay behind, so that the child starts in half the time.
"""

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
        wrong = numpy.argwhere(~numpy.isclose(self.output, self.launch.expected, rtol=1e-4))
        if self.errors or not len(wrong):
            return self.errors[0][1] if self.errors else ""
        at = tuple((*numpy.argwhere(numpy.isnan(self.output)), *wrong)[0])
        found, expected = self.output[at], self.launch.expected[at]
        was = "never written" if numpy.isnan(found) else f"{found:g} and should be {expected:g}"
        return f"item {', '.join(map(str, at))} of the output is {was}."

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
        return "Something moves more often than once: keep what is in between in a variable of the thread."

    def gives(self, formula: Formula) -> bool:
        """Whether the output is what `formula` makes of the arrays of the launch."""
        return not self.errors and numpy.allclose(self.output, formula(*self.launch.arrays), rtol=1e-4)


def by_kernel(
    launches: Callable[[], list[Launch]], wrong: Mistakes, dear: Mistakes = (), *,
    most: Callable[[Trial], float] = lambda _: math.inf, why: str = "{f.waste}", yes: str = "",
) -> Judge:  # fmt: skip
    """A kernel under @cuda.jit, traced on each of `launches()`: conditions are of the Trial `f`.

    All must be right before what is `dear` is told of any: more than `most` sectors (`why` is the advice),
    and what else is named.
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
        return Verdict(True, yes, (sum(trial.sectors for trial in trials), "sectors") if aimed else None)

    return judge


def run(kernel: object, launches: Sequence[Launch]) -> list[Trial]:
    """Trace `kernel` on each launch; Stopped in one sentence where that cannot be done, or is not solved."""
    function = python_function(kernel)
    if function is None:
        raise Stopped(f"The answer must be a kernel, under @cuda.jit, not {type(kernel).__name__}.")
    if is_unsolved(function):
        raise Stopped(UNSOLVED)
    sources: dict[str, list[str]] = {}
    portable = _portable(function, sources, {})
    calls = [(portable, sources, launch.grid, launch.block, launch.arrays) for launch in launches]
    outcomes: list[Any] = limits.call_each(_tracing(), calls, seconds=4)
    if wrong := [outcome for outcome in outcomes if isinstance(outcome, str)]:
        raise Stopped(wrong[0])
    return [Trial(launch, *outcome) for launch, outcome in zip(launches, outcomes, strict=True)]


def numbers(*shape: int, seed: int = 0) -> NDArray:
    """Random float32 from 1 to 2, the same each time."""
    return numpy.random.default_rng((seed, *shape)).random(shape, dtype=numpy.float32) + 1


def nothing(*shape: int) -> NDArray:
    """An output that nobody has written to yet."""
    return numpy.full(shape, numpy.nan, numpy.float32)


def _portable(value: Any, sources: dict, seen: dict) -> Any:
    """A function with only the globals it names, each made portable; of Numba only its types' names."""
    if type(value).__module__.startswith("numba") and (dtype := arithmetic.as_dtype(value)) is not None:
        return dtype.type
    is_module, function = isinstance(value, types.ModuleType), python_function(value)
    module = str(value.__name__ if is_module else getattr(function, "__module__", ""))
    if module.partition(".")[0] == "hpclab":
        raise Stopped("That uses the package's own code: write the kernel yourself, in this cell.")
    if is_module:
        return types.SimpleNamespace() if module.startswith("numba") else value
    if function is None or function in seen:
        return seen.get(function, value)
    code, names = function.__code__, dict[str, Any]()
    sources[code.co_filename] = linecache.getlines(code.co_filename)
    seen[function] = types.FunctionType(
        code, names, function.__name__, function.__defaults__, function.__closure__
    )
    for name in set(code.co_names) & set(function.__globals__):
        names[name] = _portable(function.__globals__[name], sources, seen)
    return seen[function]


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
