"""Lesson 05: right answers, and wrong ones with words that their hint must contain."""

import math

from hpclab.exercises import lesson_05

TIMES = lesson_05.TIMES
READ = {"A": "smaller chunks", "B": "larger chunks", "C": "ask earlier, or for less", "D": "faster reading"}


def by_search(start, speedup):
    low, high = 0.0, 1e9
    while high - low > 1e-6:
        work = (low + high) / 2
        low, high = (work, high) if start + work / speedup > work else (low, work)
    return high if high < 1e9 else float("inf")


RIGHT = {
    "CHUNK_SIZE": ["4 MiB", 3 * 2**20, "2 MiB", "6 MB"],
    "NODES_THAT_PAY": [8, max(n for n in TIMES if TIMES[1] / TIMES[n] / n >= 0.7), 8.0],
    "BREAK_EVEN": [lambda t, s: t * s / (s - 1) if s > 1 else math.inf, by_search],
    "READ_THE_BARS": [READ, {run.lower(): remedy.upper() for run, remedy in READ.items()}],
}

WRONG = {
    "CHUNK_SIZE": [
        ("256 KiB", "the cost of each task"),
        ("1 MiB", "Balance is not the trouble"),
        ("16 MiB", "wait one whole chunk"),
        ("6.5 MiB", "for the last one: 5.1% of the run."),
        ("2 MB", "on top: 1.05%"),
        ("5 GiB", "only 4 GiB of text"),
        ("128 MiB", "One chunk for each node is the worst"),
        ("1 GiB", "some nodes never get any"),
        (4, "write the unit"),
        ("four", "not a size"),
        (-1, "must be a number from"),
    ],
    "NODES_THAT_PAY": [
        (16, "Did you compare with 8 nodes"),
        (32, "the fastest run"),
        (64, "slower than 32"),
        (1, "always 100 % efficient"),
        (4, "so is a larger number"),
        (12, "no row for 12 nodes"),
        (0, "must be a number from 1 to 64 nodes"),
    ],
    "BREAK_EVEN": [
        (lambda t, s: t, "the one node works on while you wait"),
        (lambda t, s: t * s, "Set work = start + work / speedup"),
        (lambda t, s: t / (s - 1), "the time the fast run takes"),
        (lambda t, s: t * (s - 1) / s, "upside down"),
        (lambda t, s: t / s, "makes the queue run in parallel"),
        (lambda t, s: t * s / (s + 1), "asking 60 + 48"),
        (lambda t, s: t * s / (s - 1), "Return math.inf there"),
        (lambda t, s: t * s / (s - 1) if s != 1 else math.inf, "for a speedup of 0.8 you say -240 s"),
        (lambda t, s: t * s / (1 - s), "the sign is wrong"),
        (lambda t, s: t * s / (s - 1) if s > 1 else None, "for a speedup of 1 or less"),
    ],
    "READ_THE_BARS": [
        (READ | {"A": "larger chunks"}, "larger ones make that worse"),
        (READ | {"B": "smaller chunks"}, "smaller chunks mean more tasks"),
        (READ | {"C": "faster reading"}, "queue wait"),
        (READ | {"D": "larger chunks"}, "waits for storage in every chunk"),
        (READ | {"D": "more nodes"}, "more nodes add rank-seconds"),
        (READ | {"C": "wait"}, "a remedy must be one of"),
        ({"A": "smaller chunks"}, "one remedy for each of A, B, C and D"),
        (list(READ.values()), "one remedy for each of A, B, C and D"),
    ],
}

SOLUTION = {
    "NODES_THAT_PAY": "nodes_that_pay", "CHUNK_SIZE": "chunk_size", "BREAK_EVEN": "break_even",
    "READ_THE_BARS": "remedies",
}  # fmt: skip
