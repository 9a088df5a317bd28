"""The challenge of lesson 04: short runs put together into few jobs, on a modelled Slurm of four nodes."""

from collections.abc import Mapping, Sequence

from hpclab.exercises import Exercise, Verdict

RUNS: Mapping[str, float] = dict(
    zip("abcdefghijk", (15, 42, 15, 39, 58, 53, 46, 38, 41, 12, 41), strict=True)
)
"""Seconds that each run takes."""
START = 4.0  # seconds that each job costs before its first run begins
FREE = (0.0, 0.0, 0.0, 60.0)  # seconds after which each node is free: one ends somebody's job first
_ONE_EACH, _LONGEST_FIRST, _LIMIT = 149.0, 130.0, 119.0  # s: as they come; packed greedily; no node ever idle


def ends(jobs: Sequence[Sequence[str]]) -> list[float]:
    """Seconds at which each node is done: jobs start in their order, each on the node that is free first and,
    of several, the first of those; the runs of a job come one after the other."""
    free = list(FREE)
    for job in jobs:
        node = free.index(min(free))
        free[node] += START + sum(RUNS[run] for run in job)
    return free


def _judge(answer: object) -> Verdict:
    if not isinstance(answer, list | tuple) or not all(isinstance(job, list | tuple | str) for job in answer):
        raise ValueError('The answer is a list of jobs, each a list of runs: [["a", "c"], ["b"]].')
    given = [str(run) for job in answer for run in job]
    if wrong := sorted(run for run in {*RUNS, *given} if given.count(run) != (run in RUNS)):
        return Verdict(False, f"Each of {', '.join(RUNS)} is done once: look at {', '.join(wrong)}.")
    if not all(answer):
        return Verdict(False, "One of the jobs has no run, and still costs a start.")
    done = ends(answer)
    last = max(done)
    each = ", ".join(f"{seconds:g}" for seconds in done)
    told = f"{len(answer)} jobs, done after {last:g} s (modelled; the nodes: {each})."
    if last >= _ONE_EACH:
        return Verdict(False, f"{told} One job a run, as they come, takes {_ONE_EACH:g} s: be faster.")
    par = f"To beat: the longest run first, always into the job that ends first: {_LONGEST_FIRST:g} s."
    return Verdict(True, f"{told} {par} Nobody comes below {_LIMIT:g} s.", (last, "seconds"))


PACK = Exercise("04", "pack", _judge, (
    "Each job costs 4 s before its first run. How many jobs do four nodes need at the least?",
    "The fourth node is free 60 s later, so its job should hold 60 s less work than the others.",
    "With one job a node, all done at 119 s: 115 s of runs for each of three nodes, 55 s for the fourth.",
))  # fmt: skip
