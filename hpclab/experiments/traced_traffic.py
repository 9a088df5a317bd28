"""What a ladder's step asks of the last cache for each byte that its problem needs, counted by the tracer.

Every store goes on to the last cache, sector by sector; a load does not if its block has loaded that sector
before, which holds where a block's sectors fit into the multiprocessor's own cache.
"""

import math
from dataclasses import replace

import numpy

from hpclab.experiments.kernel_ladder import largest_shape, work_of
from hpclab.kernels import tracer
from hpclab.kernels.ladder import LADDERS
from hpclab.kernels.step import Variant
from hpclab.models.gpu_memory import SECTOR, KernelTrace
from hpclab.models.gpu_memory import sectors as sectors_of
from hpclab.models.roofline import Work

BYTES = 2**13  # of the problems that are traced: some blocks of everything
# No block reads what another does, so that a small problem says it of a large one.
STREAMING = ("vector add", "reduction", "transpose", "softmax")


def sectors() -> dict[str, float]:
    """For "ladder, step" of the STREAMING ladders the bytes in sectors over those that the problem needs."""
    steps = [step for name in STREAMING for step in LADDERS[name]]
    return {f"{step.problem.name}, {step.name}": factor(step) for step in steps}


def factor(step: Variant) -> float:
    """Bytes in sectors over those needed, for one step on the largest shape that needs at most BYTES."""
    shape = largest_shape(step.problem, BYTES, 2**24)
    arrays = step.problem.make(shape, numpy.random.default_rng(0))
    grid, block = step.grid_block(shape)
    return moved(tracer.trace(step.kernel, grid, block, *arrays)) / step.problem.bytes(shape)


def moved(trace: KernelTrace) -> int:
    """Bytes in sectors between the multiprocessors and the last cache."""
    requests = trace.select(space="global")
    stored = sum(request.sectors for request in requests if request.kind != "load")
    loaded = {
        (request.block, int(sector)) for request in requests if request.kind == "load"
        for sector in sectors_of(request.addresses, request.itemsize)
    }  # fmt: skip
    return SECTOR * (stored + len(loaded))


def demands(step: Variant, shape: tuple[int, ...]) -> tuple[Work, float]:
    """What a transposition or a product asks for on `shape`: its Work with the bytes in sectors, and passes:
    lines of 128 bytes, and turns of the banks, that multiprocessors' own memories serve.

    One block is traced on a small shape. A large one has more blocks, and where its inner extent is longer
    they go round their loop more often: all but the stores is done in each round.
    """
    small = (128,) * len(shape)
    grid, block = step.grid_block(small)
    arrays = step.problem.make(small, numpy.random.default_rng(0))
    trace = tracer.trace(step.kernel, grid, block, *arrays, blocks=[(0,) * len(grid)])
    blocks = math.prod(step.grid_block(shape)[0])
    rounds = math.prod(shape) / math.prod(small) * math.prod(grid) / blocks
    banks, out = trace.counts(space="shared"), trace.counts(space="global", kind="store")
    read = trace.counts(space="global", kind="load")
    passes = blocks * (out.lines + rounds * (read.lines + banks.requests + banks.bank_conflicts))
    stored = SECTOR * out.sectors
    through = blocks * (stored + rounds * (moved(trace) - stored))
    return replace(work_of(step, shape), cache_bytes=through), passes
