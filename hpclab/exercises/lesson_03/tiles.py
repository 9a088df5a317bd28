"""Tiles of a matrix product in exercises: what they need of a multiprocessor, and what they save."""

from types import SimpleNamespace

from hpclab.exercises import judges
from hpclab.models.device import from_catalogue
from hpclab.models.gpu_memory import WARP
from hpclab.models.occupancy import MOST_REGISTERS, MOST_THREADS, occupancy

N = 4096  # rows and columns of the challenge's matrices
OURS = 64  # readings by the course's `register_blocked`, whose tile is 128 × 128
_MOST_SHARED = 48 * 1024


def _facts(rows: int, columns: int, depth: int, high: int, wide: int) -> SimpleNamespace:
    """Of a block that makes rows × columns sums in slices of `depth`, high × wide of them a thread."""
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
    given = judges.named(answer, tile=N, depth=N, per_thread=N)
    return _facts(given.tile, given.tile, given.depth, given.per_thread, given.per_thread)


def _rectangle(answer: object) -> SimpleNamespace:
    given = judges.named(answer, rows=N, columns=N, high=N, wide=N)
    return _facts(given.rows, given.columns, 8, given.high, given.wide)


at_the_roof = judges.by_facts(
    _square, (
        *_SHARED_OUT,
        (lambda f: f.intensity < f.ridge, "A tile of {f.rows} does {f.intensity:g} operations a byte. The "
         "achievable ridge lies at {f.ridge:.4g}, so memory still decides: the tile must be larger."),
        *_RESIDENT,
    ),
    yes="{f.intensity:g} operations a byte, right of the achievable ridge at {f.ridge:.4g}; {f.threads} "
    "threads with {f.registers} registers, {f.kib} KiB, {f.found.warps} of {f.found.most} warps. One thread "
    "a sum could never do it: 1,024 threads are a tile of 32, and that is 8 operations a byte.",
)  # fmt: skip

_READ = (
    "A is read {f.of_a} times, once for each column of blocks, and B {f.of_b} times, with {f.registers} "
    "registers a thread and {f.found.warps} warps. "
)
fewest_readings = judges.by_facts(
    _rectangle, (
        *_SHARED_OUT, *_RESIDENT,
        (lambda f: f.readings >= OURS, _READ + f"Those are {{f.readings}} readings, and ours does with "
         f"{OURS}: larger blocks."),
    ),
    yes=_READ + f"Ours needs {OURS} readings.", score=("readings", "readings"),
)  # fmt: skip
"""The challenge: how often a product of N × N matrices reads them through the last cache."""
