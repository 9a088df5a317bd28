"""Lesson 05: right answers, and wrong ones with words that their hint must contain."""

import math

from hpclab.exercises import lesson_05

TIMES = lesson_05.TIMES
READ = {"A": "ask for less", "B": "smaller chunks", "C": "a faster file system", "D": "larger chunks"}


RIGHT = {
    "CHUNK_SIZE": ["4 MiB", 3 * 2**20, "2 MiB", "6 MB", "6.4 MiB"],
    "NODES_THAT_PAY": [16, max(n for n in TIMES if TIMES[1] / TIMES[n] / n >= 0.7), 16.0],
    "BREAK_EVEN": [
        lambda t, s: t * s / (s - 1) if s > 1 else math.inf,
        lambda t, s: float("inf") if s <= 1 else math.floor(t * s / (s - 1)) + 1,  # the first whole second
    ],
    "READ_THE_BARS": [
        READ, {run.lower(): remedy.upper() for run, remedy in READ.items()},
        READ | {"A": "ask for less, or earlier", "C": "fewer, larger files"},
    ],
    "SPEND": [{"nodes": 12, "chunk": "4 MiB"}, {"nodes": 12, "chunk": "12.3 MiB"}],
}  # fmt: skip

WRONG = {
    "CHUNK_SIZE": [
        ("256 KiB", "the cost of each task"), ("1 MiB", "Balance is not the trouble"),
        ("16 MiB", "wait one whole chunk"), ("6.5 MiB", "for the last one: 5.1% of the run."),
        ("6.41 MiB", "wait one whole chunk"), ("1.99 MiB", "the cost of each task"),
        ("2 MB", "on top: 1.05%"), ("5 GiB", "only 4 GiB of text"),
        ("128 MiB", "One chunk for each node is the worst"), ("1 GiB", "some nodes never get any"),
        (4, "write the unit"), ("four", "not a size"), (-1, "must be a number from"),
    ],
    "NODES_THAT_PAY": [
        (8, "an efficiency of 88%. That is above 70 %, but at least 70 % takes"),
        (32, "the fastest run"), (64, "slower than 32"),
        (1, "always 100 % efficient"), (4, "so is a larger number"), (12, "no row for 12 nodes"),
        (0, "must be a number from 1 to 64 nodes"),
    ],
    "BREAK_EVEN": [
        (lambda t, s: t, "the one node works on while you wait"),
        (lambda t, s: t * s, "Set work = start + work / speedup"),
        (lambda t, s: t / (s - 1), "the time the fast run takes"),
        (lambda t, s: t * (s - 1) / s, "upside down"),
        (lambda t, s: t / s, "makes the queue run in parallel"),
        (lambda t, s: t * s / (s + 1), "asking 60 + 48"),
        (lambda t, s: t * s / (s - 1), "Return float('inf') there"),
        (lambda t, s: t * s / (1 - s), "the sign is wrong"),
        (lambda t, s: t * s / (s - 1) if s > 1 else 1e9, "no amount of work pays"),
        (lambda t, s: t * s / (s - 1) if s > 1 else None, "for a speedup of 1 or less"),
    ],
    "READ_THE_BARS": [
        (READ | {"B": "larger chunks"}, "larger ones make that worse"),
        (READ | {"D": "smaller chunks"}, "smaller chunks mean more tasks"),
        (READ | {"A": "a faster file system"}, "Most is lost as queue wait"),
        (READ | {"C": "more nodes"}, "more nodes add rank-seconds"),
        (READ | {"C": "larger chunks"}, "in every chunk, whatever its size"),
        (READ | {"A": "wait"}, "a remedy must be one of a faster file system; a faster program; ask"),
        (dict(zip(READ, lesson_05.REMEDIES, strict=False)), "A: Most is lost"),
        (list(READ.values()), "one remedy for each of A, B, C and D"),
    ],
    "SPEND": [
        ({"nodes": 11, "chunk": "4 MiB"}, "later than 120 s"),
        ({"nodes": 64, "chunk": "4 MiB"}, "come below 1,250"),
        ({"nodes": 20, "chunk": "64 KiB"}, "later than 120 s"), ({"nodes": 12}, "a dict with nodes, chunk"),
        ({"nodes": 12, "chunk": "4 MiB", "more": 1}, "a dict with nodes, chunk"),
        ({"nodes": 12, "chunk": 4}, "chunk must be a number from 65536"),
        ({"nodes": 0, "chunk": "4 MiB"}, "nodes must be a whole number from 1 to 64"),
    ],
}  # fmt: skip
