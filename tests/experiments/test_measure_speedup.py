"""Threads and processes really run; what is fitted is what was measured."""

import time
from dataclasses import replace

import numba
import pytest

from hpclab.cluster.maps.tasks import TaskRecord
from hpclab.experiments.laws import fit
from hpclab.experiments.measure_speedup import ProcessSweep, ThreadSweep
from hpclab.models.scaling import USL, Amdahl, NoCurve, fit_times
from hpclab.results import Origin, select
from hpclab.trace import Trace
from tests.models.makespans import makespans, of_law

SEEN: list[tuple[int, int]] = []


def kernel(work):
    """Stands in for a Numba kernel: records the threads it was given, and takes about a millisecond."""
    SEEN.append((numba.get_num_threads(), work))
    time.sleep(0.001)


@pytest.mark.parametrize("weak", [False, True])
def test_each_repeat_is_a_result_and_the_first_call_is_not(weak):
    SEEN.clear()
    before = numba.get_num_threads()
    threads = tuple(range(1, min(2, numba.config.NUMBA_NUM_THREADS) + 1))
    heard = []
    sweep = ThreadSweep(kernel, lambda work: (work,), threads, repeats=3, weak=weak)
    results = sweep.measure(progress=lambda *report: heard.append(report))
    spans = select(results, "makespan", work="kernel", scaling="weak" if weak else "strong")
    assert len(spans) == 3 * len(threads) == len(select(results, "cpu"))
    assert len(SEEN) == 4 * len(threads)
    assert set(SEEN) == {(count, count if weak else 1) for count in threads}
    assert all(result.origin is Origin.MEASURED and result.value > 0.0005 for result in spans)
    assert {result.environment["cores"] > 0 for result in spans} == {True}
    assert len({result.run for result in spans}) == len(threads)
    assert heard[-1][1:] == (3, 3)
    assert numba.get_num_threads() == before


class Pool:
    """Does nothing, in a second for each item."""

    label = "here"

    def __init__(self):
        self.maps = []

    def scale(self, nodes, progress):
        self.nodes = nodes

    def map(self, task, items, progress=None):
        self.maps.append((self.nodes, len(items)))
        begin = time.monotonic()
        self.tasks = [TaskRecord(item, 0, begin + item, 1.0, 0.5, 0) for item in range(len(items))]
        self.trace = Trace((), self.nodes, begin, begin + len(items))


def test_processes_warm_up_before_they_are_timed_and_what_each_would_take_alone_is_emulated():
    pool, points = Pool(), []
    ProcessSweep(kernel, range(6), (1, 2), repeats=2).measure(pool, found=points.append)
    assert pool.maps == [(1, 1), (1, 6), (2, 2), (2, 6), (2, 6), (1, 1), (1, 6)]
    for measured, cpu, emulated in points:
        assert (measured.quantity, cpu.quantity, emulated.quantity) == ("makespan", "cpu", "makespan")
        assert (measured.origin, emulated.origin) == (Origin.MEASURED, Origin.EMULATED)
        assert emulated.condition


def test_a_kernel_that_fails_leaves_the_thread_count_as_it_was_and_too_many_threads_are_refused():
    before = numba.get_num_threads()
    for threads, error in ((1, ZeroDivisionError), (4096, ValueError)):
        with pytest.raises(error, match=r"division|Numba may start"):
            ThreadSweep(lambda work: 1 // 0, lambda work: (work,), (threads,)).measure()
        assert numba.get_num_threads() == before


def made(law, origin, counts, cores):
    return makespans(of_law(law, counts), origin, "processes", cores, scaling="strong")


def test_measured_points_are_used_where_they_identify_a_law_and_emulated_ones_where_not():
    measured = made(USL(0.5, 0.01), Origin.MEASURED, (1, 2, 3, 4, 8), cores=4)
    emulated = made(USL(0.1, 0.02), Origin.EMULATED, (1, 2, 3, 4, 8), cores=4)
    fits = fit([*measured, *emulated], "processes")
    assert fits["USL"].law.contention == pytest.approx(0.5, abs=1e-6)
    assert fits["USL"].largest == 4, "points beyond the cores say nothing about the work"
    few = made(Amdahl(0.5), Origin.MEASURED, (1, 2, 3, 4), cores=2)
    fits = fit([*few, *emulated], "processes")
    assert fits["USL"].law.contention == pytest.approx(0.1, abs=1e-6)
    assert fits["USL"].conditions == ("stated",)
    assert isinstance(fit(few, "processes")["Amdahl"], NoCurve)
    assert isinstance(fits["Gustafson"], NoCurve)


def test_no_law_goes_through_a_busy_machines_points_nor_through_what_was_emulated_from_them():
    busy = {"cores": 2, "wall": 1.0, "cpu": 0.4, "waited": 0.6, "stolen": 0.0}
    measured = [replace(r, environment=busy) for r in made(Amdahl(0.1), Origin.MEASURED, (1, 2), cores=2)]
    emulated = made(Amdahl(0.1), Origin.EMULATED, (1, 2, 3, 4), cores=2)
    for law in (Amdahl, USL):
        assert "busy: tasks got 40 % of a core" in fit_times(law, measured, "processes").reason
        assert "busy: tasks got 40 % of a core" in fit([*measured, *emulated], "processes")[law.name].reason
