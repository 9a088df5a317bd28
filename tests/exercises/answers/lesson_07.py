"""Lesson 07: right answers, and wrong ones with words that their hint must contain."""

import math

from hpclab.exercises import lesson_07

BOUND = {"A": "metadata", "B": "clients' links", "C": "servers", "D": "a slow server"}


def by_search(write, mtbf):
    return min(range(1, 200_000), key=lambda t: write / t + t / (2 * mtbf))


def counted(copy, shared, local):
    return copy / (shared - local) if shared > local else float("inf")


def plan(samples, workers):
    return {"samples_per_shard": samples, "workers": workers}


RIGHT = {
    "WHAT_BINDS": [BOUND, {key.lower(): bound.upper() for key, bound in BOUND.items()}],
    "KEEP_BUSY": [plan(100, 4), plan(1000, 3), plan(20, 8)],
    "STAGING": [counted, lambda c, s, x: math.inf if s <= x else c / (s - x)],
    "INTERVAL": [lambda write, mtbf: math.sqrt(2 * write * mtbf), by_search],
}

WRONG = {
    "WHAT_BINDS": [
        (BOUND | {"A": "servers"}, "metadata 16 s"),
        (BOUND | {"B": "servers"}, "clients' links 50 s"),
        (BOUND | {"C": "a slow server"}, "its servers are all the same"),
        (BOUND | {"D": "servers"}, "when its last stripe is"),
        ({"A": "metadata"}, "a dict with one bound for each of A, B, C and D"),
    ],
    "KEEP_BUSY": [
        (plan(1, 4), "4,096 opens/s for 16 nodes"),
        (plan(100, 0), "nothing is fetched or decoded while"),
        (plan(100, 2), "so 2 give 200/s"),
        (plan(100, 64), "64 workers share 8 cores"),
        (plan(100_000, 4), "some get none"),
        (plan(5000, 4), "Make it 20 or more"),
        (plan(0, 4), "samples_per_shard must be"),
        (100, "a dict with a number for each of"),
    ],
    "STAGING": [
        (lambda c, s, x: c / s, "local epochs cost, too"),
        (lambda c, s, x: c / x, "where the data are now"),
        (lambda c, s, x: s - x, "How many of them pay"),
        (lambda c, s, x: (s - x) / c, "upside down"),
        (lambda c, s, x: c / (s + x), "not their sum"),
        (lambda c, s, x: (c + x) / s, "counts one local epoch"),
        (lambda c, s, x: c / abs(s - x) if s != x else math.inf, "no number pays there"),
        (lambda c, s, x: c / (s - x), "Return math.inf there"),
        (lambda c, s, x: 2 * c / (s - x), "not the same"),
    ],
    "INTERVAL": [
        (lambda c, m: math.sqrt(c * m), "half an interval after the last"),
        (lambda c, m: 2 * c * m, "the square root is missing"),
        (lambda c, m: m, "loses half of all work"),
        (lambda c, m: c, "nothing but save"),
        (lambda c, m: m / c, "has no unit"),
        (lambda c, m: math.sqrt(2 * m / c), "a dearer save"),
        (lambda c, m: m / 2, "whatever a save costs"),
        (lambda c, m: 3600, "it can be 3.73%"),
    ],
}

OWN = {"WHAT_BINDS": [lesson_07.STORES, lesson_07.BOUNDS], "KEEP_BUSY": [lesson_07.SITE]}

SOLUTION = {
    "WHAT_BINDS": "bounds", "KEEP_BUSY": "plan", "STAGING": "epochs_to_pay", "INTERVAL": "best_interval",
}  # fmt: skip
