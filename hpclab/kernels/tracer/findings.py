"""What is wrong or costly, said once per line of source and kind, with the first threads it happened to."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from hpclab.kernels.tracer.lanes import Dim3, Threads
from hpclab.kernels.tracer.recorder import Recorder
from hpclab.models.gpu_memory import COSTS, ERRORS, WARP, Finding, Request

_PLURAL = {"is": "are", "never reaches": "never reach"}  # others lose their s
_SHOWN = 32  # threads that a Finding carries; more than a warp helps nobody

# A stencil's neighbour (5 sectors for 4) and rows of awkward length are let pass; stride 2 (8 for 4) is not.
SECTORS_RATIO, SECTORS_MORE = 1.75, 2.0
CONFLICTS = 1.0  # extra passes per request, on average: two lanes for each bank
DIVERGENCE = 0.1  # of all operations of all warps


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
        """`who` are numbers of threads in `block`."""
        if not self.has(kind, line):
            threads = tuple(self.threads.index(int(number)) for number in who[:_SHOWN])
            self._found[kind, line] = Finding(kind, message, line, block, threads)

    def add_about(self, kind: str, line: int, block: Dim3, who: Sequence[int], verb: str, rest: str) -> None:
        """What the threads `who` of `block` do: ``Thread 3 reads ...``, ``Thread 3 and 12 more read ...``."""
        if not self.has(kind, line):
            named = self.thread(who[0], block).capitalize()
            if len(who) > 1:
                named, verb = f"{named} and {len(who) - 1} more", _PLURAL.get(verb, verb.removesuffix("s"))
            self.add(kind, line, f"{named} {verb} {rest}", block, who)

    def thread(self, number: int, block: Dim3) -> str:
        """``thread 3``, ``thread (3, 1)``, and of which block where there are several."""
        text = f"thread {_short(self.threads.index(int(number)), self.threads.shape)}"
        return text if self.grid == (1, 1, 1) else f"{text} of block {_short(block, self.grid)}"

    def sorted(self) -> tuple[Finding, ...]:
        """Errors before costs, then by line."""
        order = ERRORS + COSTS
        return tuple(sorted(self._found.values(), key=lambda f: (not f.error, f.line, order.index(f.kind))))

    def add_costs(self, requests: Iterable[Request], recorder: Recorder) -> None:
        """Of a finished trace, line by line: uncoalesced accesses, bank conflicts and divergence."""
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


def _short(index: Dim3, shape: Dim3) -> str:
    used = max((axis + 1 for axis in range(3) if shape[axis] > 1), default=1)
    return str(index[0]) if used == 1 else str(index[:used])
