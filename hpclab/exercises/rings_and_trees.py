"""Exercises of lesson 06 that judge a function: a ring's chunks, by replay, and where ring and tree cross."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy

from hpclab.exercises import Exercise, Verdict, limits
from hpclab.units import format_seconds

_RANKS = (4, 2, 3, 5, 6, 7, 8, 9)  # 4 first: what is said of it is the easiest to follow


def _ring(answer: object) -> Verdict:
    if not callable(answer):
        return Verdict(False, "The answer is a function: def chunk_to_send(rank, ranks, step): return ...")
    asked = [(r, p, s) for p in _RANKS for s in range(p - 1) for r in range(p)]
    chunks = limits.call_each(answer, asked, seconds=3)
    said = dict(
        zip(asked, (_chunk(case, value) for case, value in zip(asked, chunks, strict=True)), strict=True)
    )
    for ranks in _RANKS:
        wrong = _replayed(ranks, said)
        if wrong:
            return Verdict(False, wrong)
    return Verdict(
        True,
        "Replayed on 2 to 9 ranks: after p − 1 steps each rank holds the whole sum of its own chunk. That is "
        "the reduce-scatter of ZeRO and FSDP, where each rank owns the shard that carries its number.",
    )


def _chunk(case: tuple[int, int, int], value: object) -> int:
    rank, ranks, step = case
    if isinstance(value, bool) or not isinstance(value, int | numpy.integer):
        shown = "nothing (is the return missing?)" if value is None else f"{value!r:.40}"
        raise ValueError(f"The function must return the number of a chunk, a whole number, not {shown}.")
    if not 0 <= value < ranks:
        raise ValueError(
            f"Rank {rank} of {ranks} sends chunk {value} in step {step}, but chunks are 0 to {ranks - 1}: "
            "is the % ranks missing?"
        )
    return int(value)


def _replayed(ranks: int, said: dict[tuple[int, int, int], int]) -> str:
    """What is wrong with the ring on `ranks` ranks, or nothing. A sum is a list of whose values are in it."""
    held = [[[rank] for _ in range(ranks)] for rank in range(ranks)]
    for step in range(ranks - 1):
        sent = [(said[rank, ranks, step], rank) for rank in range(ranks)]
        parcels = [(chunk, (rank + 1) % ranks, held[rank][chunk][:]) for chunk, rank in sent]
        for chunk, target, parcel in parcels:
            twice = set(parcel) & set(held[target][chunk])
            if twice:
                return (
                    f"On {ranks} ranks, step {step}: rank {target} gets chunk {chunk} with rank "
                    f"{min(twice)}'s values, and has them already, so they count twice. Who sends in a step "
                    "what it got in the step before never sends anything twice."
                )
            held[target][chunk] += parcel
    whole = [{c for c in range(ranks) if len(held[rank][c]) == ranks} for rank in range(ranks)]
    if all(rank in whole[rank] for rank in range(ranks)):
        return ""
    shift = {(min(chunks) - rank) % ranks for rank, chunks in enumerate(whole) if len(chunks) == 1}
    if len(shift) == 1 and all(len(chunks) == 1 for chunks in whole):
        return (
            f"A right ring, but on {ranks} ranks rank 0 ends with the whole sum of chunk {min(whole[0])}, "
            "and rank 0 is to own chunk 0. Everybody must begin with another chunk."
        )
    most = max(len(chunk) for chunk in held[0])
    return (
        f"On {ranks} ranks, after {ranks - 1} steps, the fullest sum on rank 0 has the values of {most} of "
        f"{ranks} ranks. In step s a rank must pass on the chunk that it received in step s − 1."
    )


RING = Exercise(
    "a ring that ends at home",
    "After the first half of the notebook's ring rank r holds the whole sum of chunk r + 1. Sharded "
    "training wants rank r to end with chunk r. Each rank still sends to (rank + 1) % ranks and adds what "
    "arrives. Write chunk_to_send(rank, ranks, step) for step 0 to ranks − 2.",
    _ring,
    (
        "Follow chunk 0 backwards: it must arrive at rank 0 last. Who sends it there, and in which step?",
        "In the last step, ranks − 2, rank − 1 sends chunk `rank`. One step earlier it is one rank earlier.",
        "Put the notebook's (rank − step) % ranks into a table for 3 ranks, and shift the chunks by one.",
    ),
)

_CASES = (
    (4, 20e-6, 1e-9), (8, 5e-6, 4e-11), (16, 20e-6, 1e-9), (1024, 2e-6, 2e-11),
    (5, 1e-5, 1e-9), (12, 1e-5, 1e-10),
)  # fmt: skip
_NONE = ((2, 20e-6, 1e-9), (3, 20e-6, 1e-9))
_Formula = Callable[[int, float, float], float]


def _up(p: int) -> float:
    return (p - 1).bit_length()


def _solved(depth: Callable[[int], float], ring: float = 1, tree: float = 1) -> _Formula:
    """Where ring (p - 1) (α + n/p β) = tree depth(p) (α + n β)."""

    def size(p: int, alpha: float, beta: float) -> float:
        steps, levels = ring * (p - 1), tree * depth(p)
        return alpha * (steps - levels) / (beta * (levels - steps / p))

    return size


_right = _solved(_up)
_MISTAKES: tuple[tuple[_Formula, str], ...] = (
    (
        _solved(math.log2),
        "right for powers of two. A tree has whole steps: log2(p) rounded up, math.ceil(math.log2(p)).",
    ),
    (
        _solved(lambda p: math.floor(math.log2(p))),
        "right for powers of two. With 5 ranks a tree needs 3 steps, not 2: round log2(p) up.",
    ),
    *(
        (
            _solved(natural),
            "math.log is the natural logarithm. A tree doubles: take it to base 2, and round up.",
        )
        for natural in (math.log, lambda p: math.ceil(math.log(p)))
    ),
    (
        _solved(_up, ring=2),
        "that tree only goes one way: a reduction and then a broadcast are 2 L steps.",
    ),
    (
        _solved(_up, tree=2),
        "that ring only goes round once: reduce-scatter and then all-gather are 2 (p − 1) steps.",
    ),
    (
        lambda p, a, b: _right(p, a, b) * b * b,
        "beta is seconds per byte, the inverse of a bandwidth: it stands below the line.",
    ),
    (lambda p, a, b: 1 / _right(p, a, b), "it is upside down: more alpha must move the crossover up."),
    (
        lambda p, a, b: a / b,
        "α / β is where a message's start costs as much as its bytes. The number of ranks matters too.",
    ),
)


def _crossover(answer: object) -> Verdict:
    if not callable(answer):
        return Verdict(False, "The answer is a function: def crossover(p, alpha, beta): return ...")
    values = [_size(value) for value in limits.call_each(answer, _CASES, seconds=3)]
    expected = [_right(*case) for case in _CASES]
    if not _same(values, expected):
        shown = f"For 4 ranks, 20 µs and 1 ns/byte you get {values[0]:.4g} bytes: "
        for formula, sentence in _MISTAKES:
            if _same(values, [formula(*case) for case in _CASES]):
                return Verdict(False, shown + sentence)
        if _same(values[:4], expected[:4]):
            return Verdict(
                False, f"{shown}right. But for 5 ranks you get {values[4]:.4g}: how many steps has that tree?"
            )
        wrong = next(n for n, value in enumerate(values) if not _same([value], [expected[n]]))
        return Verdict(False, _put_in(_CASES[wrong], values[wrong]))
    zero = [_size(value) for value in limits.call_each(answer, _NONE, seconds=3)]
    if any(abs(value) > 1e-6 for value in zero):
        return Verdict(
            False,
            f"Right from 4 ranks up. For 2 and 3 ranks you say {zero[0]:.4g} and {zero[1]:.4g} bytes: a tree "
            "has no fewer steps than a ring there, so the ring wins from the first byte. Return 0.",
        )
    return Verdict(
        True,
        "n = (α/β) (p − 1 − L) / (L − (p − 1)/p), L the tree's depth. It grows with p: on 1,024 ranks a ring "
        "needs many megabytes to pay for its 2,046 steps. Libraries keep a table of such sizes.",
    )


def _put_in(case: tuple[int, float, float], size: float) -> str:
    p, alpha, beta = case
    depth = (p - 1).bit_length()
    ring, tree = 2 * (p - 1) * (alpha + size / p * beta), 2 * depth * (alpha + size * beta)
    return (
        f"For {p:,} ranks, {format_seconds(alpha)} and {format_seconds(beta)}/byte you get {size:.4g} bytes: "
        f"put in, the ring takes {2 * (p - 1):,} (α + n/{p} β) = {ring * 1e6:.4g} µs and the tree "
        f"{2 * depth} (α + n β) = {tree * 1e6:.4g} µs, which is not the same."
    )


def _size(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        shown = "nothing (is the return missing?)" if value is None else f"{value!r:.40}"
        raise ValueError(f"The function must return a number of bytes, not {shown}.")
    return float(value)


def _same(values: list[float], expected: list[float]) -> bool:
    return all(math.isclose(v, e, rel_tol=0.01) for v, e in zip(values, expected, strict=True))


CROSSOVER = Exercise(
    "crossover",
    "A ring all-reduce takes 2 (p − 1) (α + n/p β). A binomial tree that reduces and then broadcasts takes "
    "2 L (α + n β), where L is log2(p) rounded up. Write crossover(p, alpha, beta): from how many bytes n "
    "on is the ring faster? Any p from 2 up.",
    _crossover,
    (
        "Set the two times equal. The 2 falls out on both sides.",
        "Bring α to the left and n β to the right: α (p − 1 − L) = n β (L − (p − 1)/p).",
        "With 2 or 3 ranks the left side is 0.",
    ),
)
