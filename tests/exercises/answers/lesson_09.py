"""Lesson 09: right answers, and wrong ones with words that their hint must contain."""

from hpclab.exercises import lesson_09


def state(parameters, ranks, stage):
    kinds = (2, 2, 12)  # sharded from stage 3, 2 and 1 on
    return sum(size * parameters / (ranks if stage >= 3 - n else 1) for n, size in enumerate(kinds))


def by_cases(n, p, s):
    if s == 0:
        return 16 * n
    if s == 1:
        return 4 * n + 12 * n / p
    return 2 * n + 14 * n / p if s == 2 else 16 * n / p


def plan(zero, micro_batch, recompute):
    return {"zero": zero, "micro_batch": micro_batch, "recompute": recompute}


FITTING = dict(zip("ABCD", ("shard", "accumulate", "recompute", "adapters"), strict=True))

RIGHT = {
    "STATE": [state, by_cases],
    "REMEDY": [FITTING, {key.lower(): value.upper() for key, value in FITTING.items()}],
    "PLAN": [plan(3, 4, "full"), plan(2, 2, "full")],
}

WRONG = {
    "STATE": [
        (lambda n, p, s: 16 * n, "without sharding"),
        (lambda n, p, s: 16 * n / p if s else 16 * n, "everything at once"),
        (lambda n, p, s: 16 * n / p, "in every stage"),
        (lambda n, p, s: 2 * n, "that is the parameters"),
        (lambda n, p, s: 4 * n, "which of them does stage 0 divide"),
    ],
    "REMEDY": [
        (FITTING | {"A": "recompute"}, "2.8 TB"),
        (FITTING | {"B": "recompute"}, "costs nothing"),
        (FITTING | {"C": "accumulate"}, "smallest micro-batch"),
        (FITTING | {"D": "shard"}, "140 GB on each"),
        ({"A": "shard"}, "a dict with one remedy for each of A, B, C and D"),
    ],
    "PLAN": [
        (plan(0, 1, "full"), "Model state alone"),
        (plan(3, 8, "none"), "of activations"),
        (plan(3, 1, "full"), "makes small products"),
        (plan(3, 3, "none"), "must divide the 8 sequences"),
        (plan(4, 1, "none"), "zero must be"),
        (3, "The answer is a dict"),
    ],
}

OWN = {"STATE": [lesson_09._state], "REMEDY": [lesson_09.SHORTAGES]}

SOLUTION = {"STATE": "model_state", "REMEDY": "remedies", "PLAN": "plan"}
