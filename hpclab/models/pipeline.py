"""How long a pipeline takes, step by step, and how much of that is its bubble."""

from dataclasses import dataclass

import numpy
from numpy.typing import ArrayLike, NDArray

from hpclab import checks
from hpclab.results import Origin
from hpclab.schedules.pipelines import Pipeline
from hpclab.trace import Trace


@dataclass(frozen=True)
class PipelineTime:
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
        return max(0.0, 1 - float((self.end - self.start).sum()) / (self.pipeline.ranks * self.makespan))


def simulate(
    pipeline: Pipeline, forward: ArrayLike, backward: ArrayLike, message: float = 0.0
) -> PipelineTime:
    """The PipelineTime where every step begins once its rank is free and what it needs has arrived.

    `forward` and `backward` are seconds for a micro-batch on a stage, one number or one for each stage,
    `message` those from one rank to the next, in which the sender computes on. No message waits for another.
    """
    steps = pipeline.steps
    try:
        seconds = numpy.array(
            [numpy.broadcast_to(one, pipeline.stages) for one in (forward, backward)], float
        )
    except (TypeError, ValueError):
        seconds = numpy.array([numpy.nan])
    if not (seconds.min() >= 0 and 0 < seconds.max() < 1e12):
        raise ValueError(
            "forward and backward must be seconds, one number each or one for each of the "
            f"{pipeline.stages} stages, not {checks.shown(forward)} and {checks.shown(backward)}."
        )
    duration = seconds[steps["kind"], steps["stage"]]
    delay = numpy.zeros(len(steps))
    delay[pipeline.messages[:, 1]] = checks.number("message", message, 0, 1e9, "seconds")
    end = numpy.zeros(len(steps) + 1)  # the last stands for "needs nothing"
    free = numpy.zeros(pipeline.ranks)  # from when on a rank can take its next step
    for rows in pipeline.slots:
        rank = steps["rank"][rows]
        begin = numpy.maximum(free[rank], end[pipeline.needs[rows]] + delay[rows])
        end[rows] = free[rank] = begin + duration[rows]
    return PipelineTime(pipeline, end[:-1] - duration, end[:-1])


def overhead(pipeline: Pipeline) -> float:
    """The bubble over the time of computing, for equal stages and messages that take no time: (p - 1) / (v m)
    with p ranks, m micro-batches and v chunks (Narayanan and others, SC 2021, 2.2). Of the whole time it is
    overhead / (1 + overhead)."""
    return (pipeline.ranks - 1) / (pipeline.chunks * pipeline.micro_batches)


def evened(timing: PipelineTime) -> PipelineTime:
    """The same schedule with the mean time for every forward and every backward, and messages in no time."""
    took, kind = timing.end - timing.start, timing.pipeline.steps["kind"]
    return simulate(timing.pipeline, took[kind == 0].mean(), took[kind == 1].mean())


def measured(pipeline: Pipeline, trace: Trace) -> PipelineTime:
    """The PipelineTime that the ranks of a run recorded (`parallel.pipeline`), from the first step on.

    ValueError where they are not one run of this pipeline.
    """
    events = [event for event in trace.events if event.kind == "compute" and event.label[:2] in ("F ", "B ")]
    events.sort(key=lambda event: (event.rank, event.start))
    if [event.rank for event in events] != pipeline.steps["rank"].tolist():
        raise ValueError("The trace must be that of one step of training with this very schedule.")
    start, end = numpy.array([(event.start, event.end) for event in events]).T
    return PipelineTime(pipeline, start - start.min(), end - start.min(), Origin.MEASURED)
