"""Timing: warm-up is not counted, wall and CPU time tell waiting from working."""

from __future__ import annotations

import time

import pytest

from hpclab import timing


def test_the_warm_up_runs_and_is_not_counted():
    calls = []
    samples = timing.repeat(lambda: calls.append(1), repeats=4, warmup=2)
    assert (len(calls), len(samples)) == (6, 4)


def test_waiting_takes_wall_time_and_no_cpu_time():
    with timing.Stopwatch() as watch:
        time.sleep(0.2)
    assert watch.sample.wall >= 0.2
    assert watch.sample.cpu < watch.sample.wall / 2


def test_working_takes_cpu_time():
    with timing.Stopwatch() as watch:
        deadline = time.process_time() + 0.1
        while time.process_time() < deadline:
            pass
    assert watch.sample.cpu >= 0.1
    assert watch.sample.wall > 0.05


def test_the_stopwatch_stops_when_the_work_fails():
    watch = timing.Stopwatch()
    with pytest.raises(ZeroDivisionError), watch:
        _ = 1 / 0
    assert watch.sample.wall >= 0


def test_the_median_is_not_moved_by_one_slow_repeat():
    samples = [timing.Sample(1, 1), timing.Sample(2, 1), timing.Sample(100, 50)]
    assert timing.median(samples) == timing.Sample(2, 1)


@pytest.mark.slow
def test_device_time_needs_a_device():
    import torch

    if torch.accelerator.is_available():
        assert min(timing.device_seconds(lambda: torch.ones(8, device="cuda") + 1, repeats=3)) > 0
    else:
        with pytest.raises(RuntimeError, match="no accelerator"):
            timing.device_seconds(lambda: None)
