"""Runs an experiment's points one after another in a thread, so that the notebook stays usable. Knows no
widget. Whatever goes wrong ends up as one sentence in `state`."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpclab import checks
from hpclab.cluster.errors import Cancelled
from hpclab.figures.wording import counted, numbered
from hpclab.results import Result, select

_PAUSE = 0.1  # seconds between two reports of progress: more often than that nobody can read


@dataclass(frozen=True, slots=True)
class State:
    """The point that runs, at `count` of `axis` (0: none), with `done` of `total` in its `stage`; the counts
    `waiting`; how the last run `ended`, in a sentence, and whether it `failed`."""

    count: int = 0
    stage: str = ""
    done: int = 0
    total: int = 0
    waiting: tuple[int, ...] = ()
    ended: str = "Ready."
    failed: bool = False
    axis: str = "nodes"

    @property
    def busy(self) -> bool:
        return self.count > 0

    @property
    def sentence(self) -> str:
        """The state in words, for the status line."""
        if not self.busy:
            return self.ended
        progress = f", {self.done} of {self.total}" if self.total > 1 else ""
        after = f"; then {', '.join(map(str, self.waiting))}" if self.waiting else ""
        return f"{numbered(self.count, self.axis)}: {self.stage or 'beginning'}{progress}{after}."

    @property
    def spoken(self) -> str:
        """The sentence without its counts, for a screen reader, which would never be done with them."""
        return replace(self, done=0, total=0).sentence


class PointRunner:
    """Runs points of `experiment` on `pool`; `changed()` is called from the thread. A point is one number of
    the experiment's `axis`, its field that holds the points. One that is running or waiting is not added
    again. `results` are all so far, those handed in first."""

    def __init__(
        self, pool: Any, experiment: Any, changed: Callable[[], None],
        results: Sequence[Result] = (), axis: str = "nodes",
    ) -> None:  # fmt: skip
        self.pool, self.experiment, self.axis = pool, experiment, axis
        self.state, self.results, self._changed = State(axis=axis), list(results), changed
        self._lock, self._idle, self._stop = threading.Lock(), threading.Event(), threading.Event()
        self._idle.set()
        self._closed, self._told = False, 0.0

    def request(self, points: Iterable[int], instead: bool = False) -> None:
        """Run `points` after what runs now and what waits, or `instead` of what waits; returns at once. The
        first run of all is at one where that is missing: a speedup is relative to it."""
        wanted = [checks.integer(self.axis, point, 1, 65_536) for point in points]
        with self._lock:
            if self._closed:
                raise ValueError("This scaler is closed: run its cell again for a new one.")
            there = [self.state.count, *(() if instead else self.state.waiting)]
            mine = self.experiment.mine(self.results)
            if wanted and 1 not in there and not select(mine, "makespan", **{self.axis: 1}):
                wanted.insert(0, 1)
            _, *waiting = dict.fromkeys([*there, *wanted])
            self.state = replace(self.state, waiting=tuple(waiting))
            if waiting and self._idle.is_set():
                self._idle.clear()
                self._next()
                threading.Thread(target=self._run, name="hpclab-points", daemon=True).start()
        self._changed()

    def cancel(self) -> None:
        """End what runs and forget what waits; what was measured is kept. Does nothing when idle."""
        with self._lock:
            if self._idle.is_set():
                return
            self._stop.set()
            self.state = replace(self.state, waiting=(), stage="cancelling", done=0, total=0)
        self.pool.cancel()
        self._changed()

    def wait(self, timeout: float = 300.0) -> bool:
        """Wait until nothing runs, at most `timeout` seconds; return whether so. An interrupt cancels."""
        deadline = time.monotonic() + timeout
        try:
            # Not Thread.join: after an interrupt Python 3.11 may take a running thread for an ended one.
            # In steps, so that an interrupt is noticed.
            while not self._idle.wait(0.1) and time.monotonic() < deadline:
                pass
        except KeyboardInterrupt:
            self.cancel()
            raise
        return self._idle.is_set()

    def close(self) -> None:
        """Cancel, and accept nothing more."""
        with self._lock:
            self._closed = True
        self.cancel()

    def _next(self) -> None:
        """Make the first point that waits the one that runs."""
        first, *rest = self.state.waiting
        self.state = State(first, waiting=tuple(rest), axis=self.axis)
        self._stop.clear()

    def _run(self) -> None:
        """The thread: measure the point that runs, then those that wait."""
        begin, count = time.monotonic(), 0
        try:
            while True:
                try:
                    point = replace(self.experiment, **{self.axis: (self.state.count,)})
                    point.measure(self.pool, progress=self._report, found=self._found)
                    count, spent = count + 1, time.monotonic() - begin
                    ended, failed = f"Done: {counted(count, 'point')} in {spent:.1f} s.", False
                except Cancelled:
                    ended, failed = "Cancelled; what was measured is kept.", False
                except BaseException as error:  # nobody else would see it in a thread
                    ended, failed = sentence_of(error), True
                with self._lock:
                    # What waits after an error belonged to the same sweep; after a cancel it is new.
                    waiting = () if failed else self.state.waiting
                    self.state = State(waiting=waiting, ended=ended, failed=failed, axis=self.axis)
                if not self.state.waiting:
                    self._changed()  # and whoever is told may ask for more
                with self._lock:
                    if not self.state.waiting:
                        self._idle.set()
                        return
                    self._next()
                self._changed()
        except BaseException:  # of who is told
            self._idle.set()
            raise

    def _report(self, stage: str, done: int, total: int) -> None:
        """Take in the progress of a measurement; raise Cancelled after `cancel`."""
        if self._stop.is_set():
            self.pool.cancel()  # again: the pool may have been between two steps at the first time
            raise Cancelled("Cancelled.")
        with self._lock:
            new = stage != self.state.stage
            self.state = replace(self.state, stage=stage, done=done, total=total)
        if new or time.monotonic() - self._told > _PAUSE:
            self._told = time.monotonic()
            self._changed()

    def _found(self, results: list[Result]) -> None:
        """Take in Results, as a measurement yields them."""
        self.results += results
        self._changed()


def sentence_of(error: BaseException, what: str = "The run ended with") -> str:
    """What went wrong in one line: our own errors say it themselves, others are named."""
    text = " ".join(str(error).split()) or "no reason was given"
    text = text if len(text) <= 600 else text[:600] + "…"
    ours = type(error).__module__.startswith("hpclab") or isinstance(error, ValueError)
    return text if ours else f"{what} {type(error).__name__}: {text}"
