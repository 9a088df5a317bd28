"""Lesson 09: right answers, and wrong ones with words that their hint must contain."""

import numpy

from hpclab.exercises import lesson_09


def state(parameters, ranks, stage):
    kinds = (2, 2, 12)  # sharded from stage 3, 2 and 1 on
    return sum(size * parameters / (ranks if stage >= 3 - n else 1) for n, size in enumerate(kinds))


def plan(zero, micro_batch, recompute):
    return {"zero": zero, "micro_batch": micro_batch, "recompute": recompute}


def cheap(gpus, zero, micro_batch, recompute):
    return {"gpus": gpus, **plan(zero, micro_batch, recompute)}


def of(weight, gradient, adam):
    return lambda n, p, s: n * (weight / p ** (s > 2) + gradient / p ** (s > 1) + adam / p ** (s > 0))


FITTING = dict(zip("ABCD", ("recompute", "adapters", "shard", "accumulate"), strict=True))

RIGHT = {
    "STATE": [state, lambda n, p, s: numpy.float32(of(2, 2, 12)(n, p, s))],
    "REMEDY": [FITTING, {key.lower(): value.upper() for key, value in FITTING.items()}],
    "PLAN": [plan(3, 4, "full"), plan(2, 2, "full"), plan(numpy.int64(3), numpy.int64(2), "full")],
    "CHEAPEST": [cheap(16, 3, 1, "none"), cheap(8, 3, 4, "full"), cheap(1 << 5, 3, 1, "none")],
}  # fmt: skip

WRONG = {
    "STATE": [
        (lambda n, p, s: 16 * n, "without sharding"),
        (lambda n, p, s: 16 * n / p if s else 16 * n, "everything at once"),
        (lambda n, p, s: 16 * n / p, "in every stage"), (lambda n, p, s: 2 * n, "that is the parameters"),
        (lambda n, p, s: 4 * n, "which of them does stage 0 divide"),
        (lambda n, p, s: state(n, p, min(s, 2)), "which of them does stage 3 divide"),
        (lambda n, p, s: state(n, p, s) / 1e9, "a number of GB"),
        (lambda n, p, s: state(n, p, s) / 2**30, "a number of GiB"),
        (lambda n, p, s: state(n, p, s - 1), "a stage late"),
        (lambda n, p, s: (12 + 4 / p if s == 1 else 2 + 14 / p if s == 2 else 16 / p if s else 16) * n,
         "stage 1 shards the largest part first"),
        (of(2, 2, 8), "a float32 copy of the parameter"),
        (of(2, 4, 12), "18 bytes"), (of(4, 4, 8), "is float32"),
    ],
    "REMEDY": [
        (FITTING | {"C": "recompute"}, "2.8 TB"), (FITTING | {"D": "recompute"}, "costs nothing"),
        (FITTING | {"A": "accumulate"}, "smallest micro-batch"), (FITTING | {"B": "shard"}, "140 GB on each"),
        *((FITTING | {key: remedy}, said) for (key, remedy), said in lesson_09._AGAINST.items()),
        (dict(zip("ABCD", lesson_09.REMEDIES, strict=True)), "smallest micro-batch"),  # as they are printed
        (FITTING | {"A": "fewer layers"}, "must be one of accumulate; adapters; recompute; shard"),
    ],
    "PLAN": [
        (plan(0, 1, "full"), "Model state alone"), (plan(3, 8, "none"), "of activations"),
        (plan(3, 1, "full"), "makes small products"), (plan(3, 3, "none"), "must divide the 64 sequences"),
        (plan(4, 1, "none"), "zero must be"), (plan(3, 1, "selective"), "which a fused kernel never keeps"),
        (plan(3, "4", "full"), "micro_batch must be"), (3, "The answer is a dict"),
    ],
    "CHEAPEST": [
        (cheap(1, 0, 1, "full"), "Model state alone"), (cheap(8, 3, 1, "none"), "of activations"),
        (cheap(12, 3, 1, "none"), "must divide the 64 sequences"), (cheap(128, 3, 1, "none"), "gpus must be"),
        (plan(3, 4, "full"), "The answer is a dict with gpus, zero"),
        (cheap(16, 3, 1, "half"), "recompute must be"),
    ],
}  # fmt: skip
