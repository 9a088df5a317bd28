"""Whether measured Results support a statement: tasks had cores, repeats agree, nothing is impossible."""

import math
import statistics
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TypeVar, cast

from hpclab import checks
from hpclab.machine import allowance
from hpclab.results import Origin, Result
from hpclab.timing import Sample

# Of the core time that tasks wanted, what they must have got. A quiet machine gives 95 %, and 85 % where a
# scheduler and a notebook run beside as many tasks as there are cores; one busy neighbour takes a third.
SHARE = 0.75
# The same where more workers than cores share these, of what is theirs then. That is known less well: a
# rank's helper threads want a core, too, and four ranks on two cores got 30 to 45 % on a quiet machine.
SHARED = 0.5
# What other virtual machines may have had of the cores. Less than this is within what repeats show anyway.
STOLEN = 0.1
# How far the quartiles of repeats may lie apart, over their median. Beyond it, "twice as fast" is not known.
SCATTER = 0.5
# How much better than possible is still believed: two halves may fit caches that the whole did not, and a
# roof was measured, too.
BEYOND = 1.2
# What an emulation may have lost to other programs, of its time. A fifth was seen with bandwidths that were
# right within 3 %: others had the servers meanwhile. Two ranks on two quiet cores lose 10 to 15 %.
LATE = 0.25
# The part of the points that must agree: one short message in a sweep of many says nothing.
PART = 0.25

T = TypeVar("T")
WORKERS = ("nodes", "processes", "threads", "ranks")  # what a parameter calls that which runs at once


def doubt(results: Sequence[Result] | Sequence[Sample], ranks: int = 1) -> str:
    """Why `results` (or Samples of one piece of work, timed on one of `ranks` ranks here) support no
    statement, as one short clause such as "busy: tasks got 40 % of a core; run again"; "" where they do.

    Judged are Results measured on cores, with `timing.Sample.facts` in their environment, and emulated ones
    with "late" in theirs; not what ran on a GPU. More workers than cores are expected to share these.
    """
    if isinstance(results, Sequence) and all(isinstance(one, Sample) for one in results):
        shared, parameters = {"cores": allowance.cores().whole}, {"ranks": ranks}
        made = partial(Result, "work", "time", origin=Origin.MEASURED, parameters=parameters)
        samples = cast(Sequence[Sample], results)
        results = [made(one.wall, environment=shared | one.facts()) for one in samples]
    every = checks.instances("results", results, Result)
    mine = [one for one in every if one.origin is Origin.MEASURED and "gpu" not in one.environment]
    why = _busy(mine) or _too_fast(mine) or _over_the_roof(mine) or _noise(mine) or _late(every)
    return f"{why}; run again" if why else ""


def _busy(results: Iterable[Result]) -> str:
    """A clause where tasks got too little of their share of a core, or other virtual machines took it."""
    points: dict[object, dict[object, Result]] = {}
    for result in results:
        if "waited" in result.environment:  # once for each repeat, however many quantities it has
            points.setdefault(_point(result), {})[result.run, result.repeat] = result
    shares = []
    for repeats in map(dict.values, points.values()):
        one, cpu = next(iter(repeats)), _total(repeats, "cpu")
        wanted, due = cpu + _total(repeats, "waited"), min(1.0, _cores(one) / _workers(one))
        if wanted:
            shares.append((cpu / wanted / due / (SHARE if due == 1 else SHARED), cpu / wanted, due))
    enough, got, due = _typical(sorted(shares), (1.0, 1.0, 1.0))
    if enough < 1:
        return f"busy: tasks got {_percent(got)} of a core" + f" instead of {_percent(due)}" * (due < 1)
    every = [result for repeats in points.values() for result in repeats.values()]
    lost = _total(every, "stolen") / (_total(every, "wall") or math.inf)
    return f"busy: other virtual machines had {_percent(lost)} of the cores" if lost > STOLEN else ""


def _too_fast(results: Iterable[Result]) -> str:
    """A clause where a speedup is larger than the workers or the cores allow; else ""."""
    works: dict[object, dict[float, list[Result]]] = {}
    for result in results:
        if result.quantity == "makespan" and result.value > 0:
            works.setdefault(_point(result, WORKERS), {}).setdefault(_workers(result), []).append(result)
    for counts in works.values():
        alone = counts.pop(1, [])
        for count, same in counts.items() if alone else ():
            work = count if same[0].parameters.get("scaling") == "weak" else 1
            one, together = (statistics.median(result.value for result in some) for some in (alone, same))
            ratio = work * one / together
            if ratio > BEYOND * min(count, _cores(same[0])):
                return f"impossible: {count} are {ratio:.1f}× as fast as one, on {_cores(same[0]):g} cores"
    return ""


def _over_the_roof(results: Sequence[Result]) -> str:
    """A clause where a kernel of a ladder is faster than the measured bandwidth or FLOP rate; else ""."""
    roofs: dict[object, float] = {}
    for result in results:
        if "ladder" not in result.parameters and result.quantity in ("bandwidth", "flop rate"):
            roofs[_roof(result)] = max(result.value, roofs.get(_roof(result), 0.0))
    for result in results:
        share = result.value / roofs.get(_roof(result), math.inf)
        if "ladder" in result.parameters and share > BEYOND:
            return f"impossible: {result.parameters['step']} reached {_percent(share)} of the measured roof"
    return ""


def _noise(results: Iterable[Result]) -> str:
    """A clause where the repeats of too many points differ too much; else ""."""
    points: dict[object, list[float]] = {}
    for result in results:
        if result.quantity in ("makespan", "time") and result.value > 0:
            points.setdefault(_point(result), []).append(result.value)
    spreads = []
    for values in points.values():
        if len(values) > 1:
            low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
            spreads.append((high - low) / middle)
    spread = _typical(sorted(spreads, reverse=True), 0.0)
    return f"scattered: repeats differ by {_percent(spread)}" if spread > SCATTER else ""


def _late(results: Iterable[Result]) -> str:
    """A clause where an emulation had no core when it was due, for too much of its time; else ""."""
    shares = [result.environment["late"] for result in results if "late" in result.environment]
    share = _typical(sorted(shares, reverse=True), 0.0)
    return f"busy: the emulation was late for {_percent(share)} of the time" if share > LATE else ""


def _typical(worst_first: Sequence[T], none: T) -> T:
    """The value that a share PART of the points is no better than; of few points the worst one."""
    return worst_first[int(PART * (len(worst_first) - 1))] if worst_first else none


def _point(result: Result, without: Sequence[str] = ()) -> tuple[object, ...]:
    """A key for repeats of one measurement: the experiment and its parameters, but those in `without`."""
    named = sorted((name, str(value)) for name, value in result.parameters.items() if name not in without)
    return (result.experiment, *named)


def _roof(result: Result) -> tuple[object, ...]:
    """A key of the limit that a rate is held against: a bandwidth's is the same for every precision."""
    return result.quantity, result.quantity == "flop rate" and result.parameters.get("precision")


def _workers(result: Result) -> float:
    return next((result.parameters[name] for name in WORKERS if name in result.parameters), 1)


def _cores(result: Result) -> float:
    """The cores that the workers have between them; infinite where nodes are machines of their own."""
    return result.environment.get("cores", math.inf) if result.environment.get("shared", True) else math.inf


def _total(results: Iterable[Result], name: str) -> float:
    return sum(result.environment[name] for result in results)


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
