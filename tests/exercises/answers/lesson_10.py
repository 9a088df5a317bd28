"""Lesson 10: right answers, and wrong ones with words that their hint must contain."""

from hpclab.exercises import lesson_10


def waited(ranks, micro_batches, chunks):
    idle = (ranks - 1) / chunks
    return idle / (micro_batches + idle)


def plan(tensor, pipeline, chunks, micro_batch, recompute="none"):
    return {
        "tensor": tensor, "pipeline": pipeline, "chunks": chunks, "micro_batch": micro_batch,
        "recompute": recompute,
    }  # fmt: skip


FITTING = dict(zip("ABCDE", ("tensor", "pipeline", "data", "context", "expert"), strict=True))

RIGHT = {
    "BUBBLE": [waited, lambda p, m, v: 1 - m * v / (m * v + p - 1)],
    "AXIS": [FITTING, {key.lower(): value.upper() for key, value in FITTING.items()}],
    "PLAN": [plan(4, 8, 6, 2), plan(8, 4, 6, 4)],
}

WRONG = {
    "BUBBLE": [
        (lambda p, m, v: (p - 1) / (v * m), "Of the whole time"),
        (lambda p, m, v: (p - 1) / m, "leaves out the chunks"),
        (lambda p, m, v: (p - 1) / (m + p - 1), "right without chunks"),
        (lambda p, m, v: (p - 1) / p, "one micro-batch alone"),
        (lambda p, m, v: p / (v * m + p), "the first begins at once"),
        (lambda p, m, v: 0.5, "what is the share of the wait"),
    ],
    "AXIS": [
        (FITTING | {"A": "pipeline"}, "cuts a single matrix"),
        (FITTING | {"B": "tensor"}, "sends least"),
        (FITTING | {"C": "tensor"}, "once a step"),
        (FITTING | {"D": "data"}, "tokens of a sequence"),
        (FITTING | {"E": "data"}, "most tokens do not go through"),
        ({"A": "tensor"}, "one axis for each of"),
    ],
    "PLAN": [
        (plan(16, 4, 1, 1), "more than the 8 GPUs of a node"),
        (plan(1, 1, 1, 1), "GiB of 79"),
        (plan(2, 32, 1, 1), "is bubble"),
        (plan(8, 8, 1, 2, "full"), "is computed again"),
        (plan(8, 8, 1, 1), "larger micro-batch"),
        (plan(3, 8, 1, 1), "must divide the 512 GPUs"),
        (plan(8, 8, 1, 1, "half a bit"), "recompute must be"),
        ({"tensor": 8}, "The answer is a dict"),
    ],
}

OWN = {"BUBBLE": [lesson_10._bubble], "AXIS": [lesson_10.NEEDS]}

SOLUTION = {"BUBBLE": "bubble", "AXIS": "axes", "PLAN": "plan"}
