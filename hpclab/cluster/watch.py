"""Runs a pool's operations one at a time, with waits that all end at `cancel()` and at a time limit.

Seconds in which this process itself was suspended do not count towards a limit.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import distributed.batched
from distributed import Client
from tornado.ioloop import IOLoop

from hpclab.cluster.errors import Cancelled, PoolBusy, PoolClosed, PoolError

T = TypeVar("T")
Progress = Callable[[int, int], None]
Late = Callable[[], BaseException]  # makes the error that is raised at a time limit

GIVING_WAY = "giving its nodes to another pool"
CLOSE = 10.0  # seconds that close() waits for what the pool is doing to end
TICK = 0.1  # seconds between two checks
ANSWER = 10.0  # seconds in which a worker answers a question, or is taken not to
_AWAKE = 1.0  # more than this from one check to the next, and this process was suspended meanwhile


def use_monotonic_clock() -> None:
    """Make the Dask event loop that calls this time its messages and heartbeats by the monotonic clock.

    By the wall clock, setting it back by hours would delay them by hours. Call this before any is due.
    """
    IOLoop.current().time = time.monotonic  # type: ignore[method-assign]
    distributed.batched.time = lambda: IOLoop.current().time()


class Activity:
    """What a pool is `doing`, or empty; `idle_since`: when the last operation ended (monotonic clock)."""

    def __init__(self) -> None:
        self.doing, self.idle_since = "", time.monotonic()
        self._busy, self._cancelled, self._closing = threading.Lock(), False, False
        self._thread, self._process, self._cleaning = 0, os.getpid(), threading.local()

    def is_own(self) -> bool:
        """Whether this is the process that the pool was made in, and no forked child."""
        return os.getpid() == self._process

    @contextmanager
    def one_thing(self, what: str) -> Iterator[None]:
        """Context manager in which the pool is busy with `what` (text for messages); PoolBusy while something
        else is under way, PoolClosed after `end`, PoolError in a forked child."""
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
            self.doing, self._thread, self._cancelled = what, threading.get_ident(), False
            yield
        finally:
            self.doing, self._thread, self.idle_since = "", 0, time.monotonic()
            self._busy.release()

    def cancel(self) -> None:
        """Have what is under way, if anything, raise Cancelled at its next check."""
        self._cancelled = self._busy.locked()

    def end(self) -> None:
        """Allow nothing more; what is under way raises PoolClosed, and is waited for at most `CLOSE` s."""
        self._closing = True
        if self._thread != threading.get_ident() and self._busy.acquire(timeout=CLOSE):
            self._busy.release()

    @contextmanager
    def cleaning_up(self) -> Iterator[None]:
        """Context manager in which this thread's waits ignore `cancel` and `end`; their limits still hold."""
        before, self._cleaning.up = getattr(self._cleaning, "up", False), True
        try:
            yield
        finally:
            self._cleaning.up = before

    def check_cancelled(self) -> None:
        """Raise PoolClosed after `end`, Cancelled after `cancel`; never within `cleaning_up`."""
        if getattr(self._cleaning, "up", False):
            return
        if self._closing:
            raise PoolClosed(f"The pool was closed while {self.doing} was under way.")
        if self._cancelled:
            raise Cancelled(f"{self.doing} was cancelled; the nodes are still there.")

    def until(
        self, ready: Callable[[], T], limit: float, late: Late,
        pause: Callable[[float], object] = time.sleep, starved: Callable[[], float] = lambda: 0.0,
    ) -> T:  # fmt: skip
        """Wait until `ready()` is true and return what it returned; raise `late()` after `limit` s.

        `pause(seconds)` waits for the next check, or less long where something happens. `starved()` returns
        the seconds so far in which what is waited for had no core: up to 9 `limit` of them do not count.
        """
        waited, before = 0.0, time.monotonic()
        while True:
            self.check_cancelled()
            if found := ready():
                return found
            if waited > limit and waited - min(9 * limit, starved()) > limit:
                raise late()
            pause(min(TICK, limit))
            waited += min(_AWAKE, (now := time.monotonic()) - before)
            before = now

    def outcome(self, future: Future[T], limit: float, late: Late) -> T:
        """Wait for `future` and return its result, or raise `late()` after `limit` s and drop a later one."""
        self.until(future.done, limit, late, lambda seconds: futures.wait([future], seconds))
        return future.result()

    def call(self, limit: float, late: Late, function: Callable[..., T], *args: Any) -> T:
        """Return ``function(*args)``, run in a thread that is abandoned after `limit` s or a cancel."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, daemon=True, name="hpclab-call").start()
        return self.outcome(future, limit, late)


class Loop:
    """Dask's event loop in this process, which runs its client and scheduler; calls functions on workers."""

    def __init__(self, client: Client, activity: Activity):
        self.client, self.activity = client, activity

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Schedule `coroutine` on the loop and return its future; PoolError where the loop has ended."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, cast(Any, self.client.loop).asyncio_loop)
        except (RuntimeError, AttributeError):
            coroutine.close()
            raise PoolError("Dask's scheduler in this process has ended.") from None

    def run(self, coroutine: Coroutine[Any, Any, T], limit: float = 30.0, what: str = "") -> T:
        """Run `coroutine` on the loop and return its result; PoolError, ended by `what`, after `limit` s."""
        late = f"Dask's scheduler in this process did not answer within {limit:g} s{what}."
        return self.activity.outcome(self.start(coroutine), limit, lambda: PoolError(late))

    def ask(
        self, addresses: Iterable[str], function: Callable[..., Any], *args: Any, limit: float = ANSWER
    ) -> dict[str, Any]:
        """Call ``function(*args)`` on each worker; return by address its value or exception, or TimeoutError.

        Each is called by itself, so that one that is suspended delays no other's answer.
        """
        future = self.start(self.answers(addresses, function, *args, limit=limit))
        late = lambda: PoolError("The workers' answers were not collected.")  # noqa: E731
        return self.activity.outcome(future, 2 * limit, late)

    async def answers(
        self, addresses: Iterable[str], function: Callable[..., Any], *args: Any, limit: float
    ) -> dict[str, Any]:
        """`ask` as a coroutine, to be awaited on the loop."""

        async def one(address: str) -> Any:
            try:
                asked = self.client._run(function, *args, workers=[address], on_error="return")
                return (await asyncio.wait_for(asked, limit))[address]
            except TimeoutError:
                return TimeoutError(f"it did not answer within {limit:g} s")
            except Exception as error:
                return error

        asked = list(addresses)
        return dict(zip(asked, await asyncio.gather(*map(one, asked)), strict=True))
