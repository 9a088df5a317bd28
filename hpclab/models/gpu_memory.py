"""A GPU's memory as a warp meets it: sectors, lines and banks, counted exactly from addresses.

The hardware never fetches "a float". It fetches 32-byte sectors, four to a 128-byte line, for all 32 lanes of
a warp at once; shared memory answers from 32 banks, one 4-byte word each at a time. Source: NVIDIA, CUDA C++
Programming Guide (device memory accesses; shared memory), and Nsight Compute's metrics named below.
"""

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hpclab import checks

WARP = 32  # lanes that execute one instruction together
SECTOR, LINE = 32, 128  # bytes
BANKS, WORD = 32, 4  # banks of shared memory; bytes each serves in one pass

ERRORS = ("race", "barrier", "out of bounds", "uninitialised", "limit", "endless")
COSTS = ("uncoalesced", "bank conflict", "divergence")


def sectors(addresses: Iterable[int], itemsize: int, unit: int = SECTOR) -> list[int]:
    """The numbers of the sectors (or other `unit` of bytes) that items of `itemsize` at `addresses` touch."""
    return sorted({(at + byte) // unit for at in addresses for byte in (0, itemsize - 1)})


@functools.lru_cache(maxsize=4096)  # the loops of a kernel ask the same again and again
def _turns(addresses: tuple[int, ...], itemsize: int, lanes: tuple[int, ...]) -> tuple[int, ...]:
    """Passes over the banks for each group of lanes that is served together and has an active lane."""
    words = max(1, itemsize // WORD)
    wanted = defaultdict[int, set[int]](set)
    for lane, address in zip(lanes, addresses, strict=True):
        wanted[lane * words // WARP].update(range(address // WORD, address // WORD + words))
    return tuple(max(Counter(word % BANKS for word in group).values()) for group in wanted.values())


@dataclass(frozen=True, slots=True)
class Event:
    """What one warp did with one instruction: `step` is its place in the trace, `block` and `warp` say who,
    `line` is the line of the kernel's source, counted from 1."""

    step: int
    block: tuple[int, int, int]
    warp: int
    line: int


@dataclass(frozen=True, slots=True)
class Request(Event):
    """What a warp asked of memory: one request to the hardware.

    `space` is "global", "shared" or "local", `kind` "load", "store" or "atomic"; `array` the name the kernel
    calls it by; `lanes` the active lanes in order, `addresses` the byte address each of them touches (shared
    memory counts from the block's own 0), `indices` what each of them wrote between the brackets.
    """

    space: str
    kind: str
    array: str
    itemsize: int
    lanes: tuple[int, ...]
    addresses: tuple[int, ...]
    indices: tuple[tuple[int, ...], ...]

    @property
    def sectors(self) -> int:
        """32-byte sectors moved: l1tex__t_sectors in Nsight Compute."""
        return len(sectors(self.addresses, self.itemsize))

    @property
    def lines(self) -> int:
        """128-byte lines touched."""
        return len(sectors(self.addresses, self.itemsize, LINE))

    @property
    def fewest_sectors(self) -> int:
        """The sectors that the distinct bytes asked for would fill if they lay side by side."""
        return -(-len(set(self.addresses)) * self.itemsize // SECTOR)

    @property
    def passes(self) -> int:
        """Passes over the banks that a request to shared memory takes; 0 for other memory.

        Lanes that want the same word share it; lanes that want different words of one bank take turns. Items
        of 8 bytes are served half a warp at a time, of 16 bytes a quarter.
        """
        return sum(self._turns)

    @property
    def bank_conflicts(self) -> int:
        """Passes beyond those that a conflict-free request of this size and these lanes takes."""
        return sum(self._turns) - len(self._turns)

    @property
    def _turns(self) -> tuple[int, ...]:
        return _turns(self.addresses, self.itemsize, self.lanes) if self.space == "shared" else ()

    @property
    def contention(self) -> int:
        """The most lanes on one address: an atomic serves them one after another."""
        return max(Counter(self.addresses).values(), default=0)


@dataclass(frozen=True, slots=True)
class Branch(Event):
    """A place where a warp's lanes parted: `taken` and `not_taken` are lanes; the warp walks both ways."""

    taken: tuple[int, ...]
    not_taken: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Barrier(Event):
    """A warp that came to cuda.syncthreads() with these lanes."""

    lanes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """An error (`kind` one of ERRORS) or a cost (one of COSTS), in a sentence that names the threads."""

    kind: str
    message: str
    line: int
    block: tuple[int, int, int] = (0, 0, 0)
    threads: tuple[tuple[int, int, int], ...] = ()

    @property
    def is_error(self) -> bool:
        return self.kind in ERRORS


@dataclass(frozen=True, slots=True)
class Array:
    """An array that the kernel saw: `base` is the byte address of its first item."""

    name: str
    base: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over requests, named as Nsight Compute counts them; sectors and lines of global memory alone."""

    requests: int
    sectors: int
    lines: int
    bank_conflicts: int


@dataclass(frozen=True, repr=False)
class KernelTrace:
    """All that the traced blocks of one launch did, in order; its repr is one line.

    `after` holds, by argument name, what the kernel left in its arrays; the caller's own are untouched.
    """

    kernel: str
    source: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    blocks: tuple[tuple[int, int, int], ...]
    arrays: tuple[Array, ...]
    requests: tuple[Request, ...]
    branches: tuple[Branch, ...]
    findings: tuple[Finding, ...]
    after: Mapping[str, Any] = field(default_factory=dict)
    barriers: tuple[Barrier, ...] = ()

    def __repr__(self) -> str:
        counts, found = self.counts(), ", ".join(finding.kind for finding in self.findings) or "nothing"
        launch = f"{len(self.blocks)} blocks of {math.prod(self.block)} threads"
        return (
            f"<{self.kernel}, {launch}: {counts.requests} requests, {counts.sectors} sectors, found {found}>"
        )

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.is_error)

    def select(self, **wanted: Any) -> list[Request]:
        """The requests with these values: ``select(space="global", kind="load", array="a", line=3)``."""
        for name in wanted:
            checks.choice("What requests are selected by", name, Request.__dataclass_fields__)
        return [r for r in self.requests if all(getattr(r, name) == value for name, value in wanted.items())]

    def counts(self, **wanted: Any) -> Counts:
        """The Counts of the requests that ``select(**wanted)`` returns."""
        asked = self.select(**wanted)
        off_chip = [request for request in asked if request.space == "global"]
        return Counts(
            len(asked), sum(r.sectors for r in off_chip), sum(r.lines for r in off_chip),
            sum(r.bank_conflicts for r in asked),
        )  # fmt: skip
