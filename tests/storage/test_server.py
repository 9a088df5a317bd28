"""A storage server's clock, which says when each request is due; room for files; what a store is called."""

import contextlib
import errno
import math
import time

import pytest

from hpclab.models.storage import Server, Store
from hpclab.storage import server
from hpclab.storage.server import BEHIND, Clock
from hpclab.storage.striped import condition


def test_a_rate_is_kept_a_late_request_made_up_for_and_an_idle_second_not():
    clock, now = Clock(rate=10.0), time.monotonic()
    (first,) = clock.take([5], now)
    assert now + 0.5 <= first <= time.monotonic() + 0.5
    assert list(clock.take([10, 10], now - 60)) == pytest.approx([first + 1, first + 2])
    (late,) = Clock(rate=10.0).take([0.1], now - 60)
    assert now - BEHIND + 0.01 <= late < time.monotonic()
    assert max(Clock(rate=10.0).take([1], now + 60)) < now + 60


def test_requests_that_overlap_take_turns_whoever_comes_first_for_its_parts():
    clock, now = Clock(rate=10.0), time.monotonic()
    one, other = clock.take([1] * 4, now), clock.take([1] * 2, now)
    begin = next(one) - 0.1
    assert [round(due - begin, 3) for due in (next(other), *one, next(other))] == [0.2, 0.3, 0.5, 0.6, 0.4]
    gone = clock.take([1] * 100, now)
    next(gone)
    gone.close()
    assert round(max(clock.take([1], now)) - begin, 3) == 0.8


def test_a_store_knows_so_many_files(monkeypatch):
    monkeypatch.setattr(server, "MOST_FILES", 1)
    one = server.Server(b"k" * server.KEY, math.inf, math.inf, 10)
    with contextlib.closing(one.socket):
        one.show("a", {})
        with pytest.raises(OSError, match="at most 1 files") as caught:
            one.show("b", {})
    assert caught.value.errno == errno.ENOSPC
    assert list(one.files) == ["a"]


def test_the_condition_says_what_is_emulated():
    servers = (Server(50e6, 2000), Server(50e6, 2000), Server(10e6))
    assert condition(Store(servers, metadata=1000, latency=0.002, link=100e6)) == (
        "a striped store of 2 servers at 50 MB/s and 2,000 operations/s each, 1 server at 10 MB/s, "
        "a metadata server of 1,000 opens/s, 2 ms of latency for each open, links of 100 MB/s"
    )
