"""Measure a learner's own all-reduce beside the library's, and whatever else is compared in turns."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hpclab import checks, timing
from hpclab.cluster.pool import Pool
from hpclab.experiments.measure_collectives import MeasureCollective
from hpclab.models.schedule_time import crossover
from hpclab.quality import doubt
from hpclab.results import Result, Results

_REPEATS = 5
_MOST = 1000  # values stay whole numbers that a float holds exactly, so that sums can be compared bit by bit


def race(pool: Pool, all_reduce: Callable[[Any], object], elements: int) -> tuple[float, float, str]:
    """Seconds of `all_reduce(vector)`, which adds up in place, and of `dist.all_reduce` for `elements` floats
    on all ranks of `pool`, and what `quality.doubt` says of the two. They take turns; each time is the median
    of five on the slowest rank. A RankError names the first rank whose first result is not the library's."""
    elements = checks.integer("elements", elements, 1, 2**28)
    checks.instance("all_reduce", all_reduce, Callable, "a function")
    if not hasattr(pool, "run"):
        raise ValueError(f"pool must be a Pool with a node for each rank, not {checks.shown(pool)}.")
    ranks = pool.run(_on_rank, all_reduce, elements)
    ours, theirs = (max(timing.median(both[whose]).wall for both in ranks) for whose in (0, 1))
    samples = ([sample for both in ranks for sample in both[whose]] for whose in (0, 1))
    return ours, theirs, next(filter(None, (doubt(one, len(ranks)) for one in samples)), "")


def around_crossover(
    pool: Pool, times: Mapping[str, Callable[[float], float]], known: bool = True
) -> tuple[list[Result], float | None]:
    """Measure two algorithms' all-reduce on all ranks of `pool`, in turns, far below, near and far above the
    size where their `times` cross, predicted seconds by bytes. Return the Results, and that size: None where
    they do not cross or `known` is False."""
    change = crossover(*times.values()) if known else None
    sizes = tuple(int((change or 2**16) * 2.0**power) for power in (-6, -2, 2, 6))
    found = Results()
    for name in 2 * (*times,):
        spec = MeasureCollective("all_reduce", sizes, (pool.nodes,), algorithm=name, repeats=3)
        found += spec.measure(pool)
    return found, change


def in_turns(pool: Pool, function: Callable[..., Any], ways: Iterable[Any]) -> dict[Any, tuple[Any, str]]:
    """Run `function(way)` on `pool` for each of `ways`, three times, in turns. What it returns begins with
    seconds and ends with a `timing.Sample`. Return for each way the slowest rank's value in the best of its
    runs, and what `quality.doubt` says of all three."""
    runs: dict[Any, list[Any]] = {way: [] for way in ways}
    for way in 3 * (*runs,):
        runs[way].append(max(pool.run(function, way), key=lambda value: value[0]))
    return {
        way: (min(values, key=lambda value: value[0]), doubt([value[-1] for value in values], pool.nodes))
        for way, values in runs.items()
    }


def _on_rank(all_reduce: Callable[[Any], object], elements: int) -> list[list[timing.Sample]]:
    """On a rank: compare `all_reduce` with the library's, then time both in turns; ValueError if wrong."""
    import torch
    import torch.distributed as dist

    ours = torch.arange(elements).remainder(_MOST).float() + dist.get_rank()
    theirs = ours.clone()
    all_reduce(ours)
    dist.all_reduce(theirs)
    wrong = (ours != theirs).nonzero()
    if len(wrong):
        place = int(wrong[0])
        raise ValueError(
            f"{len(wrong)} of {elements} sums are wrong; the first is element {place}: "
            f"{float(ours[place]):g} instead of {float(theirs[place]):g}."
        )
    times: dict[Any, list[timing.Sample]] = {all_reduce: [], dist.all_reduce: []}
    for _ in range(_REPEATS):
        for function, samples in times.items():
            dist.barrier()
            samples += timing.repeat(lambda function=function: function(ours), repeats=1, warmup=0)  # type: ignore[misc]
            ours.fill_(1)
    return list(times.values())
