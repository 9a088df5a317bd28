"""Judge a learner's kernel by what it does on launches it has not seen, traced in a child with limits.

The kernel travels as source and is walked through by the tracer, never run as Python, and what it should have
computed never leaves this process. Numba's objects stay behind, so that the child starts in half the time."""

import linecache
import math
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab.exercises import UNSOLVED, Verdict, is_unsolved, limits
from hpclab.exercises.judges import Formula, Judge, Mistake, Mistakes, first_mistake
from hpclab.exercises.limits import Stopped
from hpclab.kernels.tracer import arithmetic
from hpclab.kernels.tracer.source import python_function
from hpclab.models.gpu_memory import SECTOR


@dataclass(frozen=True)
class LearnerLaunch:
    """A launch of a learner's kernel, ``kernel[grid, block](*arrays)``, with what the output, the last array,
    is `expected` to hold afterwards; `said` names the launch to the learner."""

    said: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    arrays: tuple[Any, ...]
    expected: NDArray


class KernelTrial(types.SimpleNamespace):
    """What a `launch` did: `errors` are the tracer's, each a kind, a sentence and how many threads did it;
    `output` is the last array, and `stored` says which of its items were written.

    `sectors` are all that moved; `lane_distance` is the largest of the requests' median distances between
    neighbouring lanes, in items; `conflicts` are the extra passes over the banks; `workers` are the threads
    that touched an array; `steps` is the most that had to come one after another, requests of one warp or
    atomics on one item; `reread` names an array whose items a warp asked for more often than once; `diverged`
    says whether lanes of a warp asked for parts of one sector at different times."""

    kind = property(lambda self: self.errors[0][0] if self.errors else "")  # of the first error
    threads = property(lambda self: math.prod(self.launch.grid) * math.prod(self.launch.block))
    items = property(lambda self: max(numpy.size(array) for array in self.launch.arrays))  # of the largest
    rounds = property(lambda self: -(-self.items // self.threads))  # of all threads, one item each
    filled = property(lambda self: -(-self.output.nbytes // SECTOR))  # sectors that the output fills
    why_serial = property(lambda self: first_mistake(_WHY_SERIAL, self))
    why_sectors = property(lambda self: first_mistake(_WHY_SECTORS, self))

    @property
    def missing(self) -> list[int]:
        """The items of the output that a kernel without errors never wrote."""
        return [] if self.errors else numpy.flatnonzero(~self.stored).tolist()

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

    def gives(self, formula: Formula) -> bool:
        """Whether the output is what `formula` makes of the arrays of the launch."""
        return not self.errors and numpy.allclose(self.output, formula(*self.launch.arrays), rtol=1e-4)


# fmt: off
_WHY_SERIAL: Mistakes = (
    (lambda f: f.workers * 4 <= min(f.threads, f.items),
     "Of {f.threads} threads {f.workers} did all of it: share the items out among all."),
    (lambda f: f.lane_distance == 0,
     "Every thread goes through all the items: cuda.grid(1) takes the place of the loop's counter."),
    (lambda _: True, "Let as many threads as can be work at once."),
)
_WHY_SECTORS: Mistakes = (
    (lambda f: f.diverged,
     "An if parts the warps, and both parts move the same sectors: send neighbours one way."),
    (lambda f: f.output.ndim > 1 and f.lane_distance >= f.output.shape[1],
     "Neighbouring threads are a whole row apart: the last index follows cuda.threadIdx.x."),
    (lambda f: f.output.ndim == 1 and f.lane_distance > 1,
     "Neighbouring threads are {f.lane_distance} items apart: each goes through a stretch of its own, as on "
     "a CPU. What a warp reads in one moment should lie side by side."),
    (lambda f: f.reread, "Items of {f.reread} move more often than once: keep what is in between in a "
     "variable of the thread, or what neighbours need in shared memory."),
    (lambda _: True,
     "Warps begin in the middle of a sector: let lane 0 of each begin at a multiple of 8 items."),
)
# fmt: on


def by_kernel(
    launches: Callable[[], list[LearnerLaunch]], *wrong: Mistake, wasteful: Mistakes = (),
    most: Callable[[KernelTrial], float] = lambda _: math.inf, fewer: str = "{f.why_sectors}", yes: str = "",
    steps: Callable[[KernelTrial], float] = lambda f: 16 * f.rounds, parallel: str = "{f.why_serial}",
    scored: bool = False,
) -> Judge:  # fmt: skip
    """Return a judge of a kernel under @cuda.jit, traced on each of `launches()`; conditions are of the
    KernelTrial `f`. Three stages, each on all launches: the `wrong` mistakes and any other fault; more than
    `steps` one after another (`parallel` is the advice); more than `most` sectors (`fewer` is the advice) and
    the `wasteful` mistakes. `yes` may use {score}, the sectors of all launches: the score where `scored`."""
    moved = "right, but {f.sectors} sectors move, and {most} would do. " + fewer
    in_turn = "right, but {f.steps} steps come one after another. " + parallel
    many, slow = (lambda f: f.sectors > most(f), moved), (lambda f: f.steps > steps(f), in_turn)
    stages = ((*wrong, (lambda f: f.fault, "{f.fault}")), (slow,), (many, *wasteful))

    def judge(answer: object) -> Verdict:
        trials = run(answer, launches())
        for stage in stages:
            for trial in trials:
                if said := first_mistake(stage, trial, most=most(trial)):
                    return Verdict(False, f"{trial.launch.said}: {said}")
        score = sum(trial.sectors for trial in trials)
        return Verdict(True, yes.format(score=score), (score, "sectors") if scored else None)

    return judge


def numbers(*shape: int, seed: int = 0) -> NDArray:
    """A float32 array of this `shape`, random from 1 to 2, the same each time."""
    return numpy.random.default_rng((seed, *shape)).random(shape, dtype=numpy.float32) + 1


def nothing(*shape: int) -> NDArray:
    """A float32 output array of this `shape`, all NaN, which marks what is never written."""
    return numpy.full(shape, numpy.nan, numpy.float32)


def run(kernel: object, launches: Sequence[LearnerLaunch]) -> list[KernelTrial]:
    """Trace `kernel` on each of `launches`; Stopped where it is unsolved, no kernel, or cannot be traced."""
    function = python_function(kernel)
    if function is not None and is_unsolved(function):
        raise Stopped(UNSOLVED)
    if function is None or ".cuda" not in type(kernel).__module__:
        what = "a plain function" if function else type(kernel).__name__
        raise Stopped(f"The answer must be a kernel, with @cuda.jit in the line above its def, not {what}.")
    sources: dict[str, list[str]] = {}
    portable = _portable(function, sources, {})
    calls = [(portable, sources, launch.grid, launch.block, launch.arrays) for launch in launches]
    outcomes = limits.call_each(_tracing(), calls, seconds=4)
    if wrong := [outcome for outcome in outcomes if isinstance(outcome, str)]:
        raise Stopped(wrong[0])
    return [KernelTrial(launch=launch, **outcome) for launch, outcome in zip(launches, outcomes, strict=True)]


def _portable(value: Any, sources: dict, seen: dict) -> Any:
    """A copy of `value` for the child: a function with only the globals it names, a Numba type as NumPy's."""
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
    code, known = function.__code__, dict[str, Any]()
    sources[code.co_filename] = linecache.getlines(code.co_filename)
    made = types.FunctionType(code, known, function.__name__, function.__defaults__, function.__closure__)
    seen[function] = made
    for name in set(code.co_names) & set(function.__globals__):
        known[name] = _portable(function.__globals__[name], sources, seen)
    return made


def _tracing() -> Callable:
    """The function that the child calls, nested so that it is sent by value: the child cannot import it."""

    def traced(kernel: Any, sources: dict, grid: tuple, block: tuple, arrays: tuple) -> str | dict:
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
        requests = trace.select(space="global")
        distances = [
            statistics.median_low(abs(b - a) // r.itemsize for a, b in pairwise(r.addresses))
            for r in requests if len(r.addresses) > 1
        ]  # fmt: skip
        plain = [r for r in requests if r.kind != "atomic"]
        last, output = list(trace.after.items())[-1]
        base = next(array.base for array in trace.arrays if array.name == last)
        written = {at for r in requests if r.array == last and r.kind != "load" for at in r.addresses}
        stored = numpy.isin(base + output.itemsize * numpy.arange(output.size), list(written))
        workers = {(r.block, r.warp, lane) for r in requests for lane in r.lanes}
        warps = Counter((r.block, r.warp) for r in trace.requests)
        queues = Counter(
            (at, r.space == "shared" and r.block)
            for r in trace.requests if r.kind == "atomic" for at in r.addresses
        )  # fmt: skip
        lanes, diverged = dict[tuple, set[int]](), False  # that have asked for a sector
        for r in plain:
            for sector in gpu_memory.sectors(r.addresses, r.itemsize):
                before = lanes.setdefault((r.array, r.kind, r.block, r.warp, sector), set())
                diverged |= bool(before) and before.isdisjoint(r.lanes)
                before.update(r.lanes)
        items = Counter((r.array, r.kind, r.block, r.warp, at) for r in plain for at in set(r.addresses))
        reread = [array for (array, *_), times in items.items() if times > 1]
        return {
            "errors": [(found.kind, found.message, len(found.threads)) for found in trace.errors],
            "output": output, "stored": stored.reshape(output.shape), "diverged": diverged,
            "sectors": int(trace.counts().sectors), "conflicts": int(trace.counts().bank_conflicts),
            "lane_distance": int(max(distances, default=0)), "workers": len(workers),
            "steps": max((*warps.values(), *queues.values()), default=0),
            "reread": max(reread, key=reread.count, default=""),
        }  # fmt: skip

    return traced
