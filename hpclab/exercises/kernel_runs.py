"""A learner's kernel, traced in the limited child: what a launch of it did, and what the figures say of it.

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

from hpclab.exercises import UNSOLVED, is_unsolved, limits
from hpclab.exercises.judges import Formula
from hpclab.exercises.limits import Stopped
from hpclab.kernels.tracer import arithmetic
from hpclab.kernels.tracer.source import python_function
from hpclab.models.gpu_memory import SECTOR


@dataclass(frozen=True)
class LearnerLaunch:
    """``kernel[grid, block](*arrays)``, with what `output`, the last array, should hold afterwards.

    `said` names the launch to the learner. The output begins as NaN where the task says nothing else.
    """

    said: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arrays: tuple[Any, ...]
    expected: NDArray


@dataclass(frozen=True)
class KernelTrial:
    """What a launch did: `errors` are the tracer's, each a kind, a sentence and how many threads did it;
    `output` is the last array, and `stored` says which of its items were written.

    `sectors` are all that moved; `apart` is the largest usual distance of neighbouring lanes, in items;
    `conflicts` are the extra passes over the banks; `workers` are the threads that touched an array; `steps`
    is the most that had to come one after another, requests of one warp or atomics on one item; `again`
    names an array whose items a warp asked for more often than once; `parted` says whether lanes of a warp
    asked for parts of one sector at different times.
    """

    launch: LearnerLaunch
    errors: tuple[tuple[str, str, int], ...]
    output: NDArray
    stored: NDArray
    sectors: int
    apart: int
    conflicts: int
    workers: int
    steps: int
    again: str
    parted: bool

    @property
    def kind(self) -> str:
        """The kind of the first error, or ""."""
        return self.errors[0][0] if self.errors else ""

    @property
    def missing(self) -> list[int]:
        """The items of the output that a kernel without errors never wrote."""
        return [] if self.errors else numpy.flatnonzero(~self.stored).tolist()

    @property
    def threads(self) -> int:
        """How many threads the launch has."""
        return math.prod(self.launch.grid) * math.prod(self.launch.block)

    @property
    def rounds(self) -> int:
        """How often all threads together must go at the largest array, one item each."""
        return -(-self._largest // self.threads)

    @property
    def _largest(self) -> int:
        return max(numpy.size(array) for array in self.launch.arrays)

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
        item = f"item {', '.join(map(str, at))} of the output"
        if not self.stored[at] and found != expected:
            return f"{item} is never written."
        if numpy.isnan(found):
            return f"{item} is no number: it was made from what nobody had written. Write to it with = first."
        return f"{item} is {found:g} and should be {expected:g}."

    @property
    def alone(self) -> str:
        """Why things that could be done at once come one after another."""
        if self.workers * 4 <= min(self.threads, self._largest):
            return f"Of {self.threads} threads {self.workers} did all of it: share the items out among all."
        if self.apart == 0:
            return (
                "Every thread goes through all the items: cuda.grid(1) takes the place of the loop's counter."
            )
        return "Let as many threads as can be work at once."

    @property
    def waste(self) -> str:
        """Why too many sectors move, as far as the requests show it."""
        if self.parted:
            return "An if parts the warps, and both parts move the same sectors: send neighbours one way."
        if self.output.ndim > 1 and self.apart >= self.output.shape[1]:
            return "Neighbouring threads are a whole row apart: the last index follows cuda.threadIdx.x."
        if self.output.ndim == 1 and self.apart > 1:
            return (
                f"Neighbouring threads are {self.apart} items apart: each goes through a stretch of its own, "
                "as on a CPU. What a warp reads in one moment should lie side by side."
            )
        if self.again:
            return (
                f"Items of {self.again} move more often than once: keep what is in between in a variable of "
                "the thread, or what neighbours need in shared memory."
            )
        return "Warps begin in the middle of a sector: let lane 0 of each begin at a multiple of 8 items."

    def gives(self, formula: Formula) -> bool:
        """Whether the output is what `formula` makes of the arrays of the launch."""
        return not self.errors and numpy.allclose(self.output, formula(*self.launch.arrays), rtol=1e-4)


def run(kernel: object, launches: Sequence[LearnerLaunch]) -> list[KernelTrial]:
    """Trace `kernel` on each launch; Stopped in one sentence where that cannot be done, or is not solved."""
    function = python_function(kernel)
    if function is not None and is_unsolved(function):
        raise Stopped(UNSOLVED)
    if function is None or ".cuda" not in type(kernel).__module__:
        what = "a plain function" if function else type(kernel).__name__
        raise Stopped(f"The answer must be a kernel, with @cuda.jit in the line above its def, not {what}.")
    sources: dict[str, list[str]] = {}
    portable = _portable(function, sources, {})
    calls = [(portable, sources, launch.grid, launch.block, launch.arrays) for launch in launches]
    outcomes: list[Any] = limits.call_each(_tracing(), calls, seconds=4)
    if wrong := [outcome for outcome in outcomes if isinstance(outcome, str)]:
        raise Stopped(wrong[0])
    return [KernelTrial(launch, *outcome) for launch, outcome in zip(launches, outcomes, strict=True)]


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
        from collections import Counter
        from itertools import pairwise

        import numpy

        from hpclab.kernels import tracer
        from hpclab.models import gpu_memory

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
        plain = [r for r in asked if r.kind != "atomic"]
        last, output = list(trace.after.items())[-1]
        base = next(array.base for array in trace.arrays if array.name == last)
        written = {at for r in asked if r.array == last and r.kind != "load" for at in r.addresses}
        cells = base + output.itemsize * numpy.arange(output.size)
        warps = Counter((r.block, r.warp) for r in trace.requests)
        queues = Counter(
            (at, r.space == "shared" and r.block)
            for r in trace.requests if r.kind == "atomic" for at in r.addresses
        )  # fmt: skip
        asking, parted = dict[tuple, set[int]](), False
        for r in plain:
            for sector in gpu_memory.sectors(r.addresses, r.itemsize):
                before = asking.setdefault((r.array, r.kind, r.block, r.warp, sector), set())
                parted |= bool(before) and before.isdisjoint(r.lanes)
                before.update(r.lanes)
        items = Counter((r.array, r.kind, r.block, r.warp, at) for r in plain for at in set(r.addresses))
        again = [array for (array, *_), times in items.items() if times > 1]
        return (
            tuple((found.kind, found.message, len(found.threads)) for found in trace.errors),
            output,
            numpy.isin(cells, list(written)).reshape(output.shape),
            int(counts.sectors),
            int(max(apart, default=0)),
            int(counts.bank_conflicts),
            len({(r.block, r.warp, lane) for r in asked for lane in r.lanes}),
            max((*warps.values(), *queues.values()), default=0),
            max(again, key=again.count, default=""),
            parted,
        )

    return traced
