"""Lesson 02: kernels that reach every item and no other, move few sectors, and do not race.

A kernel is judged by what the tracer saw it do on launches that are not in the notebook: the numbers it left,
what it did wrong, the sectors it moved and, in `shared_tiles`, the banks it fought over.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy

from hpclab import checks
from hpclab.exercises import Exercise, Verdict, kernel_trials, limits
from hpclab.exercises.kernel_trials import Launch, Trial, nothing, numbers
from hpclab.exercises.shared_tiles import BLOCK_SUMS, TRANSPOSE
from hpclab.models import gpu_memory
from hpclab.models.gpu_memory import LINE, SECTOR, WARP

__all__ = ["BLOCK_SUMS", "DIFFERENCE", "FEW_SECTORS", "SECTORS", "TRANSPOSE"]
THREADS = 64  # in each block of the launches here


# 1. Count sectors

_READS = ((1, 4), (2, 4), (3, 4), (8, 4), (32, 4), (1, 8), (3, 8), (1, 1), (12, 1), (2, 2), (0, 4))


def _sectors(stride: int, itemsize: int) -> int:
    return len(gpu_memory.sectors([stride * itemsize * lane for lane in range(WARP)], itemsize))


_SECTOR_MISTAKES: tuple[tuple[Callable[[int, int], float], str], ...] = (
    (
        lambda s, i: len({s * i * lane // LINE for lane in range(WARP)}),
        "You counted lines of 128 bytes; memory moves in sectors of 32, four to a line.",
    ),
    (
        lambda s, i: WARP * i // SECTOR,
        "You counted the bytes asked for. What counts is where they lie: how many sectors hold them?",
    ),
    (
        lambda s, i: min(WARP, 4 * s),
        "That is right for items of 4 bytes only. A sector holds 32 bytes, whatever the items are.",
    ),
    (
        lambda s, i: s * i,
        "With a large stride that is more than 32, but 32 lanes cannot touch more than 32 sectors.",
    ),
    (
        lambda s, i: min(WARP, s * i),
        "Nearly. But with a stride of 0 all lanes read one item, and that item must come, too.",
    ),
    (lambda s, i: WARP, "A sector for each lane is the worst case: neighbours in one sector share it."),
    (lambda s, i: 1, "One request is not one sector: 32 items of 4 bytes fill four of them."),
)


def _judge_sectors(answer: object) -> Verdict:
    values = limits.call_each(answer, _READS)  # type: ignore[arg-type]
    if None in values:
        return Verdict(False, "Your function returns nothing: is the return missing?")
    given = [checks.number("The number of sectors", value, -1e9, 1e9) for value in values]
    right = [_sectors(*read) for read in _READS]
    if given == right:
        return Verdict(
            True,
            "Yes: from a stride of 8 floats on, every lane has a sector of its own, and seven eighths of "
            "what moves is for nothing. Beyond that a larger stride moves no more.",
        )
    for formula, hint in _SECTOR_MISTAKES:
        if given == [formula(*read) for read in _READS]:
            return Verdict(False, hint)
    place = next(n for n, pair in enumerate(zip(given, right, strict=True)) if pair[0] != pair[1])
    stride, itemsize = _READS[place]
    return Verdict(
        False,
        f"For a stride of {stride} items of {itemsize} bytes you say {given[place]:g} "
        f"sector{'s' * (given[place] != 1)}. Write down "
        "the byte at which lane 0, 1, 2 ... begins, divide each by 32, and count the different results.",
    )


SECTORS = Exercise(
    "count the sectors",
    "Write sectors(stride, itemsize): how many sectors of 32 bytes a warp moves when lane k reads "
    "x[stride * k], for items of `itemsize` bytes (1, 2, 4 or 8) in an array that begins at a sector.",
    _judge_sectors,
    (
        "Lane k begins to read at byte stride * itemsize * k. In which sector is that?",
        "The sector is that byte // 32. Count the different ones: a set does that.",
    ),
)


# 2. Nobody outside


def _differences() -> list[Launch]:
    launches = []
    for items in (100, 64, 65, 2, 257):
        x, grid = numbers(items), -(-items // THREADS) + 1
        said = f"With {items} items and {grid * THREADS} threads"
        launches.append(Launch(said, (grid,), (THREADS,), (x, nothing(items - 1)), numpy.diff(x)))
    return launches


def _judge_difference(answer: object) -> Verdict:
    trials = kernel_trials.run(answer, _differences())
    wrong = next(filter(None, map(_out_of_place, trials)), "")
    return Verdict(not wrong, wrong or "Yes: every difference is there, and the threads too many do nothing.")


def _out_of_place(trial: Trial) -> str:
    items, said = len(trial.output), trial.launch.said
    if not trial.errors and trial.lanes > 1 and trial.apart == 0:
        return (
            f"{said}: every thread goes through all the items, and does again what the others did. "
            "cuda.grid(1) takes the place of the loop's counter."
        )
    missing = numpy.flatnonzero(numpy.isnan(trial.output)).tolist()
    if not trial.errors and missing == [items - 1]:
        return (
            f"{said}: the last item of out is never written. There are as many differences as out has items, "
            "and the last of them needs the last item of x."
        )
    if not trial.errors and missing == list(range(THREADS, items)) != []:
        return (
            f"{said}: only the first {THREADS} items are written. threadIdx.x begins at 0 in every block; "
            "cuda.grid(1) counts on through all of them."
        )
    wrong = kernel_trials.fault(trial)
    if [(kind, threads) for kind, _, threads in trial.errors[:1]] == [("out of bounds", 1)]:
        return f"{wrong} It reads x one item beyond its own: ask whether that one is there."
    return wrong


DIFFERENCE = Exercise(
    "nobody outside",
    "Write difference(x, out), out[i] = x[i + 1] - x[i]. out has one item fewer than x, and there are more "
    "threads than items.",
    _judge_difference,
    (
        "Which is the last i for which both x[i + 1] and out[i] are there?",
        "i < out.size says it, and so does i + 1 < x.size.",
    ),
)


# 3. Fewer sectors


def _scalings(*sizes: tuple[int, int]) -> list[Launch]:
    launches = []
    for items, grid in sizes:
        x, y = numbers(items), numbers(items, seed=7)
        said = f"With {items} items and {grid} block{'s' * (grid > 1)} of {THREADS} threads"
        launches.append(Launch(said, (grid,), (THREADS,), (numpy.float32(3), x, y), 3 * x + y))
    return launches


def _judge_few_sectors(answer: object) -> Verdict:
    # Few items first: a loop that walks over most of them is seen before it takes too long.
    trials = kernel_trials.run(answer, _scalings((129, 1), (40, 2)))
    if not any(map(_not_once_each, trials)):
        trials += kernel_trials.run(answer, _scalings((1024, 2), (1000, 2), (4096, 4)))
    wrong = next(filter(None, [*map(_not_once_each, trials), *map(_too_many, trials)]), "")
    right = "Yes: every sector moves once, and each round of a warp's loop takes whole ones."
    return Verdict(not wrong, wrong or right)


def _not_once_each(trial: Trial) -> str:
    _, x, y = trial.launch.arrays
    times, threads = numpy.round((trial.output - y) / (3 * x)), trial.launch.grid[0] * THREADS
    if len(times) > threads and (times[:threads] == 1).all() and not times[threads:].any():
        return (
            f"{trial.launch.said}: items from {threads} on are left as they were. There are fewer threads "
            "than items, so each thread needs a loop."
        )
    overwritten = "y is overwritten, and what it held is gone: add to it."
    for mistake, said in (
        (3 * x, overwritten),
        (3 * y + x, "the factor belongs to x, not to y."),
        (x + y, "the factor is missing."),
    ):
        if not trial.errors and numpy.allclose(trial.output, mistake, rtol=1e-4):
            return f"{trial.launch.said}: {said}"
    if (times > 1).any():
        return (
            f"{trial.launch.said}: several threads work on one item. The loop begins at cuda.grid(1), and "
            "its stride is the number of all threads of the grid, cuda.gridsize(1)."
        )
    return kernel_trials.fault(trial)


def _too_many(trial: Trial) -> str:
    target = 3 * -(-len(trial.output) * 4 // SECTOR)
    if trial.sectors <= target:
        return ""
    why = "Neighbours read neighbours, but something is read or written more often than once."
    if trial.lanes == 1:
        why = "Only one lane of a warp asks at a time: let all threads work."
    elif trial.apart > 1:
        why = (
            f"Neighbouring threads are {trial.apart} items apart: each goes through a stretch of its own, as "
            "on a CPU. What a warp reads in one moment should lie side by side."
        )
    return f"{trial.launch.said}: {trial.sectors} sectors move, and {target} would do. {why}"


FEW_SECTORS = Exercise(
    "fewer sectors",
    "Write scale_add(factor, x, y), y[i] += factor * x[i] for every i, for a grid with fewer threads than "
    "items, so that for n items at most 3 * ceil(n / 8) sectors move.",
    _judge_few_sectors,
    (
        "In one moment, the 32 lanes of a warp should be at 32 neighbouring items.",
        "Begin at cuda.grid(1), and go on by the number of all threads in the grid, cuda.gridsize(1).",
    ),
)
