"""Events on ranks over time, and the rank-seconds of each component, whose sum is ranks × makespan."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from hpclab import checks, units
from hpclab.results import Origin, weakest

# Where two events overlap on a rank, the instant belongs to the kind that stands first here.
KINDS = ("checkpoint", "input", "reduce", "receive", "send", "compute", "start", "queue", "idle")

COMPONENTS = {
    "queue wait": ("queue",),
    "worker start": ("start",),
    "transfer": ("send", "receive", "reduce"),
    "compute": ("compute",),
    "storage": ("input", "checkpoint"),
    "idle": ("idle",),
}
UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Event:
    """What a rank did, of one of the KINDS: `start` and `duration` in seconds on one monotonic clock shared
    by all ranks; `bytes` moved."""

    rank: int
    kind: str
    start: float
    duration: float
    bytes: int = 0
    label: str = ""
    origin: Origin = Origin.MEASURED

    @property
    def end(self) -> float:
        return self.start + self.duration


@dataclass(frozen=True, repr=False)
class Trace:
    """Events of `ranks` ranks between `start` and `end` (seconds on the events' clock)."""

    events: tuple[Event, ...]
    ranks: int
    start: float
    end: float

    @property
    def makespan(self) -> float:
        return self.end - self.start

    @property
    def origin(self) -> Origin:
        """The weakest origin among its events."""
        return weakest(Origin.MEASURED, *(event.origin for event in self.events))

    def __repr__(self) -> str:
        seconds = units.format_seconds(self.makespan)
        return f"<Trace of {self.ranks} ranks: {len(self.events)} events in {seconds}>"

    def bars(self) -> dict[str, float]:
        """Rank-seconds by component, in the order of COMPONENTS, then those that no event covers."""
        seconds, edges = dict.fromkeys(KINDS, 0.0), list[tuple[int, float, int, int]]()
        for event in self.events:
            begin, end = max(event.start, self.start), min(event.end, self.end)
            if event.rank < self.ranks and end > begin:
                place = KINDS.index(event.kind)
                edges += [(event.rank, begin, 1, place), (event.rank, end, -1, place)]
        active, since = [0] * len(KINDS), self.start
        for _, moment, change, place in sorted(edges):  # nothing is active where a rank begins
            owner = next((kind for kind, count in zip(KINDS, active, strict=True) if count), None)
            if owner is not None:
                seconds[owner] += moment - since
            since = moment
            active[place] += change
        bars = {name: sum(seconds[kind] for kind in kinds) for name, kinds in COMPONENTS.items()}
        bars[UNEXPLAINED] = max(0.0, self.ranks * self.makespan - sum(bars.values()))
        return bars


Mark = tuple[str, float, float, int, str]
"""What `record` notes: kind, start, duration, bytes, label."""
_recorder: ContextVar[list[Mark] | None] = ContextVar("recorder", default=None)


@contextlib.contextmanager
def record(kind: str, bytes: int = 0, label: str = "") -> Iterator[None]:
    """Mark a stretch of a task as `kind`: ``with record("input", bytes=n): text = path.read_text()``. In a
    pool's `map` or `run` it becomes an event of the rank that ran it; what is not marked is compute."""
    checks.choice("An event's kind", kind, KINDS)
    checks.integer("bytes", bytes, 0, 2**60)
    listener = _recorder.get()
    begin = time.monotonic()
    try:
        yield
    finally:
        if listener is not None:
            listener.append((kind, begin, time.monotonic() - begin, bytes, label))


@contextlib.contextmanager
def listen() -> Iterator[list[Mark]]:
    """Yield a list that collects what `record` marks inside the block."""
    marks: list[Mark] = []
    token = _recorder.set(marks)
    try:
        yield marks
    finally:
        _recorder.reset(token)


def events_of(marks: Sequence[Mark], rank: int, clock_offset: float = 0.0) -> list[Event]:
    """Turn collected marks into events of `rank`, moved by `clock_offset` seconds onto the common clock."""
    return [Event(rank, mark[0], mark[1] + clock_offset, *mark[2:]) for mark in marks]
