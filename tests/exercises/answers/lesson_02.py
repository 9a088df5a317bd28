"""Lesson 02: right kernels, each written in its own way, and the wrong ones a learner is likely to write:
mostly a right one with a line or two changed."""

import linecache

import numpy

from hpclab.kernels import reduction, transpose, vector_add
from hpclab.kernels.cuda import cuda
from hpclab.models import gpu_memory


def kernel(source, *changes):
    """The kernel in `source` with each (old, new) replaced; its lines are found as those of a cell are."""
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    file = f"<kernel {hash(source)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    cell = {"__name__": "__main__", "cuda": cuda, "np": numpy, "transpose": transpose}
    exec(compile(source, file, "exec"), cell)
    return cuda.jit(cell["answer"])


DIFFERENCE = """
def answer(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i + 1] - x[i]
"""
IN_STRIDES = ("if i < out.size", "for i in range(i, x.shape[0] - 1, cuda.gridsize(1))")
SCALED = """
def answer(factor, x, y):
    for i in range(cuda.grid(1), y.size, cuda.gridsize(1)):
        y[i] += factor * x[i]
"""
BY_HAND = ("cuda.grid(1)", "cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x")
SCALED_IN_STRETCHES = """
def answer(factor, x, y):
    each = (y.size + cuda.gridsize(1) - 1) // cuda.gridsize(1)
    first = cuda.grid(1) * each
    for i in range(first, min(first + each, y.size)):
        y[i] += factor * x[i]
"""
SUMS = """
def answer(x, sums):
    tile = cuda.shared.array(128, np.float32)
    t = cuda.threadIdx.x
    i = cuda.grid(1)
    tile[t] = x[i] if i < x.size else 0
    cuda.syncthreads()
    half = 64
    while half > 0:
        if t < half:
            tile[t] += tile[t + half]
        cuda.syncthreads()
        half //= 2
    if t == 0:
        sums[cuda.blockIdx.x] = tile[0]
"""
ROUND = "half]\n        cuda.syncthreads()\n"
SUMS_BY_THE_FIRST = """
def answer(x, sums):
    tile = cuda.shared.array(128, np.float32)
    t = cuda.threadIdx.x
    if cuda.grid(1) < x.size:
        tile[t] = x[cuda.grid(1)]
    else:
        tile[t] = 0
    cuda.syncthreads()
    if t == 0:
        total = np.float32(0)
        for k in range(128):
            total += tile[k]
        sums[cuda.blockIdx.x] = total
"""
PAST_THE_TILE = (
    ("range(128)", "range(min(128, x.size - cuda.grid(1)))"),
    ("tile[k]", "x[cuda.grid(1) + k]"),
)
TURNED = """
def answer(a, out):
    tile = cuda.shared.array((32, 33), np.float32)
    column, row = cuda.grid(2)
    if row < a.shape[0] and column < a.shape[1]:
        tile[cuda.threadIdx.y, cuda.threadIdx.x] = a[row, column]
    cuda.syncthreads()
    column = cuda.blockIdx.y * 32 + cuda.threadIdx.x
    row = cuda.blockIdx.x * 32 + cuda.threadIdx.y
    if row < out.shape[0] and column < out.shape[1]:
        out[row, column] = tile[cuda.threadIdx.x, cuda.threadIdx.y]
"""
TURNED_AS_READ = (
    ("tile[cuda.threadIdx.y, cuda.threadIdx.x] = a", "tile[cuda.threadIdx.x, cuda.threadIdx.y] = a"),
    ("= tile[cuda.threadIdx.x, cuda.threadIdx.y]", "= tile[cuda.threadIdx.y, cuda.threadIdx.x]"),
)

RIGHT = {
    "SECTORS": [
        lambda s, i: len({s * i * lane // 32 for lane in range(32)}),
        lambda s, i: max(1, min(32, s * i)),
    ],
    "DIFFERENCE": [kernel(DIFFERENCE), kernel(DIFFERENCE, IN_STRIDES)],
    "FEW_SECTORS": [kernel(SCALED), kernel(SCALED, BY_HAND, ("y[i] += factor", "y[i] = y[i] + factor"))],
    "BLOCK_SUMS": [kernel(SUMS), kernel(SUMS_BY_THE_FIRST)],
    "TRANSPOSE": [kernel(TURNED), kernel(TURNED, *TURNED_AS_READ)],
}

WRONG = {
    "SECTORS": [
        (lambda s, i: s * i, "cannot touch more than 32"),
        (lambda s, i: min(32, 4 * s), "items of 4 bytes only"),
        (lambda s, i: min(32, s * i), "stride of 0"),
        (lambda s, i: len({s * i * k // 128 for k in range(32)}), "lines of 128"),
        (lambda s, i: 32 * i // 32, "bytes asked for"),
        (lambda s, i: 32, "worst case"),
        (lambda s, i: 1, "One request is not one sector"),
        (lambda s, i: 31 * s * i // 32 + 2, "count the different results"),
        (lambda s, i: len({s * lane // 32 for lane in range(32)}), "you say 1 sector."),
    ],
    "DIFFERENCE": [
        (kernel(DIFFERENCE, ("if i < out.size", "if True")), "and 28 more"),
        (kernel(DIFFERENCE, ("i < out.size", "i < x.size")), "one item beyond its own"),
        (kernel(DIFFERENCE, ("out.size", "out.size - 1")), "the last item of out is never written"),
        (kernel(DIFFERENCE, ("cuda.grid(1)", "cuda.threadIdx.x")), "begins at 0 in every block"),
        (kernel(DIFFERENCE, ("x[i + 1] - x[i]", "x[i] - x[i + 1]")), "and should be"),
        (kernel(DIFFERENCE, ("i = cuda.grid(1)\n    if i <", "for i in range("), ("out.size:", "out.size):")),
         "all the items"),
        (kernel("def answer(x, out):\n    out[:] = x[1:] - x[:-1]\n"), "tracer does not know"),
        (kernel('def answer(x, out):\n    """Still to be written."""\n    ...\n'), "Not solved yet"),
        ([1.0, 2.0], "must be a kernel"),
    ],
    "FEW_SECTORS": [
        (kernel(SCALED_IN_STRETCHES), "stretch of its own"),
        (kernel(SCALED, ("cuda.gridsize(1)", "cuda.blockDim.x")), "several threads work on one item"),
        (kernel(DIFFERENCE, ("x, out", "factor, x, y"), ("out.size", "y.size"),
                ("out[i] = x[i + 1] - x[i]", "y[i] += factor * x[i]")), "each thread needs a loop"),
        (kernel(SCALED, ("+= factor * x[i]", "= factor * x[i]")), "what it held is gone"),
        (kernel(SCALED, ("+= factor * x[i]", "= factor * y[i] + x[i]")), "factor belongs to x"),
        (kernel(SCALED, ("factor * x[i]", "x[i]")), "factor is missing"),
        (kernel(SCALED, ("for i in range(cuda.grid(1), y.size, cuda.gridsize(1))",
                         "for i in range(y.size if cuda.grid(1) == 0 else 0)")), "let all threads work"),
        (kernel(SCALED, ("+= factor * x[i]", "+= x[i]\n        y[i] += (factor - 1) * x[i]")),
         "more often than once"),
    ],
    "BLOCK_SUMS": [
        (kernel(SUMS, (ROUND, "half]\n")), "The simulator gets by without"),
        (kernel(SUMS, (ROUND, "half]\n            cuda.syncthreads()\n")), "not inside an if"),
        (kernel(SUMS_BY_THE_FIRST, ("    else:\n        tile[t] = 0\n", "")), "must put 0 into the tile"),
        (kernel(SUMS_BY_THE_FIRST, *PAST_THE_TILE), "Read each item once"),
        (kernel(SUMS_BY_THE_FIRST, ("cuda.grid(1)", "t")), "and should be"),
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

OWN = {
    "SECTORS": [gpu_memory.sectors],
    "DIFFERENCE": [vector_add.coalesced],
    "FEW_SECTORS": [vector_add.grid_stride],
    "BLOCK_SUMS": [reduction.shared_tree],
    "TRANSPOSE": [kernel("def answer(a, out):\n    transpose.padded(a, out)\n"), transpose.STEPS[1].kernel],
}

SOLUTION = {
    "DIFFERENCE": "difference", "SECTORS": "sectors", "FEW_SECTORS": "scale_add", "TRANSPOSE": "transpose",
    "BLOCK_SUMS": "block_sums",
}  # fmt: skip
