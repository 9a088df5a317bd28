"""Lesson 07: right answers, and wrong ones with words that their hint must contain."""

import math

import numpy as np

BOUND = {"A": "metadata", "B": "clients' links", "C": "servers", "D": "a slow server", "E": "metadata"}


def rent(servers, opens, samples, stripes, workers):
    return {**plan(samples, workers), "servers": servers, "opens": opens, "stripes": stripes}


def plan(samples, workers):
    return {"samples_per_shard": samples, "workers": workers}


RIGHT = {
    "WHAT_BINDS": [BOUND, {key.lower(): bound.upper() for key, bound in BOUND.items()}],
    "KEEP_BUSY": [plan(100, 4), plan(1000, 4), plan(2, 8), plan(np.int64(1334), np.int32(3))],
    "STAGING": [
        lambda c, s, x: c // (s - x) + 1 if s > x else math.inf,  # the first whole epoch after which it pays
        lambda c, s, x: np.ceil(c / (s - x)) if s > x else np.inf,
    ],
    "INTERVAL": [lambda c, m: math.sqrt(2 * c * m), lambda c, m: 60 * round(math.sqrt(2 * c * m) / 60)],
    "CHEAPEST": [rent(20, 20, 1000, 4, 8), rent(18, 20, 400, 12, 4), rent(np.int64(18), 50, 150, 5, 4)],
}  # fmt: skip

WRONG = {
    "WHAT_BINDS": [
        (BOUND | {"A": "servers"}, "metadata 16 s"), (BOUND | {"B": "servers"}, "clients' links 50 s"),
        (BOUND | {"C": "a slow server"}, "its servers are all the same"),
        (BOUND | {"D": "servers"}, "when its last stripe is"),
        (BOUND | {"E": "a slow server"}, "one is slow, but its quarter"),
        ({"A": "metadata"}, "a dict with one bound for each of A, B, C, D and E"),
    ],
    "KEEP_BUSY": [
        (plan(1, 4), "4,096 opens/s for 16 nodes"), (plan(100, 0), "nothing is fetched or decoded while"),
        (plan(100, 2), "so 2 give 200/s"), (plan(100, 9), "more than the 8 that a node has cores"),
        (plan(1001, 4), "only 19.99 shards"), (plan(100_000, 4), "some get none"),
        (plan(5000, 4), "Make it 20 or more"), (plan(0, 4), "samples_per_shard must be"),
        (100, "a dict with samples_per_shard, workers"),
    ],
    "STAGING": [
        (lambda c, s, x: c / s, "local epochs cost, too"), (lambda c, s, x: c / x, "where the data are now"),
        (lambda c, s, x: s - x, "How many of them pay"), (lambda c, s, x: (s - x) / c, "upside down"),
        (lambda c, s, x: c / (s + x), "not their sum"),
        (lambda c, s, x: (c + x) / s, "counts one local epoch"),
        (lambda c, s, x: c / abs(s - x) if s != x else math.inf, "no number pays there"),
        (lambda c, s, x: c / (s - x), "Return math.inf there"),
        (lambda c, s, x: 2 * c / (s - x), "not the same"),
    ],
    "INTERVAL": [
        (lambda c, m: math.sqrt(c * m), "half an interval after the last"),
        (lambda c, m: 2 * c * m, "the square root is missing"), (lambda c, m: m, "loses half of all work"),
        (lambda c, m: c, "nothing but save"), (lambda c, m: m / c, "has no unit"),
        (lambda c, m: math.sqrt(2 * m / c), "a dearer save"), (lambda c, m: m / 2, "whatever a save costs"),
        (lambda c, m: math.sqrt(2 * c * m) / 60, "right in minutes"), (lambda c, m: 3600, "it can be 3.73%"),
        (lambda c, m: 1.07 * math.sqrt(2 * c * m), "it can be 3.73%"),
    ],
    "CHEAPEST": [
        (rent(17, 20, 400, 12, 4), "busy 89.6% of the time, for 22.9 credits. What binds: servers"),
        (rent(24, 20, 1000, 1, 4), "no more than 16 of 24 servers"),
        (rent(20, 20, 400, 4, 3), "3 workers decode 1,500"), (rent(20, 20, 4000, 4, 8), "needs 20"),
        (rent(10, 20, 400, 12, 4), "do not fit on 10"), (plan(400, 4), "a dict with servers, opens"),
    ],
}  # fmt: skip
