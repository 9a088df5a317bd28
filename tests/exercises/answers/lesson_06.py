"""Lesson 06: right answers, and wrong ones with words that their hint must contain."""

import math

import numpy

from hpclab.exercises import lesson_06
from hpclab.models import latency_bandwidth

SIZES, TIMES = numpy.array(list(lesson_06.POINTS)), numpy.array(list(lesson_06.POINTS.values()))
BETA, ALPHA = numpy.polyfit(SIZES, TIMES, 1)  # the plain least squares that goes wrong
SCALED = numpy.linalg.lstsq(numpy.stack([1 / TIMES, SIZES / TIMES], 1), numpy.ones(len(SIZES)), rcond=None)[0]
LINE = latency_bandwidth.fit(*zip(*lesson_06.POINTS.items(), strict=True))
LINKS = {
    "A": "InfiniBand NDR", "B": "25 Gb/s Ethernet", "C": "NVLink 4", "D": "PCIe 4 x16", "E": "100 Gb/s RoCE",
}  # fmt: skip


def crossover(depth, ring_trips=1.0, tree_trips=1.0):
    """The closed form, or one with a mistake in it."""

    def answer(p, alpha, beta):
        steps = tree_trips * depth(p)
        return alpha / beta * (ring_trips * (p - 1) - steps) / (steps - ring_trips * (p - 1) / p)

    return answer


def rounded_up(p):
    return math.ceil(math.log2(p))


closed_form = crossover(rounded_up)


def from_a_table(rank, ranks, step):
    """Right, and an IndexError for a step after the last."""
    return [(rank - 1 - step) % ranks for step in range(ranks - 1)][step]


def by_rails(groups, rails=(0, 1, 2), crossing=True):
    """Each rail collects its chunks in its node, swaps them with the other, hands them out; in groups."""
    steps = [[] for _ in range(groups + 2)]
    for chunk in range(24):
        step, owner = chunk * groups // 24, rails[chunk % len(rails)]
        for node in (0, 4):
            others = [rank for rank in range(node, node + 4) if rank != node + owner]
            steps[step] += [(rank, node + owner, chunk, True) for rank in others]
            steps[step + 1] += [(node + owner, (node + owner + 4) % 8, chunk, True)] * crossing
            steps[step + 2] += [(node + owner, rank, chunk, False) for rank in others]
    return steps


RIGHT = {
    "FIT": [
        (18e-6, 1 / 1.17e9), (min(TIMES), (TIMES[-1] - TIMES[0]) / (SIZES[-1] - SIZES[0])),
        SCALED,  # an array, as NumPy's own fits give it
        (LINE.latency, 1 / LINE.bandwidth),  # what the last hint says
    ],
    "RING": [
        lambda rank, ranks, step: (rank - 1 - step) % ranks,
        lambda rank, ranks, step: numpy.roll(numpy.arange(ranks), step + 1)[rank], from_a_table,
    ],
    "CROSSOVER": [closed_form, lambda p, a, b: max(1.0, 1.005 * closed_form(p, a, b))],  # as a search ends
    "BOTTLENECK": [LINKS, {key.lower(): link.upper() for key, link in LINKS.items()}],
    "FASTEST": [by_rails(1), by_rails(4)],
}  # fmt: skip

WRONG = {
    "FIT": [
        ((18.0, 8.5e-10), "in seconds, not in µs"), ((18e-3, 8.5e-10), "not in µs or ms"),
        ((18e-6, 1.17e9), "beta is its inverse"), ((8.5e-10, 18e-6), "swapped"),
        ((ALPHA, BETA), "plain least squares"),
        ((sum(TIMES) / len(TIMES), 8.5e-10), "8 bytes are hardly any bytes"),
        ((18e-6, TIMES[0] / 8), "Take beta from the large messages"),
        ((18e-6, 8.5e-10 / 8), "bytes, not bits"), ((18e-6, 0.855), "in nanoseconds"),
        ((18e-6, 8.55e-4), "in microseconds"), ((18e-6, 0), "Take beta from the large messages"),
        ((21e-6, 8.55e-10), "8 bytes are hardly any"), ((18e-6, 9.45e-10), "Take beta from"),
        ((18e-6, float("nan")), "beta must be a number"), ((18e-6, "fast"), "beta must be a number"),
        ("18 µs", "a pair"),
    ],
    "RING": [
        (lambda rank, ranks, step: (rank - step) % ranks, "Everybody must begin with another chunk"),
        (lambda rank, ranks, step: (rank + 1 + step) % ranks, "pass on the chunk that it received"),
        (lambda rank, ranks, step: rank, "count twice"),
        (lambda rank, ranks, step: rank - 1 - step, "is the % ranks missing?"),
        (lambda rank, ranks, step: (rank - 1 - step) % ranks + 0.0, "a whole number"),
    ],
    "CROSSOVER": [
        (crossover(math.log2), "math.ceil"), (crossover(math.log), "to base 2"),
        (crossover(lambda p: math.floor(math.log2(p))), "With 5 ranks a tree needs 3 steps"),
        (crossover(lambda p: p / 4 + 1), "For 16 ranks, 20 µs and 1 ns/byte you get"),
        (crossover(rounded_up, ring_trips=2), "only goes one way"),
        (crossover(rounded_up, tree_trips=2), "only goes round once"),
        (lambda p, alpha, beta: closed_form(p, alpha, beta) * beta * beta, "it stands below the line"),
        (lambda p, alpha, beta: 1 / closed_form(p, alpha, beta), "upside down"),
        (lambda p, alpha, beta: alpha / beta, "the ranks matter too"),
        (lambda p, alpha, beta: 2 * closed_form(p, alpha, beta), "which is not the same"),
        (lambda p, alpha, beta: max(closed_form(p, alpha, beta), 1024), "Return 0 or 1"),
    ],
    "BOTTLENECK": [
        (LINKS | {"C": "InfiniBand NDR"}, "cannot have carried it"),
        (LINKS | {"D": "NVLink 4"}, "busy, and another would be nearly full"),
        (LINKS | {"A": "PCIe 4 x16"}, "You took size / time"),
        (LINKS | {"A": "NVLink 4"}, "Bits for bytes? That link carries eight times as much."),
        (dict(zip(LINKS, lesson_06.LINKS, strict=True)), "A:"),  # as they are printed
    ],
    "FASTEST": [
        (by_rails(1, rails=(0, 1, 2, 3)), "Which cable do your messages wait for?"),
        (lesson_06.library("binomial_tree"), "The binomial tree takes 400.1 µs here: be faster."),
        (by_rails(4, crossing=False), "In the end rank 0 has 4 of 8 ranks in chunk 0."),
        (by_rails(1) + by_rails(1), "so they count twice"),
        ([[(1, 0, 0, True), (2, 0, 0, False)]], "which comes last?"),
        ([[(0, 8, 0, True)]], "There is no message (0, 8, 0, ...)."),
        ([[(0, 1, 0)]], "(source, target, chunk, adds)"),
        ([], "In the end rank 0 has 1 of 8 ranks in chunk 0."), (7, "The answer is a list of steps"),
    ],
}  # fmt: skip
