"""What a pool is doing: one thing at a time, which another thread may end."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator

from hpclab.cluster.errors import Cancelled, PoolBusy, PoolClosed, PoolError

GIVING_WAY = "giving its nodes to another pool"
CLOSE = 10.0  # seconds that close() waits for what the pool is doing to end


class Activity:
    """`doing`: what is under way, or empty; `idle_since`: when the last of it ended (monotonic clock)."""

    def __init__(self) -> None:
        self.doing, self.idle_since = "", time.monotonic()
        self._busy, self._stop, self._closing = threading.Lock(), threading.Event(), False
        self._thread, self._process = 0, os.getpid()

    def check_cancelled(self) -> None:
        """Raise where a cancel or a close was asked for."""
        if self._closing:
            raise PoolClosed(f"The pool was closed while {self.doing} was under way.")
        if self._stop.is_set():
            raise Cancelled(f"{self.doing} was cancelled; the nodes are still there.")

    def cancel(self) -> None:
        """Ask what is under way to end."""
        if self._busy.locked():
            self._stop.set()

    def end(self) -> None:
        """No more: what is under way raises PoolClosed, and has let go of the nodes when this returns."""
        self._closing = True
        if self._thread != threading.get_ident() and self._busy.acquire(timeout=CLOSE):
            self._busy.release()

    def is_own(self) -> bool:
        """Whether this is the process that the pool was made in, and no forked child."""
        return os.getpid() == self._process

    @contextlib.contextmanager
    def one_thing(self, what: str) -> Iterator[None]:
        """Do `what`; PoolBusy while something else is under way."""
        if not self.is_own():
            raise PoolError(
                f"This pool belongs to process {self._process}, and this is a forked child of it, which "
                "cannot use its nodes: make a pool here, or use the pool before the fork."
            )
        if self._closing:
            raise PoolClosed("This pool has been closed; make a new one with Pool(nodes=...).")
        if not self._busy.acquire(timeout=CLOSE if self.doing == GIVING_WAY else 0.001):
            raise PoolBusy(f"The pool is busy with {self.doing}: wait for it, or end it with pool.cancel().")
        try:
            self.doing, self._thread = what, threading.get_ident()
            self._stop.clear()
            yield
        finally:
            self.doing, self._thread, self.idle_since = "", 0, time.monotonic()
            self._busy.release()
