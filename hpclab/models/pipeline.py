"""How long a pipeline takes, and how much of that is its bubble.

times = pipeline.simulate(schedules.pipeline("1F1B", 4, 8), forward=0.01, backward=0.02, message=0.001)
times.makespan, times.bubble
"""

import re
from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike, NDArray

from hpclab import checks
from hpclab.results import Origin
from hpclab.schedules.pipelines import LETTERS, WEIGHT, Pipeline
from hpclab.trace import Trace

_STEP = re.compile(rf"[{LETTERS}] \d")


@dataclass(frozen=True)
class Timing:
    """When each step of `pipeline` begins and ends, in seconds, in the order of its `steps`."""

    pipeline: Pipeline
    start: NDArray[numpy.float64]
    end: NDArray[numpy.float64]
    origin: Origin = Origin.MODELLED

    @property
    def makespan(self) -> float:
        return float(self.end.max())

    @property
    def bubble(self) -> float:
        """The share of all rank-seconds in which nothing is computed."""
        return 1 - float((self.end - self.start).sum()) / (self.pipeline.ranks * self.makespan)


def simulate(pipeline: Pipeline, forward: ArrayLike, backward: ArrayLike, message: float = 0.0) -> Timing:
    """Every step as soon as its rank is free and what it needs has arrived.

    `forward` and `backward` are seconds for a micro-batch on a stage, one number or one for each stage; a
    backward that is cut in two is cut in the middle, because both halves are the same matrix products.
    `message` is the seconds from one rank to the next, while which the sender computes on; messages never
    wait for each other, which holds as long as one takes less than a step.
    """
    steps = pipeline.steps
    try:
        both = [numpy.broadcast_to(given, pipeline.stages) for given in (forward, backward)]
        seconds = numpy.array([*both, both[1]], float)
    except (TypeError, ValueError):
        seconds = numpy.full((3, 1), numpy.nan)
    if not (seconds.min() >= 0 and 0 < seconds.max() < 1e12):
        raise ValueError(
            "forward and backward must be seconds, one number each or one for each of the "
            f"{pipeline.stages} stages, not {checks.shown(forward)} and {checks.shown(backward)}."
        )
    if (steps["kind"] == WEIGHT).any():
        seconds[1:] /= 2
    duration = seconds[steps["kind"], steps["stage"]]
    delay = numpy.zeros(len(steps))
    delay[pipeline.messages[:, 1]] = checks.number("message", message, 0, 1e9, "seconds")
    end = numpy.zeros(len(steps) + 1)  # the last stands for "needs nothing"
    free = numpy.zeros(pipeline.ranks)  # from when on a rank can take its next step
    for rows in pipeline.slots:
        rank = steps["rank"][rows]
        begin = numpy.maximum(free[rank], end[pipeline.needs[rows]] + delay[rows])
        end[rows] = free[rank] = begin + duration[rows]
    return Timing(pipeline, end[:-1] - duration, end[:-1])


def overhead(pipeline: Pipeline) -> float:
    """What the bubble adds to the time without one, for equal stages and messages that take no time.

    (p - 1) / (v m) for p ranks, m micro-batches and v chunks: Narayanan and others, SC 2021, 2.2. Of that
    ZB-H1 leaves a third where forward and both halves of the backward take equally long: Qi and others, ICLR
    2024. Of the whole time the bubble is overhead / (1 + overhead).
    """
    left = 1 / 3 if (pipeline.steps["kind"] == WEIGHT).any() else 1.0
    return left * (pipeline.ranks - 1) / (pipeline.chunks * pipeline.micro_batches)


def measured(pipeline: Pipeline, trace: Trace) -> Timing:
    """The steps that the ranks of a run recorded (`parallel.pipeline`), from the first of them on.

    ValueError where they are not one run of this pipeline.
    """
    events = [event for event in trace.events if event.kind == "compute" and _STEP.match(event.label)]
    events.sort(key=lambda event: (event.rank, event.start))
    if [event.rank for event in events] != pipeline.steps["rank"].tolist():
        raise ValueError("The trace must be that of one step of training with this very schedule.")
    start, end = numpy.array([(event.start, event.end) for event in events]).T
    return Timing(pipeline, start - start.min(), end - start.min(), Origin.MEASURED)
