"""A learner's kernel is judged by what it did on launches it has not seen.

In this order: what is wrong, how much had to come one after another, what moved.
"""

import math
from collections.abc import Callable

import numpy
from numpy.typing import NDArray

from hpclab.exercises import Verdict
from hpclab.exercises.judges import Judge, Mistakes, told
from hpclab.exercises.kernel_runs import KernelTrial, LearnerLaunch, run


def by_kernel(
    launches: Callable[[], list[LearnerLaunch]], wrong: Mistakes, dear: Mistakes = (), *,
    most: Callable[[KernelTrial], float] = lambda _: math.inf, why: str = "{f.waste}", yes: str = "",
    steps: Callable[[KernelTrial], float] = lambda f: 16 * f.rounds, apart: str = "{f.alone}",
    scored: bool = False,
) -> Judge:  # fmt: skip
    """A kernel under @cuda.jit, traced on each of `launches()`: conditions are of the KernelTrial `f`.

    All must be right, and share the work so that no more than `steps` come one after another (`apart` is the
    advice), before what is `dear` is told of any: more than `most` sectors (`why` is the advice), and what
    else is named. `yes` may use {score}, all sectors, which are the score of what is `scored`.
    """
    many = (lambda f: f.sectors > most(f), "right, but {f.sectors} sectors move, and {most} would do. " + why)
    slow = (lambda f: f.steps > steps(f), "right, but {f.steps} steps come one after another. " + apart)
    stages = ((*wrong, (lambda f: f.fault, "{f.fault}")), (slow,), (many, *dear))

    def judge(answer: object) -> Verdict:
        trials = run(answer, launches())
        for stage in stages:
            for trial in trials:
                if said := told(stage, trial, most=most(trial)):
                    return Verdict(False, f"{trial.launch.said}: {said}")
        score = sum(trial.sectors for trial in trials)
        return Verdict(True, yes.format(score=score), (score, "sectors") if scored else None)

    return judge


def numbers(*shape: int, seed: int = 0) -> NDArray:
    """Random float32 from 1 to 2, the same each time."""
    return numpy.random.default_rng((seed, *shape)).random(shape, dtype=numpy.float32) + 1


def nothing(*shape: int) -> NDArray:
    """An output that nobody has written to yet."""
    return numpy.full(shape, numpy.nan, numpy.float32)
