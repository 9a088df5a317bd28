"""A clock for Dask's loops that nobody can set, in the scheduler's process and in each worker's."""

import time

import distributed.batched
from tornado.ioloop import IOLoop


def keep_steady() -> None:
    """The loop that calls this goes by the monotonic clock, with Dask's messages and heartbeats on it.

    By the wall clock both would wait out the two hours that somebody has set it back. Called before any of
    them has a next time.
    """
    IOLoop.current().time = time.monotonic  # type: ignore[method-assign]
    distributed.batched.time = lambda: IOLoop.current().time()
