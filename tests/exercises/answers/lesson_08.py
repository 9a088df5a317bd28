"""Lesson 08: right answers, and wrong ones with words that their hint must contain."""

import numpy as np

from hpclab.exercises import lesson_08


def exposed(backward, ready, seconds):
    free = 0.0
    for at, length in zip(ready, seconds, strict=True):
        free = max(free, at) + length
    return max(0.0, free - backward)


def backwards(backward, ready, seconds):
    """The same from the other end: the longest chain from one bucket to the last message."""
    return max(0.0, max(at + sum(seconds[n:]) for n, at in enumerate(ready)) - backward)


def own_links(backward, ready, seconds):
    return max(0.0, max(at + length for at, length in zip(ready, seconds, strict=True)) - backward)


def ends(backward, ready, seconds):
    return exposed(0.0, ready, seconds)


RIGHT = {
    "EXPOSED": [exposed, backwards],
    "AVERAGE": [lambda sums, ranks, micro: sums / ranks / micro, lambda g, p, m: g * (1 / (p * m))],
    "EFFICIENCY": [
        lambda s, how: s[1] / s[max(s)] / (1 if how == "weak" else max(s)),
        lambda s, how: s[1] / (s[max(s)] * (max(s) if how == "strong" else 1)),
    ],
    "BUCKET": [100e6, 3.1e9 / 20, 60_000_000, 100 * 2**20],
    "FASTER": [[1, 2, 3, 3, 5, 5, 6], (6, 6, 6, 7), np.array([1, 3, 4, 5, 6, 6])],
}  # fmt: skip

WRONG = {
    "EXPOSED": [
        (lambda b, r, s: sum(s), "hidden or not"),
        (lambda b, r, s: max(0, sum(s) - b), "None can begin before its bucket"),
        (lambda b, r, s: s[-1], "wait for those before it"), (own_links, "a link of its own"),
        (lambda b, r, s: max(0.0, r[0] + sum(s) - b), "never lets the link idle"),
        (ends, "Exposed is what comes after"), (lambda b, r, s: ends(b, r, s) - b, "not less than nothing"),
        (lambda b, r, s: 1.0, "Go through the messages in turn"),
    ],
    "AVERAGE": [
        (lambda g, p, m: g, "too large for four"), (lambda g, p, m: g / p, "added up its micro-batches, too"),
        (lambda g, p, m: g / m, "added up the ranks"), (lambda g, p, m: g * p * m, "upside down"),
        (lambda g, p, m: g / (p + m), "p × m"), (lambda g, p, m: g // (p * m), "For a sum of 9 over 1 ranks"),
    ],
    "EFFICIENCY": [
        (lambda s, how: s[1] / s[max(s)], "divide it by the ranks"),
        (lambda s, how: s[1] / s[max(s)] / max(s), "the same time is already perfect"),
        (lambda s, how: s[max(s)] / s[1], "upside down"),
        (lambda s, how: s[1] / s[max(s)] * (max(s) if how == "weak" else 1), "in samples a second"),
        (lambda s, how: 1.0, "if nothing were lost"),
        (lambda s, how: s[1] / [*s.values()][-1] / (max(s) if how == "strong" else 1), "For {4: 2.5, 1: 8.0"),
    ],
    "BUCKET": [
        (1e10, "all of it"), (1e6, "3100 messages pay the latency"), (25, "must be a number"),
        (10e6, "pay the latency"), (1.5e9, "can never hide"), (20e6, "weigh the latency"),
        (450e6, "35.4 ms are exposed"), ("25 MiB", "must be a number"),
    ],
    "FASTER": [
        ([1, 4, 4, 4, 4, 4, 4], "27.61 ms are exposed"), ([25], "idles for 36.5 ms"),
        ([1] * 25, "cost it 37.5 ms"), ([5, 5, 5, 5], "20 pieces together, and there are 25"),
        ([10, 10, 10, -5], "Each bucket must be"), (5, "The answer is a list"),
    ],
}  # fmt: skip

OWN = {"EXPOSED": [lesson_08._exposed]}
