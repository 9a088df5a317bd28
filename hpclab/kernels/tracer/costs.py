"""What is right but dear, line by line: sectors moved for nothing, queues at a bank, idle lanes."""

from collections import defaultdict
from collections.abc import Iterable

from hpclab.kernels.tracer.findings import Findings
from hpclab.kernels.tracer.recorder import Recorder
from hpclab.models.gpu_memory import WARP, Request

# A stencil's neighbour (5 sectors for 4) and rows of awkward length are let pass; stride 2 (8 for 4) is not.
SECTORS_RATIO, SECTORS_MORE = 1.75, 2.0
CONFLICTS = 1.0  # extra passes per request, on average: two lanes for each bank
DIVERGENCE = 0.1  # of all operations of all warps


def report(requests: Iterable[Request], recorder: Recorder, findings: Findings) -> None:
    """Add the costs of a finished trace to its findings."""
    lines: dict[tuple[int, str], list[Request]] = defaultdict(list)
    for request in requests:
        if request.kind != "atomic":  # the price of an atomic is its contention
            lines[request.line, request.space].append(request)
    for (line, space), asked in lines.items():
        if space == "global":
            needed = sum(request.fewest_sectors for request in asked)
            wasted = [request.sectors - request.fewest_sectors for request in asked]
            moved = needed + sum(wasted)
            dear = moved >= SECTORS_RATIO * needed and sum(wasted) > SECTORS_MORE * len(asked)
            kind, said = "uncoalesced", f"move {moved} sectors where {needed} would hold the same bytes:"
        else:
            wasted = [request.bank_conflicts for request in asked]
            dear = sum(wasted) >= CONFLICTS * len(asked)
            kind = "bank conflict"
            said = f"take {sum(wasted)} extra passes over the banks: pad the rows by one item, or"
        if dear:
            worst = asked[wasted.index(max(wasted))]
            text = f"{len(asked)} {'request' if len(asked) == 1 else 'requests'} of "
            text += " and ".join(sorted({request.array for request in asked}))
            text += f" {said} let neighbouring threads use neighbouring items."
            who = [worst.warp * WARP + lane for lane in worst.lanes]
            findings.add(kind, line, text, worst.block, who)
    for line, operations in recorder.waste.items():
        share = operations / recorder.work
        if share >= DIVERGENCE:
            findings.add(
                "divergence", line,
                f"Lanes of one warp part here and wait for one another: {share:.0%} of all "
                "operations of the warps would be saved if the threads that go the same way were neighbours.",
            )  # fmt: skip
