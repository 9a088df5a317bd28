"""What a trace shows to be wrong or costly, once per line of source and kind, with the first threads of it.

A race is two threads on one item, at least one of them writing, and nothing that says who comes first.
Accesses between two `cuda.syncthreads()` form an epoch; only the barrier orders threads of a block, only
`cuda.syncwarp()` those of a warp. Between blocks there is one way: one writes, passes cuda.threadfence() and
then an atomic; another comes to an atomic later. Atomics do not race with atomics, nor plain stores of equal
values: whoever comes last, the same is there.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy
from numpy.typing import NDArray

from hpclab.kernels.tracer.lanes import Dim3, Threads
from hpclab.kernels.tracer.recorder import Access, Recorder
from hpclab.models.gpu_memory import COSTS, ERRORS, WARP, Finding, Request

_PLURAL = {"is": "are", "never reaches": "never reach"}  # others lose their s
_SHOWN = 32  # threads that a Finding carries; more than a warp helps nobody

# A stencil's neighbour (5 sectors for 4) and rows of awkward length are let pass; stride 2 (8 for 4) is not.
SECTORS_RATIO, SECTORS_MORE = 1.75, 2.0
CONFLICTS = 1.0  # extra passes per request, on average: two lanes for each bank
DIVERGENCE = 0.1  # of all operations of all warps
_WINDOW = 1024  # accesses of one item that are compared with one another
KINDS = ("load", "store", "atomic")
_LOAD, _STORE, _ATOMIC = range(3)  # places in KINDS
_LINES = 1 << 20  # more than any source has


class Findings:
    """Collects Findings; the first of each kind on each line stays."""

    def __init__(self, threads: Threads, grid: Dim3) -> None:
        self.threads, self.grid = threads, grid
        self._found: dict[tuple[str, int], Finding] = {}

    def has(self, kind: str, line: int) -> bool:
        return (kind, line) in self._found

    def add(
        self, kind: str, line: int, message: str, block: Dim3 = (0, 0, 0), who: Sequence[int] = ()
    ) -> None:
        """Add a Finding, the first of its `kind` on `line` only; `who` are numbers of threads in `block`."""
        if not self.has(kind, line):
            threads = tuple(self.threads.index(int(number)) for number in who[:_SHOWN])
            self._found[kind, line] = Finding(kind, message, line, block, threads)

    def add_about(self, kind: str, line: int, block: Dim3, who: Sequence[int], verb: str, rest: str) -> None:
        """Add a Finding on threads `who`: "Thread 3 {verb} {rest}", "Thread 3 and 12 more read {rest}"."""
        if not self.has(kind, line):
            named = self.thread(who[0], block).capitalize()
            if len(who) > 1:
                named, verb = f"{named} and {len(who) - 1} more", _PLURAL.get(verb, verb.removesuffix("s"))
            self.add(kind, line, f"{named} {verb} {rest}", block, who)

    def thread(self, number: int, block: Dim3) -> str:
        """A thread's name: "thread 3", "thread (3, 1)", or "thread 3 of block 2" where there are several."""

        def short(index: Dim3, shape: Dim3) -> str:
            used = max((axis + 1 for axis in range(3) if shape[axis] > 1), default=1)
            return str(index[0]) if used == 1 else str(index[:used])

        text = f"thread {short(self.threads.index(int(number)), self.threads.shape)}"
        return text if self.grid == (1, 1, 1) else f"{text} of block {short(block, self.grid)}"

    def sorted(self) -> tuple[Finding, ...]:
        """The Findings, errors before costs, then by line."""
        order, found = ERRORS + COSTS, self._found.values()
        return tuple(sorted(found, key=lambda f: (not f.is_error, f.line, order.index(f.kind))))

    def add_costs(self, requests: Iterable[Request], recorder: Recorder) -> None:
        """Add a finished trace's uncoalesced accesses, bank conflicts and divergence, line by line."""
        lines: dict[tuple[int, str], list[Request]] = defaultdict(list)
        for request in requests:
            if request.kind != "atomic":  # the price of an atomic is its contention
                lines[request.line, request.space].append(request)
        for (line, space), asked in lines.items():
            if space == "global":
                needed = sum(request.fewest_sectors for request in asked)
                wasted = [request.sectors - request.fewest_sectors for request in asked]
                moved = needed + sum(wasted)
                costly = moved >= SECTORS_RATIO * needed and sum(wasted) > SECTORS_MORE * len(asked)
                kind, cost = "uncoalesced", f"move {moved} sectors where {needed} would hold the same bytes:"
            else:
                wasted = [request.bank_conflicts for request in asked]
                costly = sum(wasted) >= CONFLICTS * len(asked)
                kind = "bank conflict"
                cost = f"take {sum(wasted)} extra passes over the banks: pad the rows by one item, or"
            if costly:
                worst = asked[wasted.index(max(wasted))]
                text = f"{len(asked)} request{'s' * (len(asked) != 1)} of "
                text += " and ".join(sorted({request.array for request in asked}))
                text += f" {cost} let neighbouring threads use neighbouring items."
                self.add(kind, line, text, worst.block, [worst.warp * WARP + lane for lane in worst.lanes])
        for line, operations in recorder.waste.items():
            share = operations / recorder.work
            if share >= DIVERGENCE:
                text = f"Lanes of one warp part here and wait for one another: {share:.0%} of all operations "
                text += "of the warps would be saved if the threads that go the same way were neighbours."
                self.add("divergence", line, text)


Rows = NDArray[numpy.int64]
Spot = tuple[Access, int]  # an access and the place of one of its lanes
Order = Callable[[Rows, Rows], NDArray[numpy.bool_]]  # whether each of the first rows is before the second


class Log:
    """The accesses to one memory as columns with a row for each lane, in order of time."""

    def __init__(self, accesses: Sequence[Access]) -> None:
        self.memory, self.accesses = accesses[0].memory, accesses
        sizes = [len(access.cells) for access in accesses]
        self.cell = numpy.concatenate([access.cells for access in accesses])
        self.lane = numpy.concatenate([access.mask.lanes for access in accesses])
        self.number = numpy.repeat(numpy.arange(len(accesses)), sizes)
        self.begin = numpy.cumsum([0, *sizes])
        self.kind = self.column(KINDS.index(access.kind) for access in accesses)

    def column(self, of_access: Iterator[int]) -> Rows:
        """A column from a number for each access, the same in the rows of all its lanes."""
        return numpy.fromiter(of_access, numpy.int64, len(self.accesses))[self.number]

    def contested(self, owners: Rows) -> NDArray[numpy.bool_]:
        """Whether each row is of a cell that several `owners` access, one writes, and not all atomically."""
        size = len(self.memory.data)
        owner = numpy.empty(size, numpy.int64)
        owner[self.cell] = owners
        shared, written, plain = (numpy.zeros(size, bool) for _ in range(3))
        shared[self.cell[owner[self.cell] != owners]] = True
        written[self.cell[self.kind != _LOAD]] = True
        plain[self.cell[self.kind != _ATOMIC]] = True
        return (shared & written & plain)[self.cell]

    def races(self, owners: Rows, ordered: Order) -> Iterator[tuple[Spot, Spot]]:
        """Yield pairs of accesses that race: by different `owners` (thread or block of each row), and not
        `ordered`; one pair for each two lines of source."""
        chosen = numpy.flatnonzero(self.contested(owners))
        if not len(chosen):  # as in every kernel that is right and waits for whole blocks only
            return
        chosen = chosen[numpy.argsort(self.cell[chosen], kind="stable")]
        line, kind, data = self.column(access.line for access in self.accesses), self.kind, self.memory.data
        value = numpy.concatenate([data[a.cells] if a.values is None else a.values for a in self.accesses])
        seen: set[int] = set()
        for apart in range(1, min(len(chosen), _WINDOW)):
            one, two = chosen[:-apart], chosen[apart:]
            same = self.cell[one] == self.cell[two]
            if not same.any():
                return
            one, two = one[same], two[same]
            clash = (owners[one] != owners[two]) & ((kind[one] != _LOAD) | (kind[two] != _LOAD))
            clash &= (kind[one] != _ATOMIC) | (kind[two] != _ATOMIC)
            clash &= (kind[one] != _STORE) | (kind[two] != _STORE) | (value[one] != value[two])
            clash &= ~ordered(one, two)
            one, two = one[clash], two[clash]
            lines, places = numpy.unique(line[one] * _LINES + line[two], return_index=True)
            for key, place in zip(lines.tolist(), places.tolist(), strict=True):
                if key not in seen:
                    seen.add(key)
                    yield self._spot(one[place]), self._spot(two[place])

    def _spot(self, row: int) -> Spot:
        return self.accesses[self.number[row]], int(row - self.begin[self.number[row]])


def races_within_block(accesses: Sequence[Access], block: Dim3, findings: Findings) -> None:
    """Report races among the accesses of one epoch of one block."""
    for log in _logs(accesses):
        for first, second in log.races(log.lane, _by_syncwarp(log)):
            _report(first, second, (block, block), findings)


def races_between_blocks(recorder: Recorder, findings: Findings) -> None:
    """Report races between the traced blocks of the launch, which no barrier orders."""
    blocks = recorder.blocks
    for log in _logs([access for access in recorder.accesses if access.memory.space == "global"]):
        block = log.column(access.block for access in log.accesses)
        for first, second in log.races(block, _by_fence(log, block, recorder)):
            _report(first, second, (blocks[first[0].block], blocks[second[0].block]), findings)


def _by_syncwarp(log: Log) -> Order:
    """The order of one block's accesses: cuda.syncwarp() lies between two of one warp."""
    warp = log.lane // WARP
    epoch = numpy.concatenate([a.warp_epochs[a.mask.lanes // WARP] for a in log.accesses])
    return lambda one, two: (warp[one] == warp[two]) & (epoch[one] != epoch[two])


def _by_fence(log: Log, block: Rows, recorder: Recorder) -> Order:
    """The order of two blocks' accesses: one precedes a fence and an atomic, the other follows an atomic."""
    step = log.column(access.step for access in log.accesses)
    written, read = step < recorder.fence_before_atomic[block], step >= recorder.first_atomic[block]
    return lambda one, two: written[one] & read[two]


def _logs(accesses: Sequence[Access]) -> Iterator[Log]:
    """A Log for each memory that is written at all."""
    of_memory: dict[int, list[Access]] = {}
    for access in accesses:
        of_memory.setdefault(id(access.memory), []).append(access)
    return (Log(same) for same in of_memory.values() if any(access.kind != "load" for access in same))


def _report(first: Spot, second: Spot, blocks: tuple[Dim3, Dim3], findings: Findings) -> None:
    """Add a Finding on the race of two accesses, made in these blocks."""
    (one, one_place), (two, two_place) = first, second
    who = int(one.mask.lanes[one_place]), int(two.mask.lanes[two_place])
    index = ", ".join(map(str, two.memory.indices(two.cells[two_place : two_place + 1])[0]))
    verbs = [("reads", "writes", "updates")[KINDS.index(access.kind)] for access in (one, two)]
    names = [findings.thread(number, block) for number, block in zip(who, blocks, strict=True)]
    there = "here" if one.line == two.line else f"in line {one.line}"
    fix = "put cuda.syncthreads() between the two"
    if blocks[0] != blocks[1]:
        fix = "no barrier spans blocks, so use an atomic, items of their own or a second kernel"
    elif one.line > two.line or (one.line == two.line and (one.kind, two.kind) == ("store", "load")):
        fix = "the loop comes round between the two, so put cuda.syncthreads() at the end of each round"
    elif one.line == two.line:
        fix = "use an atomic, or read, wait at a barrier and then write"
    text = f"{names[0].capitalize()} {verbs[0]} {two.memory.name}[{index}] {there}"
    text = f"{text} and {names[1]} {verbs[1]} it here, in no fixed order: {fix}."
    findings.add("race", two.line, text, blocks[1], who if blocks[0] == blocks[1] else who[1:])
