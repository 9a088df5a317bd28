"""Lesson 03: right answers, and the wrong ones a learner is likely to give, with words of their hints."""

from hpclab.kernels import softmax
from hpclab.models import roofline
from hpclab.models.device import from_catalogue
from tests.exercises.kernels import function, kernel

H100 = from_catalogue("h100-80gb")
ROOF, BF16 = H100.roof("fp32"), H100.roof("bf16")
SOLD = H100.roof("fp32", "peak").bandwidth

BY_HAND = {
    "scale and add": ("memory", 3 * 4 * 2**28 / ROOF.bandwidth),
    "softmax": ("memory", 2 * 4 * 2**27 / ROOF.bandwidth),
    "matrix product": ("compute", 2 * 8192**3 / BF16.rate),
    "matrix times vector": ("memory", 2 * 2**28 / ROOF.bandwidth),
    "short add": ("launch", 2.5e-6),
}
CHANGED = {
    "A": "join it with its neighbour", "B": "let neighbours touch neighbours", "C": "a lower precision",
    "D": "more loads under way", "E": "more work in each launch",
}  # fmt: skip
READINGS = {"rows": 256, "columns": 128, "high": 8, "wide": 8}
TILE = {"tile": 128, "depth": 8, "per_thread": 8}


def predicted(name, bound, seconds):
    return BY_HAND | {name: (bound, seconds)}


SUM = "max(x[row, column] + bias[column], np.float32(0)) + residual[row, column]"
TAIL = f"""
def tail(x, bias, residual, out):
    column, row = cuda.grid(2)
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = {SUM}
"""
IN_STEPS = """value = x[row, column] + bias[column]
        if value < 0:
            value = np.float32(0)
        out[row, column] = value + residual[row, column]"""
THROUGH_OUT = """x[row, column] + bias[column]
        out[row, column] = max(out[row, column], np.float32(0))
        out[row, column] += residual[row, column]"""
DOWN_COLUMNS = f"""
def tail(x, bias, residual, out):
    across = cuda.blockIdx.x * 32 + cuda.threadIdx.y
    for step in range(0, 32, 8):
        row = cuda.blockIdx.y * 8 + cuda.threadIdx.x
        column = across + step
        if cuda.threadIdx.x < 8 and row < out.shape[0] and column < out.shape[1]:
            out[row, column] = {SUM}
"""
BY_ONE = f"""
def tail(x, bias, residual, out):
    column, row = cuda.grid(2)
    if column + row == 0:
        for row in range(out.shape[0]):
            for column in range(out.shape[1]):
                out[row, column] = {SUM}
"""

RIGHT = {
    "PREDICT": [BY_HAND, {name: pair[::-1] for name, pair in BY_HAND.items()}],
    "CHANGE_FIRST": [CHANGED, {name.lower(): f" {text.upper()}" for name, text in CHANGED.items()}],
    "TILE": [
        TILE, {"tile": 96, "depth": 16, "per_thread": 6}, TILE | {"depth": 32, "per_thread": 4},
        TILE | {"depth": 48},
    ],  # 48 KiB, and 16 warps
    "READINGS": [
        READINGS, {"rows": 192, "columns": 224, "high": 12, "wide": 7},
        {"rows": 192, "columns": 224, "high": 6, "wide": 14},
    ],  # 128 registers, all there are
    "FUSE": [kernel(TAIL), kernel(TAIL, (f"out[row, column] = {SUM}", IN_STEPS))],
}  # fmt: skip

WRONG = {
    "PREDICT": [
        (predicted("scale and add", "memory", 2 * 4 * 2**28 / ROOF.bandwidth), "one of the three passes"),
        (predicted("matrix product", "compute", 2**40 / BF16.rate + 6 * 2**26 / ROOF.bandwidth),
         "adds the two"),
        (predicted("softmax", "memory", 1.2 * BY_HAND["softmax"][1]), "too long. Count again"),
        (predicted("short add", "launch", 3e-6), "hardly anything is added"),
        (predicted("scale and add", "memory", 3 * 2**28 / ROOF.bandwidth), "counts numbers"),
        (predicted("scale and add", "memory", 2**29 / ROOF.rate), "operations alone"),
        (predicted("scale and add", "memory", 1.1), "in milliseconds"),
        (predicted("scale and add", "compute", BY_HAND["scale and add"][1]), "left of it"),
        (predicted("softmax", "memory", 4 * 2**27 / ROOF.bandwidth), "only reads, or only writes"),
        (predicted("matrix product", "compute", 8192**3 / BF16.rate), "2 n³"),
        (predicted("matrix product", "compute", 2 * 8192**3 / 989e12), "sold"),
        (predicted("matrix product", "compute", 2 * 8192**3 / ROOF.rate), "the input is BF16"),
        (predicted("matrix product", "memory", 6 * 2**26 / ROOF.bandwidth), "bytes alone"),
        (predicted("matrix product", "memory", BY_HAND["matrix product"][1]), "right of it"),
        (predicted("short add", "memory", 120_000 / ROOF.bandwidth), "however short"),
        (predicted("short add", "launch", 2.5), "in microseconds"),
        (predicted("short add", "network", 2.5e-6), "the bound"),
        (predicted("scale and add", "memory", 3 * 2**30 / SOLD), "bandwidth that is sold"),
        (predicted("softmax", "memory", 2 * BY_HAND["softmax"][1]), "too many bytes a number"),
        (predicted("short add", "memory", BY_HAND["short add"][1]), "far less than the 2.5 µs of a launch"),
        (predicted("softmax", "memory", float("nan")), "must be a number"),
        (BY_HAND | {"softmax": "memory"}, "write a pair"),
        ({"softmax": BY_HAND["softmax"]}, "an entry for each"),
    ],
    "CHANGE_FIRST": [
        (CHANGED | {"A": "more loads under way"}, "all that memory gives"),
        (CHANGED | {"C": "fewer registers a thread"}, "for want of room"),
        (CHANGED | {"D": "let neighbours touch neighbours"}, "wastes none"),
        (CHANGED | {"D": "fewer registers a thread"}, "no operation needs few registers"),
        (CHANGED | {"E": "more loads under way"}, "the launch"), ({"A": CHANGED["A"]}, "one change for each"),
    ],
    "TILE": [
        ({"tile": 64, "depth": 8, "per_thread": 4}, "memory still decides"),
        (TILE | {"tile": 68, "per_thread": 2}, "achievable ridge lies at 17.04"),
        (TILE | {"per_thread": 1}, "16384 threads"), (TILE | {"per_thread": 16}, "it spills"),
        (TILE | {"per_thread": 12}, "cannot be shared out"),
        ({"tile": 72, "depth": 8, "per_thread": 6}, "no whole number of warps"),
        (TILE | {"depth": 128}, "Take shallower slices"), (TILE | {"depth": 4}, "Part of each sector"),
        ({"tile": 256, "depth": 8, "per_thread": 8}, "not even one block can start"),
        ({"tile": 192, "depth": 8, "per_thread": 12}, "Only 8 of 64 warps"),
        (TILE | {"tile": 0}, "must be a whole number"), ({"tile": 128}, "a dict with"),
    ],
    "READINGS": [
        ({"rows": 128, "columns": 128, "high": 8, "wide": 8}, "ours does with 64: larger"),
        (READINGS | {"columns": 256}, "not even one block can start"),
        (READINGS | {"wide": 3}, "128 columns cannot be shared out"),
        (READINGS | {"high": 2, "wide": 2}, "threads; 1024 are the most"),
        ({"rows": 128}, "a dict with"),
    ],
    "FUSE": [
        (kernel(TAIL, (SUM, THROUGH_OUT)), "in a variable of the thread"),
        (kernel(DOWN_COLUMNS), "a whole row apart"), (kernel(BY_ONE), "share the items out"),
        (function(TAIL), "with @cuda.jit in the line above"),
        (kernel(TAIL, (", np.float32(0)) + residual", " + residual"), ("residual[row, column]\n",
                       "residual[row, column], np.float32(0))\n")), "after the ReLU"),
        (kernel(TAIL, (" + bias[column]", "")), "the bias is missing"),
        (kernel(TAIL, (" + bias[column], np.float32(0))", ", np.float32(0)) + bias[column]")),
         "added before the ReLU"),
        (kernel(TAIL, ("max(", "("), (", np.float32(0)", "")), "the ReLU is missing"),
        (kernel(TAIL, (" + residual[row, column]", "")), "the residual is missing"),
        (kernel(TAIL, ("row < out.shape[0] and column < out.shape[1]", "True")), "guard the access"),
        (kernel(TAIL, ("column, row =", "row, column =")), "never written"),
    ],
}  # fmt: skip

OWN = {"PREDICT": [roofline.predict], "FUSE": [softmax.STEPS[0].kernel]}
