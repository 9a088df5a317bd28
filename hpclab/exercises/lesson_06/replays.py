"""Messages replayed, who has added whose values to which chunk: a ring, and the challenge, an all-reduce on
two nodes of four with one bad cable in the least modelled time."""

from collections.abc import Mapping
from functools import cache
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy

from hpclab import schedules
from hpclab.exercises import Verdict, judges
from hpclab.models.network import Topology, with_slow_link
from hpclab.models.schedule_time import simulate
from hpclab.models.topologies import cluster
from hpclab.schedules.schedule import MESSAGE, Schedule

RANKS, NODE, CHUNKS, SIZE = 8, 4, 24, 2**22
OURS = 68.7  # µs: docs/solutions.md; a test holds it
_FORM = (
    "The answer is a list of steps, each a list of messages (source, target, chunk, adds): different ranks "
    f"of 0 to {RANKS - 1}, chunks 0 to {CHUNKS - 1}, adds True or False."
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


def timed(answer: object) -> SimpleNamespace:
    """Steps that must add up right on all ranks, and their time beside that of the course's best
    algorithm."""
    if wrong := _replayed(steps := _read(answer)):
        raise ValueError(wrong)
    took, (best, name) = microseconds(steps), bar()
    return SimpleNamespace(
        took=took,
        best=best,
        name=name,
        ours=OURS,
        cable=" Which cable do your messages wait for?" * (took > best),
    )


by_time = judges.by_facts(
    timed, ((lambda f: f.took >= f.best, "Every sum is right, after {f.took:g} µs. The {f.name} takes "
            "{f.best:g} µs here: be faster.{f.cable}"),),
    yes="{f.took:g} µs, modelled; the course's fastest, the {f.name}, takes {f.best:g}, ours {f.ours:g}.",
    score=("took", "µs"),
)  # fmt: skip


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


_RING_RANKS = (4, 2, 3, 5, 6, 7, 8, 9)  # 4 first: what is said of it is the easiest to follow
_RING_YES = (
    "Replayed on 2 to 9 ranks: after p − 1 steps each rank holds the whole sum of its own chunk. That is the "
    "reduce-scatter of ZeRO and FSDP, where each rank owns the shard that carries its number."
)


def by_ring(answer: object) -> Verdict:
    """A function that says which chunk a rank sends in a step, replayed on 2 to 9 ranks."""
    events = [
        (rank, ranks, step) for ranks in _RING_RANKS for step in range(ranks - 1) for rank in range(ranks)
    ]
    sent = judges.called(
        "chunk_to_send(rank, ranks, step)", "the number of a chunk, a whole number", answer, events,
        lambda value: judges.is_number(value) and not isinstance(value, float),
    )  # fmt: skip
    said = dict(zip(events, sent, strict=True))
    for (rank, ranks, step), chunk in said.items():
        if not 0 <= chunk < ranks:
            where = f"Rank {rank} of {ranks} sends chunk {chunk} in step {step}"
            return Verdict(False, f"{where}, but chunks are 0 to {ranks - 1}: is the % ranks missing?")
    wrong = next(filter(None, (_ring_fault(ranks, said) for ranks in _RING_RANKS)), "")
    return Verdict(not wrong, wrong or _RING_YES)


def _ring_fault(ranks: int, said: Mapping[tuple, int]) -> str:
    """What is wrong with the ring on `ranks` ranks, or nothing. A sum is a list of whose values are in it."""
    held = [[[rank] for _ in range(ranks)] for rank in range(ranks)]
    for step in range(ranks - 1):
        sent = [(said[rank, ranks, step], rank) for rank in range(ranks)]
        parcels = [(chunk, (rank + 1) % ranks, held[rank][chunk][:]) for chunk, rank in sent]
        for chunk, target, parcel in parcels:
            if twice := set(parcel) & set(held[target][chunk]):
                return (
                    f"On {ranks} ranks, step {step}: rank {target} gets chunk {chunk} with rank "
                    f"{min(twice)}'s values, and has them already, so they count twice. Send what came in "
                    "the step before."
                )
            held[target][chunk] += parcel
    whole = [{c for c in range(ranks) if len(held[rank][c]) == ranks} for rank in range(ranks)]
    if all(rank in whole[rank] for rank in range(ranks)):
        return ""
    if all(len(chunks) == 1 for chunks in whole):
        rank = next(rank for rank, chunks in enumerate(whole) if rank not in chunks)
        return (
            f"A right ring, but on {ranks} ranks rank {rank} ends with the whole sum of chunk "
            f"{min(whole[rank])}, and is to own chunk {rank}. Everybody must begin with another chunk."
        )
    return (
        f"On {ranks} ranks, after {ranks - 1} steps, the fullest sum on rank 0 has the values of "
        f"{max(map(len, held[0]))} of {ranks} ranks. In step s a rank must pass on the chunk that it "
        "received in step s − 1."
    )
