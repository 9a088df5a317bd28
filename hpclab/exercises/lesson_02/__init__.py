"""Lesson 02: kernels that reach every item and no other, move few sectors, and do not race."""

import math

import numpy

from hpclab.exercises import Exercise, judges
from hpclab.exercises.kernel_trials import KernelTrial, LearnerLaunch, by_kernel, nothing, numbers
from hpclab.exercises.lesson_02 import puzzles
from hpclab.models import gpu_memory
from hpclab.models.gpu_memory import LINE, SECTOR, WARP

# isort: off
from hpclab.exercises.lesson_02.puzzles import (  # noqa: F401
    ADD_TEN, BLOCK_MAX, COUNT, EVERY_NTH, GRID_STRIDE, NEIGHBOUR, NUMBER, PLUS_2D, PRODUCTS, REVERSE, SHIFT,
    TWICE,
)  # fmt: skip

THREADS = 64  # in each block of the launches here


def _sectors(stride: int, itemsize: int) -> int:
    return len(gpu_memory.sectors([stride * itemsize * lane for lane in range(WARP)], itemsize))


SECTORS = Exercise("02", "count the sectors", judges.by_function(
    "sectors(stride, itemsize)", "a number of sectors",
    lambda: ((1, 4), (2, 4), (3, 4), (8, 4), (32, 4), (1, 8), (3, 8), (1, 1), (12, 1), (2, 2), (0, 4)),
    _sectors,
    (lambda s, i: len({s * i * lane // LINE for lane in range(WARP)}), "You counted lines of 128 bytes; "
     "memory moves in sectors of 32, four to a line."),
    (lambda s, i: WARP * i // SECTOR, "You counted the bytes asked for, not where they lie."),
    (lambda s, i: min(WARP, 4 * s), "Right for items of 4 bytes only: a sector is always 32."),
    (lambda s, i: s * i, "32 lanes cannot touch more than 32 sectors, however large the stride."),
    (lambda s, i: min(WARP, s * i), "Nearly. But with a stride of 0 one item must come."),
    (lambda s, i: WARP, "A sector a lane is the worst case: neighbours in one sector share it."),
    (lambda s, i: 1, "One request is not one sector: 32 items of 4 bytes fill four of them."),
    otherwise=lambda value, stride, itemsize: f"For a stride of {stride} items of {itemsize} bytes you say "
    f"{value:g} sector{'s' * (value != 1)}. Divide the byte at which each lane begins by 32, and count the "
    "different results.",
    within=0,
    yes="Yes: from a stride of 8 floats on, every lane has a sector of its own, and seven eighths of what "
    "moves is for nothing. A larger stride moves no more.",
), (
    "Lane k begins to read at byte stride * itemsize * k. In which sector is that?",
    "The sector is that byte // 32. Count the different ones: a set does that.",
))  # fmt: skip


def _difference(items: int) -> LearnerLaunch:
    x, grid = numbers(items), -(-items // THREADS) + 1
    said = f"With {items} items and {grid * THREADS} threads"
    return LearnerLaunch(said, (grid,), (THREADS,), (x, nothing(items - 1)), numpy.diff(x))


DIFFERENCE = Exercise("02", "nobody outside", by_kernel(
    lambda: [_difference(items) for items in (100, 64, 65, 2, 257)],
    (lambda f: f.missing == [len(f.output) - 1], "the last item of out is never written: out has an item "
     "for each difference, and the last one needs the last item of x."),
    puzzles.THREAD_IDX,
    (lambda f: f.kind == "out of bounds" and f.errors[0][2] == 1, "{f.fault} It reads x one item beyond "
     "its own: ask whether that one is there."),
    yes="Yes: every difference is there, and the threads too many do nothing.",
), (
    "Which is the last i for which both x[i + 1] and out[i] are there?",
    "i < out.size says it, and so does i + 1 < x.size.",
))  # fmt: skip


def _scaling(items: int, grid: int) -> LearnerLaunch:
    x, y = numbers(items), numbers(items, seed=7)
    said = f"With {items} items and {grid} block{'s' * (grid > 1)} of {THREADS} threads"
    return LearnerLaunch(said, (grid,), (THREADS,), (numpy.float32(3), x, y), 3 * x + y)


def _updates_per_item(trial: KernelTrial) -> numpy.ndarray:
    """How many times 3 * x was added to each item of y."""
    _, x, y = trial.launch.arrays
    return numpy.round((trial.output - y) / (3 * x))


def _only_once(trial: KernelTrial) -> bool:
    """Whether one item of each thread was updated, once, and none of the items beyond them."""
    times, threads = _updates_per_item(trial), trial.launch.grid[0] * THREADS
    return len(times) > threads and bool((times[:threads] == 1).all() and not times[threads:].any())


_SCALED_WRONG = (
    (_only_once, "only as many items as threads are done. There are more, so each thread needs a loop."),
    (lambda f: f.gives(lambda factor, x, y: factor * x), "y is overwritten, and what it held is gone."),
    (lambda f: f.gives(lambda factor, x, y: factor * y + x), "the factor belongs to x, not to y."),
    (lambda f: f.gives(lambda factor, x, y: x + y), "the factor is missing."),
    (lambda f: (_updates_per_item(f) > 1).any(), "several threads work on one item. The loop begins at "
     "cuda.grid(1), and its stride is cuda.gridsize(1), the number of all threads."),
)  # fmt: skip

FEW_SECTORS = Exercise("02", "fewer sectors", judges.in_turn(
    # few items first: a loop that walks over most of them is seen before it takes too long
    by_kernel(lambda: [_scaling(129, 1), _scaling(40, 2)], *_SCALED_WRONG),
    by_kernel(
        lambda: [_scaling(1024, 2), _scaling(1000, 2), _scaling(4096, 4)], *_SCALED_WRONG,
        most=lambda f: 3 * f.filled,
        yes="Yes: every sector moves once, and each round of a warp's loop takes whole ones.",
    ),
), (
    "In one moment, the 32 lanes of a warp should be at 32 neighbouring items.",
    "Begin at cuda.grid(1), and go on by the number of all threads in the grid, cuda.gridsize(1).",
))  # fmt: skip


def _block_sum(items: int) -> LearnerLaunch:
    x, starts = numbers(items), range(0, items, 128)
    sums = numpy.add.reduceat(x.astype(numpy.float64), starts).astype(numpy.float32)
    said = f"With {items} item{'s' * (items > 1)} in blocks of 128 threads"
    return LearnerLaunch(said, (len(starts),), (128,), (x, nothing(len(starts))), sums)


BLOCK_SUMS = Exercise("02", "a barrier in the right place", by_kernel(
    lambda: [_block_sum(items) for items in (512, 128, 300, 1)],
    (lambda f: f.kind == "barrier", "{f.fault} A barrier belongs where all pass, not inside an if."),
    (lambda f: f.kind == "uninitialised", "{f.fault} A thread too many must put 0 into the tile."),
    steps=lambda _: 40,  # seven rounds of two reads and a write, and the tile filled and read
    parallel="In each round the first half of those still at work add what the other half holds: seven "
    "rounds do what takes one thread 127 additions, and threads at one atomic 128 turns.",
    most=lambda f: -(-f.launch.arrays[0].nbytes // SECTOR) + 2 * len(f.output),
    fewer="Read each item once, all threads together, and add up in shared memory.",
    yes="Yes, without a race: between one thread's write and another's read all come to a barrier.",
), (
    "Between a write of one thread and a read by another there must be a barrier that both pass.",
    "One barrier after the tile is filled, and one at the end of each round of the loop, outside the if.",
))  # fmt: skip


def _transposition(rows: int, columns: int) -> LearnerLaunch:
    a, grid = numbers(rows, columns), (-(-columns // 32), -(-rows // 32))
    return LearnerLaunch(f"With {rows} × {columns} items", grid, (32, 32), (a, nothing(columns, rows)), a.T)


def _conflicts_per_request(trial: KernelTrial) -> float:
    """Extra passes over the banks for each request to shared memory; 0 where some tile is not full."""
    return 0 if trial.output.size % 32**2 else trial.conflicts / (2 * trial.output.size // WARP)


_BANKS = "right, and no sector too many, but shared memory takes {f.conflicts} extra passes over the banks. "

TRANSPOSE = Exercise("02", "no bank conflicts", by_kernel(
    lambda: [_transposition(*size) for size in ((64, 96), (32, 32), (96, 32), (40, 70))], wasteful=(
        (lambda f: _conflicts_per_request(f) > 10, _BANKS + "A column of the tile lies in one bank: 32 items "
         "further on the same bank comes round again."),
        (lambda f: _conflicts_per_request(f) > 0, _BANKS + "Rows shifted by two banks let two lanes meet: "
         "shift by one."),
    ),
    most=lambda f: math.inf if f.output.size % 32**2 else 2 * f.filled,
    fewer="Read rows and write rows: items turn in the tile, and the tile's place in out is turned, too.",
    yes="Yes. In a tile 33 wide, for one, a column lies in 32 different banks: the last item of each row is "
    "never used, and only moves the next row on by one bank.",
), (
    "Read a row of a into the tile, wait, then write a row of out from a column of the tile.",
    "The block at (x, y) of a is the block at (y, x) of out.",
    "Make the rows of the tile one item longer than you need.",
))  # fmt: skip


def _moving_sum(items: int, grid: int) -> LearnerLaunch:
    x = numbers(items + 8)
    said = f"With {items} items of out and {grid} block{'s' * (grid > 1)} of 128 threads"
    sums = numpy.convolve(x.astype(numpy.float64), numpy.ones(9), "valid").astype(numpy.float32)
    return LearnerLaunch(said, (grid,), (128,), (x, nothing(items)), sums)


MOVING_SUM = Exercise("02", "challenge: a moving sum", by_kernel(
    lambda: [_moving_sum(*launch) for launch in ((2048, 4), (1000, 2), (3, 1))],
    (lambda f: f.kind == "out of bounds", "{f.fault} x has 8 items more than out, and none behind them."),
    (lambda f: f.gives(lambda x, _: numpy.convolve(x, numpy.ones(8), "valid")[:-1]), "that is a sum of "
     "eight: with x[i] and x[i + 8] there are nine."),
    scored=True, most=lambda f: 12 * f.filled + 60,  # nine reads of each thread
    steps=lambda f: 40 * f.rounds,
    yes="Right, with {score} sectors. Nine reads of each thread move 4,494, a tile for each round of a block "
    "789, and nobody can do with less than 767, each sector of x and of out once.",
), (
    "Neighbours read eight of the same nine items. Who brings them, and where could they lie?",
    "A tile of 136 items in shared memory: 128 threads bring one each, and eight of them a second one.",
    "Two barriers in each round of the loop: one when the tile is full, one before it is filled again. Then "
    "ask what is read twice because a block's rounds lie far apart.",
))  # fmt: skip
