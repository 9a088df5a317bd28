"""Lesson 06: fit alpha and beta, cut a ring another way, find a crossover, name the link that bounds; and an
all-reduce of one's own for a machine with a bad cable."""

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy

from hpclab import checks
from hpclab.exercises import Exercise, judges
from hpclab.exercises.judges import fits
from hpclab.exercises.lesson_06.replays import by_ring, by_time
from hpclab.exercises.lesson_06.replays import library as library
from hpclab.models.formulas import bus_factor
from hpclab.units import format_bytes, format_seconds

_ALPHA, _BETA = 18e-6, 1 / 1.17e9
POINTS = {
    8: 18.3e-6, 64: 17.6e-6, 512: 18.8e-6, 4096: 21.1e-6, 32768: 45.3e-6, 262144: 249e-6,
    2097152: 1735e-6, 16777216: 14860e-6,
}  # fmt: skip
"""Bytes to seconds of a ping-pong: made from alpha = 18 µs and 1.17 GB/s with a scatter of 4 %, rounded."""


def _pair(answer: Any) -> SimpleNamespace:
    """The alpha and beta of `answer`, beside what plain least squares gives for POINTS."""
    if isinstance(answer, numpy.ndarray):
        answer = answer.tolist()
    if not isinstance(answer, Sequence) or isinstance(answer, str | bytes) or len(answer) != 2:
        raise ValueError("The answer is a pair: (alpha in seconds, beta in seconds per byte).")
    alpha, beta = (checks.number(*one, -1e30, 1e30) for one in zip(("alpha", "beta"), answer, strict=True))
    slope, start = numpy.polyfit(list(POINTS), list(POINTS.values()), 1)  # what plain least squares says
    largest = max(POINTS)
    return SimpleNamespace(
        alpha=alpha, beta=beta, us=alpha * 1e6, gb=1 / beta / 1e9 if beta else math.inf,
        plain=start * 1e6, is_plain=bool(alpha and abs(alpha - start) < 2e-6 and fits(beta, slope, 0.05)),
        first=POINTS[8] * 1e6, size=format_bytes(largest), said=alpha + beta * largest, took=POINTS[largest],
    )  # fmt: skip


_BETA_IS = "You say beta = {f.beta:.3g}. "

FIT = Exercise("06", "alpha and beta", judges.by_facts(
    _pair,
    (lambda f: fits(f.alpha, _BETA, 0.15) and fits(f.beta, _ALPHA, 0.15), "The two are swapped."),
    (lambda f: fits(f.beta, _BETA * 1e9, 0.1), _BETA_IS + "Is it in nanoseconds? Give seconds."),
    (lambda f: fits(f.beta, _BETA * 1e6, 0.1), _BETA_IS + "Is it in microseconds? Give seconds."),
    (lambda f: f.beta > 1, _BETA_IS + "That is a bandwidth; beta is its inverse."),
    (lambda f: fits(f.alpha, _ALPHA * 1e6, 0.3) or fits(f.alpha, _ALPHA * 1e3, 0.3), "You say alpha = "
     "{f.alpha:.3g} s. The table is in seconds, not in µs or ms."),
    (lambda f: f.is_plain, "You say alpha = {f.us:.2g} µs, but no message takes less than 17 µs. That is "
     "plain least squares: it counts seconds, so 4 % of the largest message outweigh all the small ones. "
     "Make the residuals relative: divide each by its time."),
    (lambda f: not fits(f.alpha, _ALPHA, 0.15), "You say alpha = {f.us:.3g} µs, but a message of 8 "
     "bytes took {f.first:.3g} µs, and 8 bytes are hardly any bytes."),
    (lambda f: fits(f.beta, _BETA / 8, 0.2) or fits(f.beta, _BETA * 8, 0.2), "Alpha is right. Beta is "
     "off by 8: bytes, not bits."),
    (lambda f: not fits(f.beta, _BETA, 0.1), "Alpha is right. With your beta {f.size} take {f.said:.3g} "
     "s; they took {f.took:.3g} s. Take beta from the large messages, not the small."),
    yes="{f.us:.3g} µs and {f.gb:.3g} GB/s; made with 18 µs and 1.17 GB/s. Plain least squares would have "
    "said {f.plain:.2g} µs: one large message's scatter is more than all of alpha.",
), (
    "A message of 8 bytes is nearly all alpha. A message of 16 MiB is nearly all beta.",
    "By eye: alpha is the flat part. Beta is what time grows by, over what bytes grow by, far right.",
    "from hpclab.models import latency_bandwidth, then line = latency_bandwidth.fit("
    "*zip(*lesson_06.POINTS.items())): alpha is line.latency, beta is 1 / line.bandwidth.",
))  # fmt: skip

RING = Exercise("06", "a ring that ends at home", by_ring, (
    "Follow chunk 0 backwards: it must arrive at rank 0 last. Who sends it there, and in which step?",
    "In the last step, ranks - 2, the rank before yours sends your chunk. One step earlier, the rank before "
    "that one sent it.",
    "Put the notebook's (rank - step) % ranks into a table for 3 ranks: every chunk is one too far on. Begin "
    "with the chunk before it.",
))  # fmt: skip

_SIGNATURE = ("crossover(p, alpha, beta)", "a number of bytes")


def _tree_depth(p: int) -> int:
    return (p - 1).bit_length()


def _crossover(depth: Callable[[int], float], ring: float = 1, tree: float = 1) -> judges.Formula:
    """Return the formula of the n, in bytes, at which ring (p - 1) (α + n/p β) = tree depth(p) (α + n β)."""

    def size(p: int, alpha: float, beta: float) -> float:
        steps, levels = ring * (p - 1), tree * depth(p)
        return alpha * (steps - levels) / (beta * (levels - steps / p))

    return size


_right = _crossover(_tree_depth)


def _put_in(size: float, p: int, alpha: float, beta: float) -> str:
    """A sentence: the times of ring and tree for `size` bytes, which is no crossover."""
    ring, tree = 2 * (p - 1) * (alpha + size / p * beta), 2 * _tree_depth(p) * (alpha + size * beta)
    return (
        f"For {p:,} ranks, {format_seconds(alpha)} and {format_seconds(beta)}/byte you get {size:.4g} bytes: "
        f"put in, the ring takes {2 * (p - 1):,} (α + n/{p} β) = {ring * 1e6:.4g} µs and the tree "
        f"{2 * _tree_depth(p)} (α + n β) = {tree * 1e6:.4g} µs, which is not the same."
    )


CROSSOVER = Exercise("06", "crossover", judges.in_turn(
    judges.by_function(
        *_SIGNATURE, lambda: ((4, 20e-6, 1e-9), (8, 5e-6, 4e-11), (16, 20e-6, 1e-9), (1024, 2e-6, 2e-11),
                          (5, 1e-5, 1e-9), (12, 1e-5, 1e-10)),
        _right,
        (_crossover(math.log2), "right for powers of two. A tree has whole steps: round up, math.ceil."),
        (_crossover(lambda p: math.floor(math.log2(p))), "right for powers of two. With 5 ranks a tree "
         "needs 3 steps, not 2: round log2(p) up."),
        *((_crossover(natural), "math.log is the natural logarithm. A tree doubles: take it to base 2, and "
           "round up.") for natural in (math.log, lambda p: math.ceil(math.log(p)))),
        (_crossover(_tree_depth, ring=2), "that tree only goes one way: reduce and broadcast are 2 L steps."),
        (_crossover(_tree_depth, tree=2), "that ring only goes round once: 2 (p − 1) steps are needed."),
        (lambda p, a, b: _right(p, a, b) * b * b, "beta is s/byte: it stands below the line."),
        (lambda p, a, b: 1 / _right(p, a, b), "upside down: more alpha must move the crossover up."),
        (lambda p, a, b: a / b, "α/β is where start and bytes cost the same; the ranks matter too."),
        shown="For 4 ranks, 20 µs and 1 ns/byte you get {0:.4g} bytes: ", otherwise=_put_in,
    ),
    judges.by_function(
        # From the first byte on: 0, or the 1 that a search ends with.
        *_SIGNATURE, lambda: ((2, 20e-6, 1e-9), (3, 20e-6, 1e-9)), lambda *_: 0, slack=2,
        otherwise=lambda size, p, *_: f"Right from 4 ranks up. For {p} ranks you say {size:.4g} bytes: a "
        "tree has no fewer steps than a ring there, so the ring wins from the first byte. Return 0 or 1.",
        yes="n = (α/β) (p − 1 − L) / (L − (p − 1)/p), L the tree's depth. It grows with p: on 1,024 ranks a "
        "ring needs many megabytes to pay for its 2,046 steps. Libraries keep a table of sizes.",
    ),
), (
    "Set the two times equal. The 2 falls out on both sides.",
    "Bring α to the left and n β to the right: α (p − 1 − L) = n β (L − (p − 1)/p).",
    "L is (p - 1).bit_length(). With 2 or 3 ranks the left side is 0.",
))  # fmt: skip


class Run(NamedTuple):
    """A large collective as a benchmark prints it: `size` in bytes as nccl-tests means it, `what` ran it."""

    collective: str
    ranks: int
    size: int
    seconds: float
    what: str


RUNS = {
    "A": Run("all_reduce", 64, 2**30, 43.5e-3, "64 nodes, a GPU and a card each"),
    "B": Run("all_reduce", 32, 2**28, 186e-3, "32 nodes, a GPU and a card each"),
    "C": Run("all_reduce", 8, 2**30, 4.9e-3, "8 GPUs of one node, NVLS off"),
    "D": Run("all_reduce", 2, 2**28, 11.2e-3, "2 GPUs of one node"),
    "E": Run("all_gather", 16, 2**30, 86.0e-3, "16 nodes, a GPU and a card each"),
}
"""Five runs, modelled: a link's rate with a few percent lost, turned into the time of the collective."""

LINKS = {
    "NVLink 4": 450e9, "InfiniBand NDR": 50e9, "PCIe 4 x16": 26e9, "100 Gb/s RoCE": 12.5e9,
    "25 Gb/s Ethernet": 3.1e9,
}  # fmt: skip
"""What each link can carry in one direction, bytes/s."""
_FULL = dict(zip(RUNS, ("InfiniBand NDR", "25 Gb/s Ethernet", "NVLink 4", "PCIe 4 x16", "100 Gb/s RoCE"),
                 strict=True))  # fmt: skip


def _evidence(key: str, link: str) -> str:
    """A sentence: why `link` does not bind the run `key` of RUNS."""
    run, rate = RUNS[key], LINKS[link]
    algbw = run.size / run.seconds
    busbw = algbw * bus_factor(run.collective, run.ranks)
    said = f"That link would be {busbw / rate:.0%} busy, and another would be nearly full."
    if rate < busbw:
        said = f"A link of {rate / 1e9:g} GB/s cannot have carried it."
        if rate == min(other for other in LINKS.values() if other >= algbw):
            said += " You took size / time, the algbw: an all-reduce sends each byte nearly twice."
    elif 0.8 < 8 * busbw / rate <= 1:
        said = "Bits for bytes? That link carries eight times as much."
    return f"the busbw is {busbw / 1e9:.3g} GB/s. {said}"


BOTTLENECK = Exercise("06", "which link is full", judges.by_choice(
    "link", _FULL, LINKS, _evidence,
    yes="Every one runs at 80 % of a link or more: that link bounds it, and only a wider one or fewer bytes "
    "would help. In D two GPUs of one node talk over PCIe: is there no NVLink, or is it not used?",
), (
    "algbw is size over time. busbw is algbw times 2 (p - 1) / p for an all-reduce, (p - 1) / p for an "
    "all-gather: what crosses a link.",
    "The bound is the slowest link that could have carried that busbw.",
))  # fmt: skip

FASTEST = Exercise("06", "the fastest all-reduce", by_time, (
    "Add up inside each node first. What crosses between the nodes must not leave by rank 3's card.",
    "Give each of ranks 0, 1 and 2 (and 4, 5, 6) a third of the chunks: they collect them in their node, "
    "swap with the other node, each adding what comes, and hand out the sums. That is three steps.",
    "While one group of chunks crosses, the next can be collected and the one before handed out: put the "
    "three things of different groups into the same step.",
))  # fmt: skip
