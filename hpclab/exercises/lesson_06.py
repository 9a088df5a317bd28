"""Lesson 06: fit alpha and beta, cut a ring another way, find a crossover, name the link that bounds.

The two that are judged by calling a function are in `rings_and_trees.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy

from hpclab.exercises import Exercise, Verdict
from hpclab.exercises.rings_and_trees import CROSSOVER, RING
from hpclab.models.formulas import bus_factor
from hpclab.units import format_bytes

__all__ = ["BOTTLENECK", "CROSSOVER", "FIT", "LINKS", "POINTS", "RING", "RUNS"]

_ALPHA, _BETA = 18e-6, 1 / 1.17e9
POINTS: Mapping[int, float] = {
    8: 18.3e-6, 64: 17.6e-6, 512: 18.8e-6, 4096: 21.1e-6, 32768: 45.3e-6, 262144: 249e-6,
    2097152: 1735e-6, 16777216: 14860e-6,
}  # fmt: skip
"""Bytes to seconds of a ping-pong: made from alpha = 18 µs and 1.17 GB/s with a scatter of 4 %, rounded."""


def _fit(answer: object) -> Verdict:
    if isinstance(answer, numpy.ndarray):
        answer = answer.tolist()
    if not isinstance(answer, Sequence) or isinstance(answer, str) or len(answer) != 2:
        return Verdict(False, "The answer is a pair: (alpha in seconds, beta in seconds per byte).")
    alpha, beta = (_finite(name, value) for name, value in zip(("alpha", "beta"), answer, strict=True))
    shown = f"alpha = {alpha:.3g} s and beta = {beta:.3g} s/byte"
    straight = _least_squares()
    if _near(alpha, _ALPHA, 0.15) and _near(beta, _BETA, 0.1):
        return Verdict(
            True,
            f"{alpha * 1e6:.3g} µs and {1 / beta / 1e9:.3g} GB/s. The points were made with 18 µs and "
            f"1.17 GB/s. Plain least squares says {straight[0] * 1e6:.2g} µs: one large message's scatter is "
            "more than the whole of alpha, so residuals must be relative.",
        )
    if _near(alpha, _BETA, 0.15) and _near(beta, _ALPHA, 0.15):
        return Verdict(False, f"You say {shown}: the two are swapped.")
    for scale, unit in ((1e9, "nanoseconds"), (1e6, "microseconds")):
        if _near(beta, _BETA * scale, 0.1):
            return Verdict(False, f"You say beta = {beta:.3g}. Is it in {unit} per byte? Give seconds.")
    if beta > 1:
        return Verdict(False, f"You say beta = {beta:.3g}. That is a bandwidth; beta is its inverse.")
    if _near(alpha, _ALPHA * 1e6, 0.3) or _near(alpha, _ALPHA * 1e3, 0.3):
        return Verdict(False, f"You say alpha = {alpha:.3g} s. The table is in seconds, not in µs or ms.")
    if alpha and abs(alpha - straight[0]) < 2e-6 and _near(beta, straight[1], 0.05):
        return Verdict(
            False,
            f"You say alpha = {alpha * 1e6:.2g} µs, but no message in the table takes less than 17 µs. That "
            "is plain least squares: it counts seconds, so 4 % of the largest message outweigh all the small "
            "ones. Make the residuals relative: divide each by its time.",
        )
    if not _near(alpha, _ALPHA, 0.15):
        return Verdict(
            False,
            f"You say alpha = {alpha * 1e6:.3g} µs, so a message of 8 bytes would take at least that long. "
            f"It took {POINTS[8] * 1e6:.3g} µs, and 8 bytes are hardly any bytes.",
        )
    if _near(beta, _BETA / 8, 0.2) or _near(beta, _BETA * 8, 0.2):
        return Verdict(
            False, f"Alpha is right. Beta is off by 8: bytes, not bits. You say {beta * 1e9:.3g} ns/byte."
        )
    largest = max(POINTS)
    return Verdict(
        False,
        f"Alpha is right. With your beta {format_bytes(largest)} take {alpha + beta * largest:.3g} s; they "
        f"took {POINTS[largest]:.3g} s. Take beta from the large messages: small ones pay alpha, not bytes.",
    )


def _least_squares() -> tuple[float, float]:
    """What plain least squares makes of POINTS: alpha and beta."""
    beta, alpha = numpy.polyfit(list(POINTS), list(POINTS.values()), 1)
    return float(alpha), float(beta)


def _near(value: float, right: float, tolerance: float) -> bool:
    return abs(value - right) <= tolerance * abs(right)


def _finite(name: str, value: object) -> float:
    """A number of Python or NumPy, of either sign (a bad fit may be negative)."""
    if isinstance(value, bool) or not isinstance(value, int | float | numpy.number):
        raise ValueError(f"{name} must be a number, not {value!r:.40}.")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value}.")
    return float(value)


FIT = Exercise(
    "alpha and beta",
    "lesson_06.POINTS holds bytes and seconds of a ping-pong. Give alpha in seconds and beta in seconds per "
    "byte, alpha within 15 % and beta within 10 %.",
    _fit,
    (
        "A message of 8 bytes is nearly all alpha. A message of 16 MiB is nearly all beta.",
        "By eye: alpha is the flat part. Beta is what time grows by, over what bytes grow by, far right.",
        "latency_bandwidth.fit(list(POINTS), list(POINTS.values())) has .latency and .bandwidth.",
    ),
)


@dataclass(frozen=True)
class Run:
    """A large collective as a benchmark prints it: `size` in bytes as nccl-tests means it, `seconds`."""

    collective: str
    ranks: int
    size: int
    seconds: float
    what: str


RUNS: Mapping[str, Run] = {
    "A": Run("all_reduce", 8, 2**30, 4.9e-3, "8 GPUs of one node"),
    "B": Run("all_reduce", 64, 2**30, 43.5e-3, "64 GPUs on 8 nodes"),
    "C": Run("all_reduce", 2, 2**28, 11.2e-3, "2 GPUs of one node"),
    "D": Run("all_gather", 16, 2**30, 86.0e-3, "16 nodes with a GPU each"),
    "E": Run("all_reduce", 32, 2**28, 186e-3, "32 nodes with a GPU each"),
}
"""Five runs, modelled: a link's rate with a few percent lost, turned into the time of the collective."""

LINKS: Mapping[str, float] = {
    "NVLink 4": 450e9,
    "InfiniBand NDR": 50e9,
    "PCIe 4 x16": 26e9,
    "100 Gb/s RoCE": 12.5e9,
    "25 Gb/s Ethernet": 3.1e9,
}
"""What each link can carry in one direction, bytes/s."""


def _bottleneck(answer: object) -> Verdict:
    if not isinstance(answer, Mapping) or {str(key).upper() for key in answer} != set(RUNS):
        return Verdict(False, "The answer is a dict with one link for each of A, B, C, D and E.")
    names = {name.lower(): name for name in LINKS}
    given = {str(key).upper(): " ".join(str(value).lower().split()) for key, value in answer.items()}
    for key, link in sorted(given.items()):
        if link not in names:
            return Verdict(False, f"Run {key}: a link must be one of {'; '.join(LINKS)}.")
        run, rate = RUNS[key], LINKS[names[link]]
        algbw = run.size / run.seconds
        busbw = algbw * bus_factor(run.collective, run.ranks)
        right = min((name for name in LINKS if LINKS[name] >= busbw), key=LINKS.__getitem__)
        if names[link] == right:
            continue
        by_algbw = min((name for name in LINKS if LINKS[name] >= algbw), key=LINKS.__getitem__)
        if rate < busbw:
            said = f"a link of {rate / 1e9:g} GB/s cannot have carried it"
            if names[link] == by_algbw:
                said += ". You took size / time, the algbw: an all-reduce sends each byte nearly twice"
        elif 0.8 < 8 * busbw / rate <= 1:
            said = "bits for bytes? That link carries eight times as much"
        else:
            said = f"that link would be {busbw / rate:.0%} busy, and another would be nearly full"
        said = said[0].upper() + said[1:]
        return Verdict(False, f"Run {key} has a busbw of {busbw / 1e9:.3g} GB/s. {said}.")
    return Verdict(
        True,
        "Every one runs at 80 % of a link or more: that link bounds it, and only a wider one or fewer "
        "bytes would help. In B the NVLinks wait for the network. In C two GPUs of one node talk over PCIe.",
    )


BOTTLENECK = Exercise(
    "which link is full",
    "lesson_06.RUNS holds five large collectives, lesson_06.LINKS what links can carry. For each run name "
    "the link that bounds it: the one that is nearly full.",
    _bottleneck,
    (
        "algbw is size over time. busbw is algbw times 2 (p − 1) / p for an all-reduce, (p − 1) / p for an "
        "all-gather: what crosses a link.",
        "The bound is the slowest link that could have carried that busbw.",
    ),
)
