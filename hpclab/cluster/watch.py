"""Every wait of a pool ends at `cancel()` and at a limit.

Seconds in which this process was suspended itself are not counted.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar, cast

import distributed.batched
from distributed import Client
from tornado.ioloop import IOLoop

from hpclab.cluster.errors import PoolError

T = TypeVar("T")
CheckCancelled = Callable[[], None]
Progress = Callable[[int, int], None]
Pause = Callable[[float], object]
Late = BaseException | Callable[[], BaseException]

TICK = 0.1  # seconds between two checks
ANSWER = 10.0  # seconds in which a worker answers a question, or is taken not to
_AWAKE = 1.0  # more than this from one check to the next, and this process was suspended meanwhile


def use_monotonic_clock() -> None:
    """Dask's event loop that calls this, its messages and heartbeats go by a clock that nobody can set.

    By the wall clock they would wait out the hours by which somebody sets it back. Call it before any is due.
    """
    IOLoop.current().time = time.monotonic  # type: ignore[method-assign]
    distributed.batched.time = lambda: IOLoop.current().time()


def until(
    ready: Callable[[], T], check_cancelled: CheckCancelled, limit: float, late: Late,
    pause: Pause = time.sleep, starved: Callable[[], float] = lambda: 0.0,
) -> T:  # fmt: skip
    """What `ready()` returns once that is true; raises `late` after `limit` s.

    `pause(seconds)` waits for the next check, or less long where something happens. `starved()` are seconds
    so far that do not count, because what is waited for had no core; up to nine times the limit.
    """
    waited, before = 0.0, time.monotonic()
    while True:
        check_cancelled()
        if found := ready():
            return found
        if waited > limit and waited - min(9 * limit, starved()) > limit:
            raise late if isinstance(late, BaseException) else late()
        pause(min(TICK, limit))
        waited += min(_AWAKE, (now := time.monotonic()) - before)
        before = now


def outcome(future: Future[T], check_cancelled: CheckCancelled, limit: float, late: Late) -> T:
    """The result of what runs elsewhere; what comes after the limit or a cancel is dropped."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    until(done.is_set, check_cancelled, limit, late, done.wait)
    return future.result()


def call(
    check_cancelled: CheckCancelled, limit: float, late: Late, function: Callable[..., T], *args: Any
) -> T:
    """`function(*args)`, which may wait for other programs, in a thread that is left to itself afterwards."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name="hpclab-call").start()
    return outcome(future, check_cancelled, limit, late)


class Loop:
    """Dask's event loop in this process, where its client and scheduler live, and questions to workers."""

    def __init__(self, client: Client):
        self.client = client

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run on the loop; PoolError where it has ended."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, cast(Any, self.client.loop).asyncio_loop)
        except (RuntimeError, AttributeError):
            coroutine.close()
            raise PoolError("Dask's scheduler in this process has ended.") from None

    def run(
        self, coroutine: Coroutine[Any, Any, T], check_cancelled: CheckCancelled, limit: float = 30.0,
        what: str = "",
    ) -> T:  # fmt: skip
        """Run on the loop, and wait for the result."""
        late = PoolError(f"Dask's scheduler in this process did not answer within {limit:g} s{what}.")
        return outcome(self.start(coroutine), check_cancelled, limit, late)

    def ask(
        self, addresses: Iterable[str], function: Callable[..., Any], *args: Any,
        check_cancelled: CheckCancelled, limit: float = ANSWER,
    ) -> dict[str, Any]:  # fmt: skip
        """What each worker answers, by address, or the exception; TimeoutError of those that say nothing.

        Each is asked by itself, so that one that is stopped keeps back no other's answer.
        """
        future = self.start(self.answers(addresses, function, *args, limit=limit))
        late = PoolError("The workers' answers were not collected.")
        return outcome(future, check_cancelled, 2 * limit, late)

    async def answers(
        self, addresses: Iterable[str], function: Callable[..., Any], *args: Any, limit: float = ANSWER
    ) -> dict[str, Any]:
        """`ask`, on the loop itself."""

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
