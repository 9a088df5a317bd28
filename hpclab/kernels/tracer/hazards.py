"""Races: two threads on one item, at least one of them writing, and nothing that says who comes first.

Accesses between two `cuda.syncthreads()` form an epoch; only the barrier orders threads of a block, only
`cuda.syncwarp()` those of a warp, and nothing the blocks of a launch. Atomics do not race with atomics. Plain
stores of equal values are let pass: whoever comes last, the same is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer.findings import Findings
from hpclab.kernels.tracer.lanes import Dim3
from hpclab.kernels.tracer.memory import Access, Memory
from hpclab.models.gpu_memory import WARP

_WINDOW = 1024  # accesses of one item that are compared with one another
_KINDS = {"load": 0, "store": 1, "atomic": 2}
Spot = tuple[Access, int]  # an access and the place of one of its lanes


def within_block(accesses: Sequence[Access], block: Dim3, findings: Findings) -> None:
    """Races among the accesses of one epoch of one block."""
    for memory in {id(access.memory): access.memory for access in accesses}.values():
        of_memory = [access for access in accesses if access.memory is memory]
        for first, second in _unordered(memory, of_memory, lambda access: access.mask.lanes):
            _report(first, second, (block, block), findings)


def between_blocks(accesses: Sequence[Access], blocks: Sequence[Dim3], findings: Findings) -> None:
    """Races between the traced blocks of the launch: no barrier holds there at all."""
    for memory in {id(access.memory): access.memory for access in accesses}.values():
        of_memory = [access for access in accesses if access.memory is memory]
        for first, second in _unordered(
            memory, of_memory, lambda a: numpy.full(len(a.cells), a.block), False
        ):
            _report(first, second, (blocks[first[0].block], blocks[second[0].block]), findings)


def _unordered(
    memory: Memory,
    accesses: Sequence[Access],
    actor: Callable[[Access], NDArray[numpy.int64]],
    warps_count: bool = True,
) -> Iterator[tuple[Spot, Spot]]:
    """Pairs of accesses to one cell by two actors, at least one a write, in no order; one per two lines."""
    if all(access.kind == "load" for access in accesses):
        return
    sizes = [len(access.cells) for access in accesses]
    cells = numpy.concatenate([access.cells for access in accesses])
    who = numpy.concatenate([actor(access) for access in accesses])
    kind = numpy.repeat([_KINDS[access.kind] for access in accesses], sizes)
    chosen = numpy.flatnonzero(_contested(len(memory.data), cells, who, kind))
    if not len(chosen):
        return
    chosen = chosen[numpy.argsort(cells[chosen], kind="stable")]
    number = numpy.repeat(numpy.arange(len(accesses)), sizes)
    begin = numpy.concatenate([[0], numpy.cumsum(sizes)])
    lane = numpy.concatenate([access.mask.lanes for access in accesses])
    epoch = numpy.concatenate([access.warp_epochs[access.mask.lanes // WARP] for access in accesses])
    value = numpy.concatenate(
        [memory.data[access.cells] if access.values is None else access.values for access in accesses]
    )
    seen = set()
    for apart in range(1, min(len(chosen), _WINDOW)):
        one, two = chosen[:-apart], chosen[apart:]
        same = cells[one] == cells[two]
        if not same.any():
            return
        one, two = one[same], two[same]
        clash = (who[one] != who[two]) & (kind[one] + kind[two] > 0)
        clash &= ~((kind[one] == 2) & (kind[two] == 2))
        clash &= ~((kind[one] == 1) & (kind[two] == 1) & (value[one] == value[two]))
        if warps_count:
            clash &= ~((lane[one] // WARP == lane[two] // WARP) & (epoch[one] != epoch[two]))
        pairs = number[one[clash]] * len(accesses) + number[two[clash]]
        for place in numpy.unique(pairs, return_index=True)[1]:
            first, second = int(one[clash][place]), int(two[clash][place])
            spots = tuple((accesses[n], int(at - begin[n])) for at in (first, second) for n in [number[at]])
            if (key := (spots[0][0].line, spots[1][0].line)) not in seen:
                seen.add(key)
                yield spots[0], spots[1]


def _contested(
    size: int, cells: NDArray[numpy.int64], who: NDArray[numpy.int64], kind: NDArray[numpy.int64]
) -> NDArray[numpy.bool_]:
    """Which accesses go to cells that several actors touch, one writes, and not all atomically."""
    owner = numpy.empty(size, numpy.int64)
    owner[cells] = who
    shared, written, plain = (numpy.zeros(size, bool) for _ in range(3))
    shared[cells[owner[cells] != who]] = True
    written[cells[kind > 0]] = True
    plain[cells[kind < 2]] = True
    return (shared & written & plain)[cells]


def _report(first: Spot, second: Spot, blocks: tuple[Dim3, Dim3], findings: Findings) -> None:
    (one, one_place), (two, two_place) = first, second
    who = int(one.mask.lanes[one_place]), int(two.mask.lanes[two_place])
    index = ", ".join(map(str, two.memory.indices(two.cells[two_place : two_place + 1])[0]))
    item = f"{two.memory.name}[{index}]"
    verbs = [{"load": "reads", "store": "writes", "atomic": "updates"}[access.kind] for access in (one, two)]
    names = [findings.thread(number, block) for number, block in zip(who, blocks, strict=True)]
    there = "here" if one.line == two.line else f"in line {one.line}"
    fix = "put cuda.syncthreads() between the two"
    if one.line == two.line:
        fix = "use an atomic, or give each thread an item of its own"
    elif blocks[0] != blocks[1]:
        fix = "no barrier spans blocks, so use an atomic or a second kernel"
    text = f"{names[0].capitalize()} {verbs[0]} {item} {there} and {names[1]} {verbs[1]} it here"
    threads = who if blocks[0] == blocks[1] else who[1:]
    findings.add("race", two.line, f"{text}, in no fixed order: {fix}.", blocks[1], threads)
