"""How many warps of a kernel are resident on one multiprocessor, and which limit decides it.

A multiprocessor takes whole blocks for as long as there is room for their warps, registers and shared memory.
What to notice: resources are handed out in portions, so that one register more per thread can cost a quarter
of the warps; and full occupancy is not the aim, enough bytes under way is (see roofline.py). Source: NVIDIA,
cuda_occupancy.h, and the CUDA Programming Guide's table of compute capabilities. Valid from 7.0 on, with all
the shared memory asked for given to the kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hpclab import checks
from hpclab.machine import catalogue
from hpclab.models.gpu_memory import WARP

PARTITIONS = 4  # of a multiprocessor: each has a quarter of the registers, and a warp lives in one of them
REGISTER_UNIT = 256  # registers are handed to a warp in multiples of this
MOST_REGISTERS = 255  # a thread can name no more
MOST_THREADS = 1024  # of a block


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many `blocks` and `warps` are resident on a multiprocessor that can hold `most` warps; `fit` has,
    for "warps", "blocks", "registers" and "shared memory", the blocks that it alone would let in."""

    blocks: int
    warps: int
    most: int
    fit: Mapping[str, int]

    @property
    def share(self) -> float:
        """Resident warps over the most there can be, 0 to 1."""
        return self.warps / self.most

    @property
    def limits(self) -> tuple[str, ...]:
        """The resources of `fit` that allow no more blocks than are resident."""
        return tuple(name for name, blocks in self.fit.items() if blocks == self.blocks)


def occupancy(
    compute_capability: str | float, threads: int, registers: int = 32, shared_memory: int = 0
) -> Occupancy:
    """Occupancy of blocks of `threads` threads with `registers` each and `shared_memory` bytes a block.

    ValueError for a compute capability, such as "9.0", that is not known, and for a block that cannot be
    launched at all: more than 1,024 threads, or more registers or shared memory than a block may have.
    """
    known, name = catalogue.entries("compute_capability"), str(compute_capability)
    figures = known[checks.choice("The compute capability", name, known)].figures
    of_one = {what: int(figure.value) for what, figure in figures.items()}
    threads = checks.integer("threads per block", threads, 1, MOST_THREADS)
    registers = checks.integer("registers per thread", registers, 1, MOST_REGISTERS)
    most = of_one["shared_memory_per_block"]
    shared_memory = checks.integer("shared_memory per block", shared_memory, 0, most, "bytes")
    warps = -(-threads // WARP)
    of_warp = _up(registers * WARP, REGISTER_UNIT)
    if of_warp * _up(warps, PARTITIONS) > of_one["registers"]:
        fewer = of_one["registers"] // _up(warps, PARTITIONS) // REGISTER_UNIT * REGISTER_UNIT // WARP
        raise ValueError(
            f"A block of {threads} threads with {registers} registers each does not fit into the "
            f"{of_one['registers']} registers of a multiprocessor: at most {fewer} registers, or fewer "
            "threads."
        )
    # The driver takes some of each block's shared memory, and hands it out in multiples.
    of_block = _up(shared_memory + of_one.get("shared_memory_reserved", 0), of_one["shared_memory_unit"])
    fit = {
        "warps": of_one["warps"] // warps,
        "blocks": of_one["blocks"],
        # a warp's registers are all in one partition: what is left over in each of the four is lost
        "registers": of_one["registers"] // PARTITIONS // of_warp * PARTITIONS // warps,
        "shared memory": of_one["shared_memory"] // of_block if of_block else of_one["blocks"],
    }
    blocks = min(fit.values())
    return Occupancy(blocks, blocks * warps, of_one["warps"], fit)


def _up(amount: int, unit: int) -> int:
    return -(-amount // unit) * unit
