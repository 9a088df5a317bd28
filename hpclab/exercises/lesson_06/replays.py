"""Judge a learner's messages by a replay that records which ranks' values each chunk's sum holds: a ring, and
the challenge, an all-reduce on two nodes of four with one bad cable in the least modelled time."""

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
    """The modelled time of `steps` on the challenge's machine, in µs."""
    rows = [(n, a, b, chunk, chunk, 1, adds) for n, step in enumerate(steps) for a, b, chunk, adds in step]
    schedule = Schedule("all_reduce", "yours", RANKS, CHUNKS, CHUNKS, numpy.array(rows, MESSAGE))
    return round(simulate(schedule, machine(), SIZE / CHUNKS).time * 1e6, 1)


@cache
def fastest_algorithm() -> tuple[float, str]:
    """The least modelled time, in µs, of one of the course's all-reduces, and its name."""
    known = schedules.ALGORITHMS["all_reduce"]
    return min((microseconds(library(name)), name.replace("_", " ")) for name in known)


def _read(answer: Any) -> list[list[Message]]:
    """The steps of `answer`; ValueError where it is no list of steps, or there is no such message."""
    try:
        steps = [[(int(a), int(b), int(c), bool(adds)) for a, b, c, adds in step] for step in answer]
    except (TypeError, ValueError):
        raise ValueError(_FORM) from None
    for source, target, chunk, _ in chain.from_iterable(steps):
        if source == target or not {source, target} < set(range(RANKS)) or chunk not in range(CHUNKS):
            raise ValueError(f"There is no message ({source}, {target}, {chunk}, ...). {_FORM}")
    return steps


def _replay(steps: list[list[Message]], ranks: int, chunks: int) -> tuple[list[list[int]], str]:
    """Replay `steps`. Return, for each rank and chunk, the ranks whose values its sum holds, as a bit mask;
    and a sentence about the first message that makes a sum wrong, or ""."""
    held = [[1 << rank] * chunks for rank in range(ranks)]
    for number, step in enumerate(steps):
        parcels = [(target, chunk, adds, held[source][chunk]) for source, target, chunk, adds in step]
        copied = [(target, chunk) for target, chunk, adds, _ in parcels if not adds]
        for target, chunk, adds, parcel in parcels:
            where = f"step {number}: rank {target} gets chunk {chunk}"
            if (target, chunk) in copied and sum(one[:2] == (target, chunk) for one in parcels) > 1:
                return held, f"{where} twice, and one overwrites: which comes last?"
            if adds and (twice := parcel & held[target][chunk]):
                rank = (twice & -twice).bit_length() - 1
                return held, f"{where} with rank {rank}'s values, and has them already, so they count twice."
            held[target][chunk] = parcel | (held[target][chunk] if adds else 0)
    return held, ""


def _timed(answer: object) -> SimpleNamespace:
    """The modelled time of `answer` beside the fastest algorithm's; ValueError where a sum is wrong."""
    held, wrong = _replay(steps := _read(answer), RANKS, CHUNKS)
    for rank, sums in enumerate(held):
        least = min(sums, key=int.bit_count)
        if (ranks := least.bit_count()) < RANKS:
            wrong = (
                wrong or f"In the end rank {rank} has {ranks} of {RANKS} ranks in chunk {sums.index(least)}."
            )
    if wrong:
        raise ValueError(wrong)
    took, (best, name) = microseconds(steps), fastest_algorithm()
    cable = " Which cable do your messages wait for?" * (took > best)
    return SimpleNamespace(took=took, best=best, name=name, cable=cable)


by_time = judges.by_facts(
    _timed, (lambda f: f.took >= f.best, "Every sum is right, after {f.took:g} µs. The {f.name} takes "
             "{f.best:g} µs here: be faster.{f.cable}"),
    yes="{f.took:g} µs, modelled; the course's fastest, the {f.name}, takes {f.best:g}, ours "
    f"{OURS:g}.", score=("took", "µs"),
)  # fmt: skip
_RING_RANKS = (4, 2, 3, 5, 6, 7, 8, 9)  # 4 first: what is said of it is the easiest to follow


def by_ring(answer: object) -> Verdict:
    """Judge a function that returns the chunk a rank sends in a step, by a replay on 2 to 9 ranks."""
    events = [(rank, n, step) for n in _RING_RANKS for step in range(n - 1) for rank in range(n)]
    sent = judges.call_on_cases(
        "chunk_to_send(rank, ranks, step)", "the number of a chunk, a whole number", answer, events,
        lambda value: judges.is_number(value) and not isinstance(value, float),
    )  # fmt: skip
    said = dict(zip(events, sent, strict=True))
    for (rank, ranks, step), chunk in said.items():
        if not 0 <= chunk < ranks:
            where = f"Rank {rank} of {ranks} sends chunk {chunk} in step {step}"
            return Verdict(False, f"{where}, but chunks are 0 to {ranks - 1}: is the % ranks missing?")
    wrong = next(filter(None, (_ring_error(ranks, said) for ranks in _RING_RANKS)), "")
    return Verdict(not wrong, wrong or (
        "Replayed on 2 to 9 ranks: after p − 1 steps each rank holds the whole sum of its own chunk. That is "
        "the reduce-scatter of ZeRO and FSDP, where each rank owns the shard that carries its number."
    ))  # fmt: skip


def _ring_error(n: int, said: Mapping[tuple, int]) -> str:
    """A sentence about what is wrong with the answer's ring on `n` ranks; "" for nothing. `said` maps (rank,
    ranks, step) to a chunk."""
    steps = [
        [(rank, (rank + 1) % n, said[rank, n, step], True) for rank in range(n)] for step in range(n - 1)
    ]
    held, twice = _replay(steps, n, n)
    if twice:
        return f"On {n} ranks, {twice} Send what came in the step before."
    whole = [{chunk for chunk, who in enumerate(sums) if who.bit_count() == n} for sums in held]
    wrong = [rank for rank in range(n) if rank not in whole[rank]]
    if wrong and all(len(chunks) == 1 for chunks in whole):
        return (
            f"A right ring, but on {n} ranks rank {wrong[0]} ends with the whole sum of chunk "
            f"{min(whole[wrong[0]])}, and is to own chunk {wrong[0]}. Everybody must begin with another "
            "chunk."
        )
    if not wrong:
        return ""
    return (
        f"On {n} ranks, after {n - 1} steps, the fullest sum on rank 0 has the values of "
        f"{max(map(int.bit_count, held[0]))} of {n} ranks. In step s a rank must pass on the chunk that it "
        "received in step s − 1."
    )
