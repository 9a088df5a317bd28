"""Lesson 03: right answers, and the wrong ones a learner is likely to give, with words of their hints."""

from numba import float32

from hpclab.exercises import lesson_03
from hpclab.kernels import matmul, softmax, vector_add
from hpclab.kernels.cuda import cuda
from hpclab.models import roofline
from hpclab.models.device import from_catalogue
from hpclab.models.roofline import Work

H100 = from_catalogue("h100-80gb")
ROOF, BF16 = H100.roof("fp32"), H100.roof("bf16")

BY_HAND = {
    "scale and add": ("memory", 3 * 4 * 2**28 / ROOF.bandwidth),
    "softmax": ("memory", 2 * 4 * 2**27 / ROOF.bandwidth),
    "matrix product": ("compute", 2 * 8192**3 / BF16.rate),
    "matrix times vector": ("memory", 2 * 2**28 / ROOF.bandwidth),
    "short add": ("launch", 2.5e-6),
}
BY_MODEL = {
    name: (roofline.predict(work, H100).bound, roofline.predict(work, H100).seconds)
    for name, work in {
        "scale and add": Work(12 * 2**28, 2**29),
        "softmax": Work(8 * 2**27, 5 * 2**27),
        "matrix product": Work(6 * 2**26, 2**40, "bf16"),
        "matrix times vector": Work(2**29, 2**29, "bf16"),
        "short add": Work(120_000, 10_000),
    }.items()
}
CHANGED = dict(zip("ABCDE", lesson_03.CHANGES, strict=False))
TILE = {"tile": 128, "depth": 8, "per_thread": 8}


def predicted(name, bound, seconds):
    return BY_HAND | {name: (bound, seconds)}


@cuda.jit
def tail_in_one_line(x, bias, residual, out):
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = max(x[row, column] + bias[column], float32(0)) + residual[row, column]


@cuda.jit
def tail_step_by_step(x, bias, residual, out):
    row = cuda.blockIdx.y * cuda.blockDim.y + cuda.threadIdx.y
    column = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if row >= x.shape[0] or column >= bias.size:
        return
    value = x[row, column] + bias[column]
    if value < 0:
        value = float32(0)
    out[row, column] = value + residual[row, column]


@cuda.jit
def tail_through_out(x, bias, residual, out):
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = x[row, column] + bias[column]
        out[row, column] = max(out[row, column], float32(0))
        out[row, column] += residual[row, column]


@cuda.jit
def tail_reads_twice(x, bias, residual, out):
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        if x[row, column] + bias[column] > 0:
            out[row, column] = x[row, column] + bias[column] + residual[row, column]
        else:
            out[row, column] = residual[row, column]


@cuda.jit
def tail_down_columns(x, bias, residual, out):
    across = cuda.blockIdx.x * 32 + cuda.threadIdx.y
    for step in range(0, 32, 8):
        row = cuda.blockIdx.y * 8 + cuda.threadIdx.x
        column = across + step
        if cuda.threadIdx.x < 8 and row < out.shape[0] and column < out.shape[1]:
            out[row, column] = max(x[row, column] + bias[column], float32(0)) + residual[row, column]


@cuda.jit
def tail_by_one_lane(x, bias, residual, out):
    column, row = cuda.grid(2)
    if cuda.threadIdx.x == 0 and row < out.shape[0]:
        for k in range(column, min(column + 32, out.shape[1])):
            out[row, k] = max(x[row, k] + bias[k], float32(0)) + residual[row, k]


@cuda.jit
def tail_cut_last(x, bias, residual, out):
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = max(x[row, column] + bias[column] + residual[row, column], float32(0))


@cuda.jit
def tail_without_bias(x, bias, residual, out):
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = max(x[row, column], float32(0)) + residual[row, column]


@cuda.jit
def tail_bias_after(x, bias, residual, out):
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = max(x[row, column], float32(0)) + bias[column] + residual[row, column]


@cuda.jit
def tail_without_relu(x, bias, residual, out):
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = x[row, column] + bias[column] + residual[row, column]


@cuda.jit
def tail_without_residual(x, bias, residual, out):
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = max(x[row, column] + bias[column], float32(0))


@cuda.jit
def tail_unguarded(x, bias, residual, out):
    column, row = cuda.grid(2)
    out[row, column] = max(x[row, column] + bias[column], float32(0)) + residual[row, column]


@cuda.jit
def tail_turned(x, bias, residual, out):
    row, column = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = max(x[row, column] + bias[column], float32(0)) + residual[row, column]


@cuda.jit
def not_yet(x, bias, residual, out):
    """A kernel whose body is still to be written."""
    ...


RIGHT = {
    "PREDICT": [BY_HAND, BY_MODEL, {name: pair[::-1] for name, pair in BY_HAND.items()}],
    "CHANGE_FIRST": [CHANGED, {name.lower(): f" {text.upper()}" for name, text in CHANGED.items()}],
    "TILE": [
        TILE,
        {"tile": 96, "depth": 16, "per_thread": 6},
        {"tile": 128, "depth": 32, "per_thread": 4},
    ],
    "FUSE": [tail_in_one_line, tail_step_by_step],
}

WRONG = {
    "PREDICT": [
        (predicted("scale and add", "memory", 2 * 4 * 2**28 / ROOF.bandwidth), "one of the three passes"),
        (predicted("scale and add", "memory", 3 * 2**28 / ROOF.bandwidth), "counts numbers"),
        (predicted("scale and add", "memory", 24 * 2**28 / ROOF.bandwidth), "too many bytes a number"),
        (predicted("scale and add", "memory", 2**29 / ROOF.rate), "operations alone"),
        (predicted("scale and add", "memory", 1.1), "in milliseconds"),
        (predicted("scale and add", "memory", 5e-3), "too long. Count again"),
        (predicted("scale and add", "compute", BY_HAND["scale and add"][1]), "left of it"),
        (predicted("softmax", "memory", 4 * 2**27 / ROOF.bandwidth), "only reads, or only writes"),
        (predicted("matrix product", "compute", 8192**3 / BF16.rate), "2 n³"),
        (predicted("matrix product", "compute", 2 * 8192**3 / 989e12), "sold"),
        (predicted("matrix product", "compute", 2 * 8192**3 / ROOF.rate), "the input is BF16"),
        (predicted("matrix product", "memory", 6 * 2**26 / ROOF.bandwidth), "bytes alone"),
        (predicted("matrix product", "memory", BY_HAND["matrix product"][1]), "right of it"),
        (predicted("matrix times vector", "memory", 4 * 2**28 / ROOF.bandwidth), "too many bytes a number"),
        (predicted("matrix times vector", "compute", BY_HAND["matrix times vector"][1]), "left of it"),
        (predicted("matrix times vector", "compute", 2**29 / BF16.rate), "operations alone"),
        (predicted("short add", "memory", 120_000 / ROOF.bandwidth), "however short"),
        (predicted("short add", "memory", 2.5e-6), "far less than"),
        (predicted("short add", "launch", 2.5), "in microseconds"),
        (predicted("matrix times vector", "memory", 184), "in microseconds"),
        (predicted("matrix product", "compute", 2 * 8192**3 / 67e12), "the input is BF16"),
        (predicted("short add", "network", 2.5e-6), "the bound"),
        (predicted("softmax", "memory", -1), "must be a number"),
        (predicted("softmax", "memory", float("nan")), "must be a number"),
        (BY_HAND | {"softmax": "memory"}, "write a pair"),
        ({"softmax": BY_HAND["softmax"]}, "an entry for each"),
        (0.001, "an entry for each"),
    ],
    "CHANGE_FIRST": [
        (CHANGED | {"A": "more loads under way"}, "all that memory gives"),
        (CHANGED | {"B": "join it with its neighbour"}, "4.5 times the bytes"),
        (CHANGED | {"C": "fewer registers a thread"}, "for want of room"),
        (CHANGED | {"C": "join it with its neighbour"}, "whole float32 roof"),
        (CHANGED | {"D": "let neighbours touch neighbours"}, "wastes none"),
        (CHANGED | {"D": "fewer registers a thread"}, "no operation needs few registers"),
        (CHANGED | {"E": "more loads under way"}, "the launch"),
        (CHANGED | {"A": "buy another"}, "a change must be one of"),
        ({"A": CHANGED["A"]}, "one change for each"),
        (list(CHANGED.values()), "one change for each"),
    ],
    "TILE": [
        ({"tile": 32, "depth": 32, "per_thread": 1}, "memory still decides"),
        ({"tile": 64, "depth": 8, "per_thread": 4}, "memory still decides"),
        (TILE | {"tile": 68, "per_thread": 2}, "The ridge lies at 17.04"),
        (TILE | {"per_thread": 1}, "16384 threads"),
        (TILE | {"per_thread": 16}, "it spills"),
        (TILE | {"per_thread": 12}, "cannot be shared out"),
        ({"tile": 72, "depth": 8, "per_thread": 6}, "no whole number of warps"),
        (TILE | {"depth": 128}, "make the tiles shallower"),
        (TILE | {"depth": 4}, "Part of each sector"),
        ({"tile": 256, "depth": 8, "per_thread": 8}, "not even one block can start"),
        ({"tile": 192, "depth": 8, "per_thread": 12}, "Only 8 of 64 warps"),
        (TILE | {"tile": 0}, "must be a whole number"),
        (TILE | {"tile": "large"}, "must be a whole number"),
        ({"tile": 128}, "a dict with"),
        (128, "a dict with"),
    ],
    "FUSE": [
        (tail_through_out, "in a variable of the thread"),
        (tail_reads_twice, "more often than once"),
        (tail_down_columns, "a whole row apart"),
        (tail_by_one_lane, "Only one lane"),
        (tail_cut_last, "after the ReLU"),
        (tail_without_bias, "the bias is missing"),
        (tail_bias_after, "added before the ReLU"),
        (tail_without_relu, "the ReLU is missing"),
        (tail_without_residual, "the residual is missing"),
        (tail_unguarded, "guard the access"),
        (tail_turned, "never written"),
        (not_yet, "Not solved yet"),
        ([1, 2], "must be a kernel"),
    ],
}

OWN = {
    "PREDICT": [roofline.predict],
    "TILE": [matmul.STEPS[2]],
    "FUSE": [vector_add.coalesced, softmax.STEPS[0].kernel],
}
