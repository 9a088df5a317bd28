"""Lesson 10: right answers, and wrong ones with words that their hint must contain."""

import numpy

from hpclab.exercises import lesson_10


def waited(ranks, micro_batches, chunks):
    idle = (ranks - 1) / chunks
    return idle / (micro_batches + idle)


def plan(tensor, pipeline, chunks, micro_batch, recompute="none"):
    return {
        "tensor": tensor, "pipeline": pipeline, "chunks": chunks, "micro_batch": micro_batch,
        "recompute": recompute,
    }  # fmt: skip


def bloom(data, tensor, pipeline, micro_batch, recompute="none", chunks=1):
    return {"data": data} | plan(tensor, pipeline, chunks, micro_batch, recompute)


FITTING = dict(zip("ABCDE", ("data", "expert", "tensor", "context", "pipeline"), strict=True))

RIGHT = {
    "BUBBLE": [waited, lambda p, m, v: 1 - numpy.float64(m * v) / (m * v + p - 1)],
    "AXIS": [FITTING, {key.lower(): value.upper() for key, value in FITTING.items()}],
    "PLAN": [plan(4, 8, 6, 2), plan(8, 4, 6, 4), plan(*numpy.array([8, 4, 6, 4]))],
    "CHEAPER": [bloom(8, 4, 12, 2, "full"), bloom(8, 4, 12, 2), bloom(4, 8, 9, 4)],
}  # fmt: skip

WRONG = {
    "BUBBLE": [
        (lambda p, m, v: (p - 1) / (v * m), "Of the whole time"),
        (lambda p, m, v: (p - 1) / m, "leaves out the chunks"),
        (lambda p, m, v: (p - 1) / (m + p - 1), "right without chunks"),
        (lambda p, m, v: (p - 1) / p, "one micro-batch alone"),
        (lambda p, m, v: p / (v * m + p), "the first begins at once"),
        (lambda p, m, v: 100 * waited(p, m, v), "in per cent"),
        (lambda p, m, v: m * v / (m * v + p - 1), "in which ranks compute"),
        (lambda p, m, v: (p - 1) * v / (m + (p - 1) * v), "what is the share of the wait"),
    ],
    "AXIS": [
        (FITTING | {"C": "pipeline"}, "cuts a single matrix"), (FITTING | {"E": "tensor"}, "sends least"),
        (FITTING | {"A": "tensor"}, "once a step"), (FITTING | {"D": "data"}, "tokens of a sequence"),
        (FITTING | {"B": "data"}, "parameters that most tokens do not go through"),
        (dict(zip("ABCDE", lesson_10.AXES, strict=True)), "once a step"),  # as they are printed
        (FITTING | {"D": "sequence"}, "must be one of context; data; expert; pipeline; tensor"),
    ],
    "PLAN": [
        (plan(16, 4, 1, 1), "more than the 8 GPUs of a node"), (plan(1, 1, 1, 1), "GiB, a GPU has 79"),
        (plan(2, 32, 1, 1), "is bubble"), (plan(8, 8, 1, 2, "full"), "is computed again"),
        (plan(8, 8, 1, 1), "larger micro-batch"), (plan(3, 8, 1, 1), "must divide the 512 GPUs"),
        (plan(8, 8, 1, 1, "half"), "recompute must be"), ({"tensor": 8}, "The answer is a dict"),
    ],
    "CHEAPER": [
        (bloom(4, 8, 8, 4), "more than 118 days"), (bloom(8, 4, 12, 4), "a GPU has 79"),
        (bloom(8, 4, 11, 2), "does not divide the model's 70 layers"),
        (bloom(1, 1, 12, 2), "take whole nodes of 8"), (bloom(3, 8, 9, 2), "batch must be a multiple"),
        (bloom(8, 4, 12, 2, chunks=4), "whose stages divide the micro-batches"),
        (plan(4, 8, 1, 2), "The answer is a dict with data, tensor"),
    ],
}  # fmt: skip
