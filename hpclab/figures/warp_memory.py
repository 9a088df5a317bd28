"""What one warp asks of memory, step after step: its lanes, memory below them, and the kernel's source."""

from collections import Counter
from itertools import accumulate

from hpclab.figures import diagram, lanes, listing, style, wording
from hpclab.models.gpu_memory import SECTOR, WARP, Barrier, Branch, KernelTrace, Request

Event = Request | Branch | Barrier
_VERB = {"load": "reads", "store": "writes", "atomic": "adds to"}


class WarpPicture:
    """The steps of one of the `warps` of `trace`; ``draw(n)`` is step n from 0, all of one height."""

    def __init__(self, trace: KernelTrace, block: tuple[int, int, int], warp: int) -> None:
        self.trace, self.warp = trace, warp
        mine = [event for event in _events(trace) if event.block == block and event.warp == warp]
        self.events = sorted(mine, key=lambda event: event.step)
        asked = [event for event in self.events if isinstance(event, Request)]
        self._memory_height = lanes.memory_height(asked)
        self._headings = ["sectors"] + ["passes"] * any(request.space == "shared" for request in asked)
        self.titles = [_title(event) for event in self.events]
        self._sofar = [*accumulate(map(_cost, self.events))]

    def __len__(self) -> int:
        return len(self.events)

    def said(self, number: int) -> str:
        """The text of step `number` for screen readers."""
        event = self.events[number]
        lines = self.trace.source.splitlines()
        code = lines[event.line - 1].strip() if 0 < event.line <= len(lines) else ""
        return f"{self.titles[number]}. The line: {code}. {_caption(event)}"

    def draw(self, number: int) -> str:
        """SVG of step `number`."""
        event = self.events[number]
        top = max(diagram.title_height(title) for title in self.titles) + 4
        rows = top + lanes.HEIGHT + lanes.LINKS
        below = rows + self._memory_height
        if isinstance(event, Request):
            # What bytes are counted from: an array's first item, or in shared memory the block's own 0.
            own = [array.base for array in self.trace.arrays if array.name == event.array]
            base = own[0] if own and event.space == "global" else 0
            tips = {lane: self._tip(event, n, base) for n, lane in enumerate(event.lanes)}
            body = [lanes.draw(top, event.lanes, tips=tips)]
            if event.space != "local":
                body.append(lanes.memory(event, base, rows, tips))
        elif isinstance(event, Branch):
            body = [lanes.draw(top, event.taken, event.not_taken)]
        else:
            body = [lanes.draw(top, event.lanes)]
        body.append(_key(event, below + 1.2 * style.TEXT))
        listed = below + 1.5 * style.TEXT
        done = self._sofar[number]
        costs = {
            heading: {line: f"{cost:,}" for (what, line), cost in done.items() if what == heading}
            for heading in self._headings
        }
        body.append(listing.draw(listed, self.trace.source, event.line, costs, self._total(number)))
        height = listed + listing.height(self.trace.source, len(costs))
        return diagram.document(self.titles[number], self.said(number), body, height=height)

    def _tip(self, request: Request, number: int, base: int) -> str:
        """What the mouse shows over the request's lane at `number`; bytes are counted from `base`."""
        lane = request.lanes[number]
        across, up, _ = self.trace.block
        flat = self.warp * WARP + lane
        thread = (flat % across, flat // across % up, flat // (across * up))
        index = ", ".join(map(str, request.indices[number]))
        byte = request.addresses[number] - base
        return f"lane {lane}, thread {thread}: {request.array}[{index}], byte {byte:,}"

    def _total(self, number: int) -> str:
        """The global requests and sectors up to step `number`, in words."""
        done: Counter[str] = Counter()
        for (what, _), count in self._sofar[number].items():
            done[what] += count
        text = f"So far: {wording.counted(done['requests'], 'global request')}"
        if done["sectors"]:
            used = done["bytes"] / (done["sectors"] * SECTOR)
            text += f", {wording.counted(done['sectors'], 'sector')}, {used:.0%} used"
        return text


def warps(trace: KernelTrace) -> set[tuple[tuple[int, int, int], int]]:
    """Block and number of each warp that has a picture."""
    return {(event.block, event.warp) for event in _events(trace)}


def _events(trace: KernelTrace) -> tuple[Event, ...]:
    return (*trace.requests, *trace.branches, *trace.barriers)


def _cost(event: Event) -> Counter[tuple[str, int]]:
    """What an event costs, by (requests, sectors, bytes asked for or passes; line of the source)."""
    if not isinstance(event, Request) or event.space == "local":
        return Counter()
    if event.space == "shared":
        return Counter({("passes", event.line): event.passes})
    costs = {"requests": 1, "sectors": event.sectors, "bytes": _bytes(event)[0]}
    return Counter({(what, event.line): cost for what, cost in costs.items()})


def _title(event: Event) -> str:
    if isinstance(event, Branch):
        parted = f"{wording.counted(len(event.taken), 'lane')} go on, {len(event.not_taken)} wait"
        return f"Line {event.line} parts the warp: {parted}"
    if isinstance(event, Barrier):
        return (
            f"Line {event.line} is a barrier: {wording.counted(len(event.lanes), 'lane')} of this warp came"
        )
    did = f"Line {event.line} {_VERB[event.kind]} {event.array}: {wording.counted(len(event.lanes), 'lane')}"
    if event.kind == "atomic" and event.contention > 1:
        return f"{did}, {event.contention} of them in turn at one address"
    if event.space == "shared":
        extra = event.bank_conflicts
        turns = f"{event.passes} passes, {extra} of them for conflicts" if extra else "no bank conflict"
        return f"{did}, {turns}"
    if event.space == "global":
        moved = f"{did}, {wording.counted(event.sectors, 'sector')}"
        fewest = event.fewest_sectors
        return f"{moved} where {fewest} would do" if event.sectors > fewest else f"{moved}, as few as can be"
    return f"{did}, each in its own memory"


def _bytes(request: Request) -> tuple[int, int]:
    """Bytes that the lanes asked for, each once, and bytes that moved."""
    return len(set(request.addresses)) * request.itemsize, request.sectors * SECTOR


def _caption(event: Event) -> str:
    """What the picture of an event means, and for global memory the bytes asked for and moved."""
    if isinstance(event, Branch):
        return "Filled lanes go on. Crossed ones wait for their turn."
    if isinstance(event, Barrier):
        return "No warp goes on before all of the block have come: what was written is there."
    if event.space == "global":
        asked, moved = _bytes(event)
        return f"Asked for: {asked:,} bytes. Moved: {moved:,}. For nothing: {moved - asked:,}."
    if event.space == "shared":
        return "A bank serves one word in each pass; lanes that want the same word share it."
    return "Each thread has its own: nothing is shared, and nothing is drawn."


def _key(event: Event, y: float) -> str:
    """The caption, with the pattern of what was moved for nothing before its words."""
    text, _, wasted = _caption(event).partition(" For nothing")
    if not wasted:
        return diagram.text(0, y, text)
    x = diagram.text_width(text) + 10
    pattern = lanes.hatch("wasted")
    box = diagram.box(x, y - 16, 30, 19, "url(#wasted)", stroke=style.INK)
    return diagram.text(0, y, text) + pattern + box + diagram.text(x + 40, y, f"for nothing{wasted[:-1]}")
