"""Clocks: one that nobody can set for Dask's loops, and other machines' clocks compared with the pool's own.

Of several answers to the question for the time the quickest, whose error is at most half its round trip,
gives the offset.
"""

from __future__ import annotations

import time

import distributed.batched
from tornado.ioloop import IOLoop

from hpclab.cluster.roster import Roster
from hpclab.cluster.watch import Look, Loop

ROUNDS = 7


def keep_steady() -> None:
    """The loop that calls this goes by the monotonic clock, with Dask's messages and heartbeats on it.

    By the wall clock both would wait out the two hours that somebody has set it back. Called before any of
    them has a next time.
    """
    IOLoop.current().time = time.monotonic  # type: ignore[method-assign]
    distributed.batched.time = lambda: IOLoop.current().time()


def compare(roster: Roster, loop: Loop, look: Look) -> None:
    """Ask each newly joined node of another machine the time; the quickest answer gives its clock's offset.

    A node that does not answer keeps what its first words said, which is right to some milliseconds.
    """
    for name in roster.here():
        who = roster.identity(name)
        if who is None or who.compared:
            continue
        best = float("inf"), who.offset
        for _ in range(ROUNDS):  # one question at a time, so that no answer waits behind another's
            begin = time.monotonic()
            answer = loop.ask([who.address], time.monotonic, look=look, limit=2.0)[who.address]
            end = time.monotonic()
            if not isinstance(answer, float):
                break
            best = min(best, (end - begin, (begin + end) / 2 - answer))
        roster.compared(name, who.address, best[1])
