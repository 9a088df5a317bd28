"""Lesson 03: what bounds a kernel, what to change first, a tile that reaches the roof, and bytes saved.

Two of the exercises are paper and pencil and stand in `bottlenecks`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy

from hpclab import checks
from hpclab.exercises import Exercise, Verdict, kernel_trials
from hpclab.exercises.bottlenecks import CHANGE_FIRST, CHANGES, KERNELS, PREDICT, PROFILES
from hpclab.exercises.kernel_trials import Launch, Trial, nothing, numbers
from hpclab.models.device import from_catalogue
from hpclab.models.gpu_memory import SECTOR, WARP
from hpclab.models.occupancy import MOST_REGISTERS, MOST_THREADS, occupancy

__all__ = ["CHANGES", "CHANGE_FIRST", "FUSE", "KERNELS", "PREDICT", "PROFILES", "TILE"]


# A tile that reaches the roof

_SHARED = 48 * 1024  # bytes that a block may declare, as Numba's cuda.shared.array does
_WARPS = 16  # resident, so that some compute while others wait


def _tile(answer: object) -> Verdict:
    names = ("tile", "depth", "per_thread")
    if not isinstance(answer, Mapping) or set(answer) != set(names):
        return Verdict(False, f"The answer is a dict with {', '.join(names)}.")
    tile, depth, per = (checks.integer(name, answer[name], 1, 4096) for name in names)
    device = from_catalogue("h100-80gb")
    ridge, intensity, threads = device.roof("fp32").ridge, tile / 4, (tile // per) ** 2
    registers, shared = per * per + 2 * per + 24, 2 * 4 * tile * depth
    if tile % per:
        return Verdict(False, f"{tile} rows cannot be shared out among threads of {per} rows each.")
    if intensity < ridge:
        return Verdict(
            False,
            f"A tile of {tile} does {intensity:g} operations a byte: each number fetched serves {tile} "
            f"products. The ridge lies at {ridge:.4g}, so memory still decides. The tile must be larger.",
        )
    if threads > MOST_THREADS:
        return Verdict(
            False,
            f"That is a block of {tile // per} × {tile // per} = {threads} threads; {MOST_THREADS} are "
            "the most. Let each thread make more of the sums.",
        )
    if threads % WARP:
        return Verdict(
            False, f"{threads} threads are no whole number of warps: the last warp's lanes would idle."
        )
    if registers > MOST_REGISTERS:
        return Verdict(
            False,
            f"{per} × {per} sums and what goes with them are {registers} registers; a thread has at most "
            f"{MOST_REGISTERS}. The rest would go to memory and back: it spills.",
        )
    if shared > _SHARED:
        return Verdict(
            False,
            f"Two slices of {tile} × {depth} float32 are {shared // 1024} KiB; a block has 48 KiB. The "
            "depth does not change how often a number is used: make the tiles shallower.",
        )
    if depth % 8:
        return Verdict(
            False,
            f"A row of the tile of A is {4 * depth} bytes, and memory moves sectors of "
            f"{SECTOR}. Part of each sector is moved for nothing: take a multiple of 8.",
        )
    try:
        found = occupancy(device.compute_capability, threads, registers, shared)
    except ValueError:
        return Verdict(
            False,
            f"{threads} threads with {registers} registers each want {threads * registers} registers; a "
            "multiprocessor has 65536, so that not even one block can start.",
        )
    if found.warps < _WARPS:
        return Verdict(
            False,
            f"Only {found.warps} of {found.most} warps are resident, for want of {found.limits[0]}. "
            f"At least {_WARPS} are needed, so that some compute while others wait.",
        )
    return Verdict(
        True,
        f"{intensity:g} operations a byte, right of the ridge at {ridge:.3g}; {threads} threads with "
        f"{registers} registers, {shared // 1024} KiB, {found.warps} of {found.most} warps. One thread a sum "
        "could never do it: 1,024 threads are a tile of 32, and that is 8 operations a byte.",
    )


TILE = Exercise(
    "a tile that reaches the roof",
    "A block makes tile × tile sums of a float32 matrix product on an H100, from slices of A and B that are "
    "`depth` wide; a thread makes per_thread × per_thread of them. Choose tile, depth and per_thread so that "
    "the product stands right of the ridge, fits, and keeps 16 warps resident.",
    _tile,
    (
        "Operations per byte: each slice brings 2 · tile · depth numbers for 2 · tile² · depth operations.",
        "That is tile / 4, whatever the depth. Threads: (tile / per_thread)², at most 1,024.",
        "Try a tile of 128. How many sums must a thread make, and how many registers does that take?",
    ),
)


# Three kernels into one

_TARGET = 4  # sectors for 8 items: x, residual and out once each, and the bias as if no cache had kept it


def _tails() -> list[Launch]:
    launches = []
    for rows, columns in ((32, 64), (19, 96), (40, 33), (8, 70)):
        x, residual = numbers(rows, columns) - 1.5, numbers(rows, columns, seed=1) - 1.5
        bias = numbers(columns, seed=2) - 1.5
        grid, arrays = (-(-columns // 32), -(-rows // 8)), (x, bias, residual, nothing(rows, columns))
        expected = numpy.maximum(x + bias, 0) + residual
        launches.append(Launch(f"With {rows} × {columns} items", grid, (32, 8), arrays, expected))
    return launches


def _fuse(answer: object) -> Verdict:
    trials = kernel_trials.run(answer, _tails())
    whole = [trial for trial in trials if trial.output.shape[1] % 32 == 0]  # rows of whole sectors
    wrong = next(filter(None, [*map(_wrong, trials), *map(_dear, whole)]), "")
    return Verdict(
        not wrong,
        wrong
        or "Yes: 4 sectors for 8 items where three kernels need 8. At the memory roof that is twice as "
        "fast, with the same operations, and two launches are gone. Compilers such as torch.compile do just "
        "this.",
    )


def _wrong(trial: Trial) -> str:
    x, bias, residual, _ = trial.launch.arrays
    mistakes = (
        (numpy.maximum(x + bias + residual, 0), "the residual is added after the ReLU, not cut off with it."),
        (numpy.maximum(x, 0) + residual, "the bias is missing."),
        (numpy.maximum(x, 0) + bias + residual, "the bias is added before the ReLU."),
        (x + bias + residual, "nothing is cut off at 0: the ReLU is missing."),
        (numpy.maximum(x + bias, 0), "the residual is missing."),
    )
    for mistake, said in mistakes:
        if not trial.errors and numpy.allclose(trial.output, mistake, rtol=1e-4):
            return f"{trial.launch.said}: {said}"
    return kernel_trials.fault(trial)


def _dear(trial: Trial) -> str:
    most = _TARGET * trial.output.size * 4 // SECTOR
    if trial.sectors <= most:
        return ""
    why = (
        "Something is read or written more often than once: keep what is in between in a variable of the "
        "thread, not in an array."
    )
    if trial.lanes == 1:
        why = "Only one lane of a warp asks at a time: let each thread do an item."
    elif trial.apart >= trial.output.shape[1]:
        why = "Neighbouring threads are a whole row apart: the last index follows cuda.threadIdx.x."
    return f"{trial.launch.said}: right, but {trial.sectors} sectors move, and {most} would do. {why}"


FUSE = Exercise(
    "three kernels into one",
    "Write tail(x, bias, residual, out), out = max(x + bias, 0) + residual, for blocks of 32 × 8 threads, "
    "one thread an item, so that for n items at most n / 2 sectors move: half of what three kernels take.",
    _fuse,
    (
        "column, row = cuda.grid(2): the last index follows x. Guard both.",
        "A variable of a thread lives in a register. Nothing in between needs to go to an array.",
    ),
)
