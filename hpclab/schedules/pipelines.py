"""A pipeline as data: which rank computes which stage of which micro-batch, in which order.

Messages are not written down: one follows wherever a step needs what another rank computed. GPipe does all
forwards first (Huang and others, NeurIPS 2019). 1F1B begins backwards as early as it can and then alternates,
so that a rank holds fewer micro-batches (Narayanan and others, SOSP 2019). Interleaved 1F1B gives each rank
several thin stages, so that the pipe fills sooner (Narayanan and others, SC 2021).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy
from numpy.typing import NDArray

from hpclab import checks

NAMES = ("GPipe", "1F1B", "interleaved 1F1B")
FORWARD, BACKWARD = 0, 1
STEP = numpy.dtype([(name, "i4") for name in ("rank", "order", "kind", "micro_batch", "stage")])


@dataclass(frozen=True)
class Pipeline:
    """The steps of one batch on `ranks` ranks, each with `chunks` stages: stage s lies on rank s % ranks.

    `steps` is sorted by rank and order. A rank computes its steps in order, each as soon as it has what the
    stage before made, or, for a backward, the stage after.
    """

    name: str
    ranks: int
    micro_batches: int
    chunks: int
    steps: NDArray[Any]

    @property
    def stages(self) -> int:
        """Number of stages on all ranks."""
        return self.ranks * self.chunks

    @cached_property
    def bounds(self) -> NDArray[numpy.int64]:
        """Where each rank's steps begin in `steps`, and the end of the last: ranks + 1 places."""
        return numpy.searchsorted(self.steps["rank"], numpy.arange(self.ranks + 1))

    @cached_property
    def needs(self) -> NDArray[numpy.int64]:
        """For each step the place in `steps` of the one whose result it takes in; -1 for none.

        That a backward also needs its own stage's forward is left out: the order on its rank ensures it.
        """
        kind, micro_batch, stage = (self.steps[name] for name in ("kind", "micro_batch", "stage"))
        place = numpy.full((2, self.micro_batches, self.stages + 2), -1)  # a border on both sides
        place[kind, micro_batch, stage + 1] = numpy.arange(len(self.steps))
        return place[kind, micro_batch, stage + 2 * kind]

    @cached_property
    def messages(self) -> NDArray[numpy.int64]:
        """The places in `steps` of the step that sends and of the one that waits for it, shape (n, 2)."""
        taking = numpy.flatnonzero(self.needs >= 0)
        return numpy.stack([self.needs[taking], taking], axis=1)

    @cached_property
    def slots(self) -> list[NDArray[numpy.int64]]:
        """The steps that run at once if all took equally long, slot by slot, as places in `steps`."""
        found, done = list[NDArray[numpy.int64]](), numpy.zeros(len(self.steps) + 1, bool)
        done[-1] = True  # what needs nothing has place -1
        following, end = self.bounds[:-1].copy(), self.bounds[1:]
        while len(at_work := numpy.flatnonzero(following < end)):
            able = at_work[done[self.needs[following[at_work]]]]
            if not len(able):
                raise ValueError("These steps wait for each other for ever: change the order on some rank.")
            found.append(following[able])
            following[able] += 1
            done[found[-1]] = True
        return found

    @cached_property
    def in_flight(self) -> NDArray[numpy.int64]:
        """How many forwards of each rank wait for their backward at the most; each holds the activations of
        1 / chunks of the rank's layers."""
        waiting = numpy.cumsum(1 - 2 * self.steps["kind"])  # 0 where a rank begins
        return numpy.maximum.reduceat(waiting, self.bounds[:-1])


def pipeline(name: str, ranks: int, micro_batches: int, chunks: int = 1) -> Pipeline:
    """Make the schedule `name`, one of NAMES; `chunks` are the stages on each rank, 1 unless interleaved."""
    checks.choice("A pipeline's schedule", name, NAMES)
    checks.integer("ranks", ranks, 1, 4096)
    checks.integer("micro_batches", micro_batches, 1, 2**16)
    checks.integer("chunks", chunks, 1, 64)
    interleaved = name == "interleaved 1F1B"
    if interleaved != (chunks > 1) or (interleaved and (ranks == 1 or micro_batches % ranks)):
        raise ValueError(
            "Only interleaved 1F1B has chunks, 2 or more, and it needs 2 ranks or more, and micro-batches in "
            f"multiples of them, not {chunks} chunks, {ranks} ranks and {micro_batches} micro-batches."
        )
    rank, number = numpy.ogrid[:ranks, : micro_batches * chunks]
    ahead = (1 + interleaved) * (ranks - 1 - rank) + (chunks - 1) * ranks
    # Before forward `number` of a rank come `waits` of its backwards.
    waits = numpy.zeros_like(number) if name == "GPipe" else numpy.maximum(number - ahead, 0)
    whole, inside = numpy.divmod(number, ranks * chunks)  # a chunk takes `ranks` micro-batches at a time
    chunk, place = numpy.divmod(inside, ranks)
    parts = []
    for kind, backwards in ((FORWARD, waits), (BACKWARD, number)):
        part = numpy.empty((ranks, number.size), STEP)
        part["rank"], part["order"], part["kind"] = rank, backwards, kind
        part["micro_batch"] = whole * ranks + place
        part["stage"] = (chunk if kind == FORWARD else chunks - 1 - chunk) * ranks + rank
        parts.append(part.ravel())
    steps = numpy.concatenate(parts)
    steps = steps[numpy.lexsort((steps["kind"], steps["order"], steps["rank"]))]
    steps["order"] = numpy.arange(len(steps)) % (len(steps) // ranks)
    return Pipeline(name, ranks, micro_batches, chunks, steps)
