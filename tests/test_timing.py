"""Timing: warm-up is not counted, wall and CPU time tell waiting from working."""

import multiprocessing
import os
import threading
import time

import pytest

from hpclab import timing

told = pytest.mark.skipif(timing.run_queue_seconds() is None, reason="this kernel has no schedstat")


def test_the_warm_up_runs_and_is_not_counted():
    calls = []
    samples = timing.repeat(lambda: calls.append(1), repeats=4, warmup=2)
    assert (len(calls), len(samples)) == (6, 4)


def test_waiting_takes_wall_time_and_working_cpu_time():
    with timing.Stopwatch() as watch:
        time.sleep(0.2)
    assert watch.sample.wall >= 0.2
    assert watch.sample.cpu < watch.sample.wall / 2
    with watch:
        hold_the_core()
    assert watch.sample.cpu >= 0.2
    assert watch.sample.wall > 0.1


def hold_the_core():
    deadline = time.process_time() + 0.2
    while time.process_time() < deadline:
        pass


@told
def test_wanting_a_core_is_told_from_waiting_for_something_else():
    """Both threads of two on one core have it half of the time, whatever else this machine does."""
    allowed = os.sched_getaffinity(0)
    with timing.Stopwatch() as watch:
        time.sleep(0.2)
    assert watch.sample.waited < watch.sample.wall - 0.19
    rival = multiprocessing.get_context("fork").Process(target=hold_the_core)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        rival.start()
        with timing.Stopwatch() as watch:
            hold_the_core()
    finally:
        os.sched_setaffinity(0, allowed)
        rival.join()
    assert watch.sample.waited > 0.05
    assert watch.sample.facts()["waited"] == watch.sample.waited


@told
def test_what_helpers_wait_for_a_core_may_be_left_out(monkeypatch):
    me, helper = threading.get_native_id(), 999999999
    seconds = iter(2 * [{me: 1.0, helper: 1.0}] + 2 * [{me: 1.5, helper: 3.0}])
    monkeypatch.setattr(timing, "run_queue_seconds", lambda *_: next(seconds))
    with timing.Stopwatch() as every, timing.Stopwatch(helpers=False) as mine:
        pass
    assert (every.sample.waited, mine.sample.waited) == (2.5, 0.5)


@told
def test_a_thread_that_ends_while_threads_are_listed_hides_no_other(monkeypatch):
    monkeypatch.setattr(os, "listdir", lambda place: ["999999999", str(os.getpid())])
    assert list(timing.run_queue_seconds()) == [os.getpid()]


def test_where_the_kernel_does_not_say_a_load_beyond_the_cores_counts(monkeypatch):
    for load, waited in ((0.5, 0.0), (1e6, pytest.approx(0.3))):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, load, load))
        assert timing.waited_seconds(None, wall=1.0, cpu=0.7) == waited


def test_the_median_is_not_moved_by_one_slow_repeat_and_a_total_adds_up():
    samples = [timing.Sample(1, 1), timing.Sample(2, 1), timing.Sample(100, 50)]
    assert timing.median(samples) == timing.Sample(2, 1)
    with pytest.raises(ValueError, match="at least one sample"):
        timing.median([])
    samples = [timing.Sample(1.0, 0.5, 0.25), timing.Sample(2.0, 1.5)]
    assert timing.total(samples) == timing.Sample(3.0, 2.0, 0.25)
