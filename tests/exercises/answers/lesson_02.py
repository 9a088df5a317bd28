"""Lesson 02: right kernels, each written in its own way, and the wrong ones a learner is likely to write:
mostly a right one with a line or two changed."""

import re

from hpclab.kernels import transpose
from tests.exercises.kernels import function, kernel, solution

DIFFERENCE = solution("difference")
WITH_HELP = """
STEP = 1

@cuda.jit(device=True)
def later(x, i):
    return x[i + STEP]

def answer(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = later(x, i) - later(x, i - STEP)
"""
IN_STRIDES = ("if i < out.size", "for i in range(i, x.shape[0] - 1, cuda.gridsize(1))")
SCALED = solution("scale_add")
BY_HAND = ("cuda.grid(1)", "cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x")
SUMS = solution("block_sums")
ROUND = "half]\n        cuda.syncthreads()\n"
NO_ZERO = ("tile[t] = x[i] if i < x.size else 0", "if i < x.size:\n        tile[t] = x[i]")
GROWING = (
    ("half = 64", "half = 1"), ("half > 0", "half < 128"), ("half //= 2", "half *= 2"),
    ("t < half", "t % (2 * half) == 0"),
)  # fmt: skip
BY_ATOMICS = (
    ("while half > 0", "for _ in range(1)"), ("if t < half", "if t > 0"),
    ("tile[t] += tile[t + half]", "cuda.atomic.add(tile, 0, tile[t])"),
)  # fmt: skip
MOVING = """
def answer(x, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        total = np.float32(0)
        for k in range(9):
            total += x[i + k]
        out[i] = total
"""
MOVING_IN_A_TILE = """
def answer(x, out):
    tile = cuda.shared.array(136, np.float32)
    t = cuda.threadIdx.x
    for first in range(128 * cuda.blockIdx.x, out.size, 128 * cuda.gridDim.x):
        for k in range(t, min(136, x.size - first), 128):
            tile[k] = x[first + k]
        cuda.syncthreads()
        if first + t < out.size:
            total = np.float32(0)
            for k in range(9):
                total += tile[t + k]
            out[first + t] = total
        cuda.syncthreads()
"""
FILLED_TWICE = ("else 0\n", "else 0\n    if i < x.size:\n        tile[t] = x[i]\n")
TURNED = solution("transpose")
TURNED_AS_READ = (
    ("tile[cuda.threadIdx.y, cuda.threadIdx.x] = a", "tile[cuda.threadIdx.x, cuda.threadIdx.y] = a"),
    ("= tile[cuda.threadIdx.x, cuda.threadIdx.y]", "= tile[cuda.threadIdx.y, cuda.threadIdx.x]"),
)


def mapped(line, arrays="a, out", guard="out.size"):
    """A thread for each item, under a guard."""
    return f"\ndef answer({arrays}):\n    i = cuda.grid(1)\n    if i < {guard}:\n        {line}\n"


def looped(source, begin="cuda.grid(1)", step="cuda.gridsize(1)"):
    """The same as a loop over items."""
    return re.sub(
        r"i = cuda.grid.1.\n    if i < (\w+).size", rf"for i in range({begin}, \1.size, {step})", source
    )


EVERY = solution("sums")
PLANE = solution("plus")
PAIRS = solution("products")
NO_GUARD = ("row < out.shape[0] and column < out.shape[1]", "True")
IN_THE_OTHER_ORDER = ("column, row =", "row, column =")
OF_ONE = ("if row", "if cuda.threadIdx.x + cuda.threadIdx.y == 0 and row")
NEXT = solution("with_next")
DEEPER = "\n            "
BLOCK_ONLY = [("cuda.grid(1)", "cuda.threadIdx.x")], "begins at 0 in every block"
NO_SIZE = [("out.size", "out.size + 1")], "Ask first whether"

# Of each: the right kernel, and what is changed in it to make it wrong, with the words of the hint.
PUZZLES = {
    "NUMBER": (mapped("out[i] = i", "out"), BLOCK_ONLY, ([("= i", "= cuda.blockIdx.x")], "should be")),
    "ADD_TEN": (mapped("out[i] = a[i] + 10"), BLOCK_ONLY, ([("= a[i] +", "+=")], "is no number")),
    "TWICE": (mapped("out[i] = 2 * a[i]"), NO_SIZE, ([("if i < out", "if 2 < i < out")], "never written")),
    "REVERSE": (mapped("out[i] = a[out.size - 1 - i]"), ([("- 1 - i", "- i")], "Ask first"),
                ([("out.size - 1 - i", "i")], "that is a copy")),
    "SHIFT": (mapped("out[i] = a[i - 1] if i > 0 else 0"), ([(" if i > 0 else 0", "")], "none before it"),
              ([("if i < out", "if 0 < i < out")], "item 0 of the output is never"),
              ([("i - 1] if i > 0", "i + 1] if i + 1 < a.size")], "the other way")),
    "GRID_STRIDE": (looped(mapped("out[i] = a[i]")), ([("1), out.size", "1), 17")], "never written"),
                    ([("gridsize(1)", "blockDim.x * 99")], "it needs a loop"),
                    ([("cuda.grid(1), out.size", "25 * cuda.grid(1), min(25 * cuda.grid(1) + 25, out.size)"),
                      ("cuda.gridsize(1)", "1")], "a stretch of its own")),
    "EVERY_NTH": (EVERY, ([("a.size, out.size", "a.size")], "should be"),
                  ([("= total", "+= total")], "no number"),
                  ([("        total += a[i]", "        total += a[i]\n        out[t] = total")],
                   "Items of out move more often")),
    "COUNT": (mapped("cuda.atomic.add(out, a[i], 1)", guard="a.size"), ([("a.size", "64")], "Ask first"),
              ([("cuda.atomic.add(out, a[i], 1)", "out[a[i]] += 1")], "use an atomic")),
    "BLOCK_MAX": (mapped("cuda.atomic.max(out, cuda.blockIdx.x, a[i])", guard="a.size"),
                  ([("if i < a.size", "if True")], "Ask first"), ([(".max", ".add")], "should be"),
                  ([("i < a.size", "cuda.threadIdx.x == 0"), ("cuda.atomic.max(out, cuda.blockIdx.x, a[i])",
                     f"for k in range(i, min(i + 8, a.size)):{DEEPER}cuda.atomic.max(out, i // 8, a[k])")],
                   "share the items out")),
    "PLUS_2D": (PLANE, ([NO_GUARD], "Ask first"), ([IN_THE_OTHER_ORDER], "whole columns"),
                ([OF_ONE], "never written")),
    "PRODUCTS": (PAIRS, ([NO_GUARD], "Ask first"), ([("a[row] *", "")], "should be"),
                 ([OF_ONE], "never written")),
    "NEIGHBOUR": (NEXT, ([("    cuda.syncthreads()\n", "")], "put cuda.syncthreads()"),
                  ([("tile[t] + tile[(t + 1) % 8]", "a[i] + a[i - t + (t + 1) % 8]")], "goes through a tile"),
                  ([(" % 8", "")], "tile has 8 items")),
}  # fmt: skip

RIGHT = {
    "SECTORS": [
        lambda s, i: len({s * i * lane // 32 for lane in range(32)}), lambda s, i: max(1, min(32, s * i)),
    ],
    "DIFFERENCE": [kernel(DIFFERENCE), kernel(DIFFERENCE, IN_STRIDES), kernel(WITH_HELP)],
    "FEW_SECTORS": [kernel(SCALED), kernel(SCALED, BY_HAND, ("y[i] += factor", "y[i] = y[i] + factor"))],
    "BLOCK_SUMS": [kernel(SUMS), kernel(SUMS, *GROWING)],
    "MOVING_SUM": [kernel(MOVING), kernel(MOVING_IN_A_TILE)],
    "TRANSPOSE": [kernel(TURNED), kernel(TURNED, *TURNED_AS_READ)],
}  # fmt: skip

WRONG = {
    "SECTORS": [
        (lambda s, i: s * i, "cannot touch more than 32"),
        (lambda s, i: min(32, 4 * s), "items of 4 bytes only"), (lambda s, i: min(32, s * i), "stride of 0"),
        (lambda s, i: len({s * i * k // 128 for k in range(32)}), "lines of 128"),
        (lambda s, i: 32 * i // 32, "bytes asked for"), (lambda s, i: 32, "worst case"),
        (lambda s, i: 1, "One request is not one sector"),
        (lambda s, i: len({s * lane // 32 for lane in range(32)}), "you say 1 sector."),
    ],
    "DIFFERENCE": [
        (kernel(DIFFERENCE, ("if i < out.size", "if True")), "and 28 more"),
        (kernel(DIFFERENCE, ("i < out.size", "i < x.size")), "one item beyond its own"),
        (kernel(DIFFERENCE, ("out.size", "out.size - 1")), "the last item of out is never written"),
        (kernel(DIFFERENCE, ("cuda.grid(1)", "cuda.threadIdx.x")), "begins at 0 in every block"),
        (kernel(DIFFERENCE, ("x[i + 1] - x[i]", "x[i] - x[i + 1]")), "and should be"),
        (kernel(DIFFERENCE, ("i = cuda.grid(1)\n    if i <", "for i in range("), ("out.size:", "out.size):")),
         "Every thread goes through all the items"),
        (kernel(looped(DIFFERENCE, "0 if cuda.grid(1) == 0 else out.size", "1")), "share the items out"),
        (function(DIFFERENCE), "with @cuda.jit in the line above"),
        (kernel(DIFFERENCE, ("out[i] = x[i + 1]", "out[i] += x[i + 1]")), "Write to it with = first"),
        (kernel('def answer(x, out):\n    """Still to be written."""\n    ...\n'), "Not solved yet"),
        ([1.0, 2.0], "must be a kernel"),
    ],
    "FEW_SECTORS": [
        (kernel(SCALED, ("cuda.gridsize(1)", "cuda.blockDim.x")), "several threads work on one item"),
        (kernel(DIFFERENCE, ("x, out", "factor, x, y"), ("out.size", "y.size"),
                ("out[i] = x[i + 1] - x[i]", "y[i] += factor * x[i]")), "each thread needs a loop"),
        (kernel(SCALED, ("+= factor * x[i]", "= factor * x[i]")), "what it held is gone"),
        (kernel(SCALED, ("+= factor * x[i]", "= factor * y[i] + x[i]")), "factor belongs to x"),
        (kernel(SCALED, ("for i in range(cuda.grid(1), y.size, cuda.gridsize(1))",
                         "for i in range(y.size if cuda.grid(1) == 0 else 0)")), "share the items out"),
        (kernel(SCALED, ("+= factor * x[i]", "+= x[i]\n        y[i] += (factor - 1) * x[i]")),
         "more often than once"),
        (kernel(SCALED, ("y[i] +", f"if i % 2:{DEEPER}y[i] += factor * x[i]\n        else:{DEEPER}y[i] +")),
         "An if parts the warps"),
        (kernel(SCALED, ("cuda.grid(1), y", "cuda.grid(1) - 1, y"),
                ("        y[i]", "        if i >= 0:\n            y[i]")), "in the middle of a sector"),
    ],
    "BLOCK_SUMS": [
        (kernel(SUMS, (ROUND, "half]\n")), "at the end of each round"),
        (kernel(SUMS, *BY_ATOMICS), "128 turns"),
        (kernel(SUMS, (ROUND, "half]\n            cuda.syncthreads()\n")), "not inside an if"),
        (kernel(SUMS, NO_ZERO), "must put 0 into the tile"),
        (kernel(SUMS, FILLED_TWICE), "Read each item once"),
    ],
    "MOVING_SUM": [
        (kernel(MOVING, ("range(9)", "range(8)")), "a sum of eight"),
        (kernel(MOVING, ("out.size", "x.size")), "none behind them"),
        (kernel(MOVING, ("cuda.grid(1), out.size", "0 if cuda.grid(1) == 0 else out.size, out.size"),
                ("cuda.gridsize(1)", "1")), "share the items out"),
        (kernel(MOVING, ("x[i + k]", "x[i + k]\n            out[i] = total")), "more often than once"),
        (kernel(MOVING_IN_A_TILE, ("[k] = x[first + k]\n        cuda.syncthreads()", "[k] = x[first + k]")),
         "cuda.syncthreads()"),
    ],
    "TRANSPOSE": [
        (kernel(TURNED, ("(32, 33)", "(32, 32)")), "lies in one bank"),
        (kernel(TURNED, ("(32, 33)", "(32, 34)")), "shift by one"),
        (kernel(TURNED, ("    cuda.syncthreads()\n", "")), "put cuda.syncthreads()"),
        (kernel("def answer(a, out):\n    column, row = cuda.grid(2)\n    if row < a.shape[0] and column < "
                "a.shape[1]:\n        out[column, row] = a[row, column]\n"), "write rows"),
        (kernel(TURNED, ("    column = cuda.blockIdx.y * 32 + cuda.threadIdx.x\n", ""),
                ("    row = cuda.blockIdx.x * 32 + cuda.threadIdx.y\n", "")), "never written"),
    ],
}  # fmt: skip

NUMBER = "(cuda.blockIdx.{0} * cuda.blockDim.{0} + cuda.threadIdx.{0})"
BOTH = f"{NUMBER.format('x')}, {NUMBER.format('y')}"
for name, (source, *changed) in PUZZLES.items():
    by_hand = source.replace("cuda.grid(1)", NUMBER.format("x")).replace("cuda.grid(2)", BOTH)
    again = looped(source)
    RIGHT[name] = [kernel(source), kernel(again if again != source else by_hand)]
    WRONG[name] = [
        (function(source), "with @cuda.jit in the line above"),
        *((kernel(source, *c), w) for c, w in changed),
    ]
    if again != source and name != "BLOCK_MAX":  # which thread 0 alone gets wrong
        alone = looped(source, "0 if cuda.grid(1) == 0 else 1 << 20", "1")
        WRONG[name].append((kernel(alone), "share the items out"))

PADDED = "def answer(a, out):\n    transpose.padded(a, out)\n"
OWN = {"TRANSPOSE": [kernel(PADDED), transpose.STEPS[1].kernel]}
