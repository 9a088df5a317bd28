"""Lesson 02 in shared memory: a barrier in the right place, and a tile without bank conflicts.

hpclab.exercises.lesson_02.BLOCK_SUMS, .TRANSPOSE
"""

from __future__ import annotations

import numpy

from hpclab.exercises import Exercise, Verdict, kernel_trials
from hpclab.exercises.kernel_trials import Launch, Trial, nothing, numbers
from hpclab.models.gpu_memory import SECTOR, WARP

THREADS = 128  # in each block of the sums
TILE = 32  # threads along each side of a block of the transposition

_ADVICE = {
    "barrier": "A barrier belongs where all threads of the block pass, not inside an if that some skip.",
    "race": "Between a write and another thread's read belongs a barrier. The simulator gets by without; a "
    "GPU is wrong now and then.",
    "uninitialised": "A thread beyond the last item must put 0 into the tile.",
}


def _block_sums() -> list[Launch]:
    launches = []
    for items in (512, 128, 300, 1):
        x, starts = numbers(items), range(0, items, THREADS)
        sums = numpy.add.reduceat(x.astype(numpy.float64), starts).astype(numpy.float32)
        said = f"With {items} item{'s' * (items > 1)} in blocks of {THREADS} threads"
        launches.append(Launch(said, (len(starts),), (THREADS,), (x, nothing(len(starts))), sums))
    return launches


def _judge_block_sums(answer: object) -> Verdict:
    trials = kernel_trials.run(answer, _block_sums())
    wrong = next(filter(None, map(_wrong_sum, trials)), "")
    right = (
        "Yes, and without a race: what one thread writes, another reads only after a barrier, and every "
        "thread of the block comes to each of them."
    )
    return Verdict(not wrong, wrong or right)


def _wrong_sum(trial: Trial) -> str:
    if wrong := kernel_trials.fault(trial):
        kind = trial.errors[0][0] if trial.errors else ""
        return f"{wrong} {_ADVICE.get(kind, '')}".rstrip()
    few = -(-len(trial.launch.arrays[0]) * 4 // SECTOR) + 2 * len(trial.output)
    if trial.sectors > few:
        return (
            f"{trial.launch.said}: the sums are right, but {trial.sectors} sectors move, and {few} are "
            "plenty. Read each item once, all threads together, and add up in shared memory."
        )
    return ""


BLOCK_SUMS = Exercise(
    "a barrier in the right place",
    "Write block_sums(x, sums): each block of 128 threads adds its 128 items of x (the last block may have "
    "fewer) in shared memory, and one thread writes sums[block].",
    _judge_block_sums,
    (
        "Between a write of one thread and a read by another there must be a barrier that both pass.",
        "One barrier after the tile is filled, and one at the end of each round of the loop, outside the if.",
    ),
)


def _transposes() -> list[Launch]:
    launches = []
    for rows, columns in ((64, 96), (32, 32), (96, 32), (40, 70)):
        a, grid = numbers(rows, columns), (-(-columns // TILE), -(-rows // TILE))
        said = f"With {rows} × {columns} items"
        launches.append(Launch(said, grid, (TILE, TILE), (a, nothing(columns, rows)), a.T))
    return launches


def _judge_transpose(answer: object) -> Verdict:
    trials = kernel_trials.run(answer, _transposes())
    whole = [trial for trial in trials if trial.output.size % TILE**2 == 0]  # rows that fill their sectors
    wrong = next(filter(None, [*map(kernel_trials.fault, trials), *map(_dear, whole)]), "")
    right = (
        "Yes: a column of a tile 33 wide lies in 32 different banks. The last item of each row is never "
        "used; it only moves the next row on by one bank."
    )
    return Verdict(not wrong, wrong or right)


def _dear(trial: Trial) -> str:
    few, requests = 2 * trial.output.size * 4 // SECTOR, 2 * trial.output.size // WARP
    if trial.sectors > few:
        return (
            f"{trial.launch.said}: right, but {trial.sectors} sectors move where {few} would do. Read rows "
            "and write rows: the turn happens in the tile, and the tile's place in out is turned, too."
        )
    if not trial.conflicts:
        return ""
    why = "By two items, a row is shifted by two banks, and two lanes still meet in each: shift by one."
    if trial.conflicts > 10 * requests:
        why = "A column of the tile lies in one bank: 32 items further on, the same bank comes round again."
    return (
        f"{trial.launch.said}: right, and no sector too many, but {requests} requests to shared memory take "
        f"{trial.conflicts} extra passes over the banks. {why}"
    )


TRANSPOSE = Exercise(
    "no bank conflicts",
    "Write transpose(a, out), out[j, i] = a[i, j], for blocks of 32 × 32 threads, with as few sectors as can "
    "be and without a bank conflict.",
    _judge_transpose,
    (
        "Read a row of a into the tile, wait, then write a row of out from a column of the tile.",
        "The block at (x, y) of a is the block at (y, x) of out.",
        "Make the rows of the tile one item longer than you need.",
    ),
)
