"""The challenge: an all-reduce on two nodes of four, with one bad cable, in the least modelled time."""

from functools import cache
from itertools import chain
from typing import Any

import numpy

from hpclab import schedules
from hpclab.exercises import Verdict
from hpclab.models.network import Topology, with_slow_link
from hpclab.models.schedule_time import simulate
from hpclab.models.topologies import cluster
from hpclab.schedules.schedule import MESSAGE, Schedule

RANKS, NODE, CHUNKS, SIZE = 8, 4, 24, 2**22
OURS = 68.7  # µs: docs/solutions.md; a test holds it
_FORM = (
    "The answer is a list of steps, each a list of messages (source, target, chunk, adds): "
    f"different ranks of 0 to {RANKS - 1}, chunks 0 to {CHUNKS - 1}, adds True or False."
)
Message = tuple[int, int, int, bool]


@cache
def machine() -> Topology:
    """Two nodes of four A100 with an HDR card each; the cable out of rank 3's card is ten times slower."""
    whole = cluster(RANKS // NODE, NODE, "nvlink3", "infiniband-hdr", NODE, rails=True)
    return with_slow_link(whole, NODE - 1, RANKS - 1, 10)


def library(algorithm: str) -> list[list[Message]]:
    """The steps of one of the course's own all-reduces ("ring", "binomial_tree", "hierarchical", ...)."""
    made = schedules.collective("all_reduce", algorithm, RANKS, CHUNKS, ranks_per_node=NODE)
    fields = ["source", "target", "source_offset", "size", "reduce"]
    return [
        [(a, b, chunk + n, adds) for a, b, chunk, size, adds in step[fields].tolist() for n in range(size)]
        for step in made
    ]


def microseconds(steps: list[list[Message]]) -> float:
    """The modelled time of `steps` on the challenge's machine."""
    rows = [(n, a, b, chunk, chunk, 1, adds) for n, step in enumerate(steps) for a, b, chunk, adds in step]
    schedule = Schedule("all_reduce", "yours", RANKS, CHUNKS, CHUNKS, numpy.array(rows, MESSAGE))
    return round(simulate(schedule, machine(), SIZE / CHUNKS).time * 1e6, 1)


@cache
def bar() -> tuple[float, str]:
    """The least that one of the course's algorithms takes, and its name."""
    known = schedules.ALGORITHMS["all_reduce"]
    return min((microseconds(library(name)), name.replace("_", " ")) for name in known)


def by_time(answer: object) -> Verdict:
    """Steps that add up right on all ranks, and in less time than every algorithm of the course."""
    if wrong := _replayed(steps := _read(answer)):
        return Verdict(False, wrong)
    took, (best, name) = microseconds(steps), bar()
    if took >= best:
        said = f"Every sum is right, after {took:g} µs. The {name} takes {best:g} µs here: be faster."
        return Verdict(False, said + " Which cable do your messages wait for?" * (took > best))
    said = f"{took:g} µs, modelled; the course's fastest, the {name}, takes {best:g}, ours {OURS:g}."
    return Verdict(True, said, (took, "µs"))


def _read(answer: Any) -> list[list[Message]]:
    try:
        steps = [[(int(a), int(b), int(c), bool(adds)) for a, b, c, adds in step] for step in answer]
    except (TypeError, ValueError):
        raise ValueError(_FORM) from None
    for source, target, chunk, _ in chain.from_iterable(steps):
        if source == target or not {source, target} < set(range(RANKS)) or chunk not in range(CHUNKS):
            raise ValueError(f"There is no message ({source}, {target}, {chunk}, ...). {_FORM}")
    return steps


def _replayed(steps: list[list[Message]]) -> str:
    """What is wrong with the sums, or nothing. A sum is the bits of the ranks whose values are in it."""
    held = [[1 << rank] * CHUNKS for rank in range(RANKS)]
    for number, step in enumerate(steps):
        parcels = [(target, chunk, adds, held[source][chunk]) for source, target, chunk, adds in step]
        copied = [(target, chunk) for target, chunk, adds, _ in parcels if not adds]
        for target, chunk, adds, parcel in parcels:
            where = f"Step {number}: rank {target} gets chunk {chunk}"
            if (target, chunk) in copied and sum(one[:2] == (target, chunk) for one in parcels) > 1:
                return f"{where} twice, and one overwrites: which comes last?"
            if adds and (twice := parcel & held[target][chunk]):
                rank = (twice & -twice).bit_length() - 1
                return f"{where} with rank {rank}'s values, and has them already, so they count twice."
            held[target][chunk] = parcel | (held[target][chunk] if adds else 0)
    for rank, sums in enumerate(held):
        least = min(sums, key=int.bit_count)
        if (ranks := least.bit_count()) < RANKS:
            return f"In the end rank {rank} has {ranks} of {RANKS} ranks in chunk {sums.index(least)}."
    return ""
