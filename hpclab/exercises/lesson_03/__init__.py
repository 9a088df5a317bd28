"""Lesson 03: what bounds a kernel, what to change first, a tile that reaches the roof, and bytes saved."""

import math
from functools import partial
from types import SimpleNamespace

import numpy

from hpclab.exercises import Exercise, judges
from hpclab.exercises.kernel_trials import LearnerLaunch, by_kernel, nothing, numbers
from hpclab.exercises.lesson_03.bounds import KERNELS as KERNELS
from hpclab.exercises.lesson_03.bounds import by_bound_and_time
from hpclab.models.device import from_catalogue
from hpclab.models.gpu_memory import WARP
from hpclab.models.occupancy import MOST_REGISTERS, MOST_THREADS, occupancy

PREDICT = Exercise("03", "time and bound", by_bound_and_time, (
    "Count the bytes that cross the bus and the operations, then divide by bandwidth and rate.",
    "The longer of the two times counts; and no kernel is quicker than its launch, about 2.5 µs.",
    "from_catalogue('h100-80gb').roof('bf16') has .bandwidth and .rate; a product does 2 * n**3 operations.",
))  # fmt: skip

N = 4096  # rows and columns of the challenge's matrices
OURS = 64  # readings by the course's `register_blocked`, whose tile is 128 × 128
_MOST_SHARED = 48 * 1024


def _facts(rows: int, columns: int, depth: int, high: int, wide: int) -> SimpleNamespace:
    """What a thread block needs that makes rows × columns sums in slices of `depth`, high × wide a thread."""
    device, threads = from_catalogue("h100-80gb"), (rows // high) * (columns // wide)
    registers, shared = high * wide + high + wide + 24, 4 * depth * (rows + columns)
    try:
        found = occupancy(device.compute_capability, threads, registers, shared)
    except ValueError:
        found = None
    return SimpleNamespace(
        rows=rows, columns=columns, depth=depth, high=high, wide=wide, threads=threads, registers=registers,
        shared=shared, kib=f"{shared / 1024:.4g}", down=rows // high, across=columns // wide, row=4 * depth,
        intensity=rows / 4, ridge=device.roof("fp32").ridge, found=found,
        of_a=-(-N // columns), of_b=-(-N // rows), readings=-(-N // columns) - (-N // rows),
    )  # fmt: skip


_SHARED_OUT: judges.Mistakes = (
    (lambda f: f.rows % f.high, "{f.rows} rows cannot be shared out among threads of {f.high} each."),
    (
        lambda f: f.columns % f.wide,
        "{f.columns} columns cannot be shared out among threads of {f.wide} each.",
    ),
)
_RESIDENT: judges.Mistakes = (
    (lambda f: f.threads > MOST_THREADS, "That is a block of {f.down} × {f.across} = {f.threads} threads; "
     f"{MOST_THREADS} are the most. Let each thread make more of the sums."),
    (lambda f: f.threads % WARP, "{f.threads} threads are no whole number of warps: lanes idle."),
    (lambda f: f.registers > MOST_REGISTERS, "{f.high} × {f.wide} sums need {f.registers} registers; a "
     f"thread has at most {MOST_REGISTERS}. The rest would go to memory and back: it spills."),
    (lambda f: f.shared > _MOST_SHARED, "Slices of {f.rows} rows and {f.columns} columns, {f.depth} deep, "
     "are {f.kib} KiB; a block has 48. Take shallower slices, which use a number as often, or a block less "
     "long."),
    (lambda f: f.depth % 8, "A row of the tile of A is {f.row} bytes, and memory moves sectors of 32. Part "
     "of each sector is moved for nothing: take a multiple of 8."),
    (lambda f: not f.found, "{f.threads} threads with {f.registers} registers each are more than the 65536 "
     "of a multiprocessor: not even one block can start."),
    (lambda f: f.found.warps < 16, "Only {f.found.warps} of {f.found.most} warps are resident, for want of "
     "{f.found.limits[0]}. At least 16 are needed, so that some compute while others wait."),
)  # fmt: skip


def _square(answer: object) -> SimpleNamespace:
    """The `_facts` of the square block in `answer`."""
    given = judges.read_dict(answer, tile=N, depth=N, per_thread=N)
    return _facts(given.tile, given.tile, given.depth, given.per_thread, given.per_thread)


def _rectangle(answer: object) -> SimpleNamespace:
    """The `_facts` of the rectangular block in `answer`, with slices of 8."""
    given = judges.read_dict(answer, rows=N, columns=N, high=N, wide=N)
    return _facts(given.rows, given.columns, 8, given.high, given.wide)


TILE = Exercise("03", "a tile that reaches the roof", judges.by_facts(
    _square,
    *_SHARED_OUT,
    (lambda f: f.intensity < f.ridge, "A tile of {f.rows} does {f.intensity:g} operations a byte. The "
     "achievable ridge lies at {f.ridge:.4g}, so memory still decides: the tile must be larger."),
    *_RESIDENT,
    yes="{f.intensity:g} operations a byte, right of the achievable ridge at {f.ridge:.4g}; {f.threads} "
    "threads with {f.registers} registers, {f.kib} KiB, {f.found.warps} of {f.found.most} warps. One thread "
    "a sum could never do it: 1,024 threads are a tile of 32, and that is 8 operations a byte.",
), (
    "Operations per byte: each slice brings 2 · tile · depth numbers for 2 · tile² · depth operations.",
    "That is tile / 4, whatever the depth. Threads: (tile / per_thread)², at most 1,024.",
    "Try a tile of 128. How many sums must a thread make, and how many registers does that take?",
))  # fmt: skip

_READ = (
    "A is read {f.of_a} times, once for each column of blocks, and B {f.of_b} times, with {f.registers} "
    "registers a thread and {f.found.warps} warps. "
)
READINGS = Exercise("03", "the fewest readings", judges.by_facts(
    _rectangle,
    *_SHARED_OUT, *_RESIDENT,
    (lambda f: f.readings >= OURS, _READ + f"Those are {{f.readings}} readings, and ours does with "
     f"{OURS}: larger blocks."),
    yes=_READ + f"Ours needs {OURS} readings.", score=("readings", "readings"),
), (
    "Start from ours: rows and columns 128, high and wide 8. Then make one side of the block longer.",
    "16 warps are 512 threads, and 65,536 registers for 512 threads are 128 each: use them all.",
    "Of blocks with as many sums the square reads least, but 4,096 must be cut well: 7 · 12 sums a thread.",
))  # fmt: skip

PROFILES = {
    "A": {"needed": 3.22e9, "moved": 3.22e9, "operations": 2.7e8, "warps": 48, "seconds": 1.11e-3},
    "B": {"needed": 2.15e9, "moved": 9.66e9, "operations": 0, "warps": 64, "seconds": 1.08e-3},
    "C": {"needed": 2.0e8, "moved": 4.3e9, "operations": 1.37e11, "warps": 16, "seconds": 2.77e-3},
    "D": {"needed": 1.07e9, "moved": 1.07e9, "operations": 0, "warps": 8, "seconds": 2.8e-3},
    "E": {"needed": 4.9e4, "moved": 4.9e4, "operations": 4.1e3, "warps": 8, "seconds": 3.2e-6},
}
"""Five float32 kernels on an H100 SXM, modelled and rounded: bytes needed, bytes moved in sectors through the
last cache, operations, warps resident on a multiprocessor (of 64), seconds."""

CHANGES = (
    "more loads under way", "fewer registers a thread", "a lower precision", "more work in each launch",
    "let neighbours touch neighbours", "join it with its neighbour",
)  # fmt: skip
"""What can be changed, in no order that tells for which kernel; one of them helps none."""
_HELPS = {"A": CHANGES[5], "B": CHANGES[4], "C": CHANGES[2], "D": CHANGES[0], "E": CHANGES[3]}

_EVIDENCE = {
    "A": "it moves 2.9 TB/s, all that memory gives, and only what it needs. Only fewer bytes help.",
    "B": "its sectors hold 4.5 times the bytes that it needs, and go at 8.9 TB/s, all that the cache gives.",
    "C": "it does 49.5 TFLOP/s, the whole float32 roof, while memory is at 3 % of its own.",
    "D": "it moves 0.38 TB/s, an eighth of the roof, and wastes none: too few bytes are asked for at a time.",
    "E": "its 49 kB would be moved in 17 ns. The rest of the 3.2 µs is the launch and one trip to memory.",
}


def _evidence(kernel: str, change: str) -> str:
    """A sentence: why `change` does not help the `kernel` of PROFILES."""
    if change != CHANGES[1]:
        return _EVIDENCE[kernel]
    few = "A kernel with no operation needs few registers." if kernel == "D" else "Here they are not."
    return f"{_EVIDENCE[kernel]} Fewer registers help only where warps are missing for want of room. {few}"


CHANGE_FIRST = Exercise("03", "what to change first", judges.by_choice(
    "change", _HELPS, CHANGES, _evidence,
    yes="A stands at the memory roof, C at the compute roof; B is at the cache's roof with bytes that nobody "
    "asked for; D and E reach no roof. C has a quarter of the warps there could be, and loses nothing.",
), (
    "Divide first: moved / seconds against the bandwidth, operations / seconds against the rate.",
    "At a roof, ask whether the bytes are needed. At no roof, ask what else takes the time.",
))  # fmt: skip


_relu = partial(numpy.maximum, 0)


def _tail(rows: int, columns: int) -> LearnerLaunch:
    """A launch that computes relu(x + bias) + residual, what follows a matrix product in a layer."""
    x, residual = numbers(rows, columns) - 1.5, numbers(rows, columns, seed=1) - 1.5
    bias, grid = numbers(columns, seed=2) - 1.5, (-(-columns // 32), -(-rows // 8))
    arrays, expected = (x, bias, residual, nothing(rows, columns)), _relu(x + bias) + residual
    return LearnerLaunch(f"With {rows} × {columns} items", grid, (32, 8), arrays, expected)


FUSE = Exercise("03", "three kernels into one", by_kernel(
    lambda: [_tail(*size) for size in ((32, 64), (19, 96), (40, 33), (8, 70))],
    (lambda f: f.gives(lambda x, b, r, _: _relu(x + b + r)), "the residual is added after the ReLU."),
    (lambda f: f.gives(lambda x, b, r, _: _relu(x) + r), "the bias is missing."),
    (lambda f: f.gives(lambda x, b, r, _: _relu(x) + b + r), "the bias is added before the ReLU."),
    (lambda f: f.gives(lambda x, b, r, _: x + b + r), "the ReLU is missing: nothing is cut off."),
    (lambda f: f.gives(lambda x, b, *_: _relu(x + b)), "the residual is missing."),
    # x, residual and out once each, and the bias as if no cache had kept it; where rows are whole sectors
    most=lambda f: 4 * f.filled if f.output.shape[1] % 32 == 0 else math.inf,
    yes="Yes: 4 sectors for 8 items where three kernels need 8. At the memory roof that is twice as fast, "
    "and two launches are gone. Compilers such as torch.compile do just this.",
), (
    "column, row = cuda.grid(2): the last index follows x. Guard both.",
    "A variable of a thread lives in a register. Nothing in between needs to go to an array.",
))  # fmt: skip
