"""One contract, both backends: what a pool does on this machine's processes it does on Slurm."""

import os
import pathlib
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hpclab import trace
from hpclab.cluster.errors import Cancelled, NodeLost, PoolBusy, PoolError
from tests.conftest import everywhere, pool_at, until

pytestmark = pytest.mark.slow

# What these show depends on how nodes come and go; the rest on what runs in them, which is one program.
ON_SLURM = {
    "test_it_has_the_nodes_it_was_asked_for_and_shows_them", "test_scaling_down_and_up",
    "test_it_does_one_thing_at_a_time_and_can_be_cancelled", "test_a_gang_computes_together",
    "test_a_lost_node_is_replaced_and_the_loss_shown",
}  # fmt: skip


def pytest_generate_tests(metafunc):
    everywhere(metafunc, ON_SLURM)


@pytest.fixture(scope="module")
def pool(request):
    with pool_at(request, 2) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _two_nodes(request):
    """Every test begins with two nodes, whatever the one before did."""
    pool = request.getfixturevalue("pool")
    if pool.nodes != 2:
        pool.scale(2)


def square(number):
    return number * number


def spin(seconds):
    begin = time.thread_time()
    while time.thread_time() - begin < seconds:
        pass


def pids(pool):
    return {worker.pid for worker in pool.workers()}


def test_it_has_the_nodes_it_was_asked_for_and_shows_them(pool):
    workers = pool.workers()
    assert pool.nodes == len(pids(pool)) == 2
    assert [worker.rank for worker in workers] == [0, 1]
    for worker in workers:
        assert worker.submitted - 0.05 <= worker.started <= worker.joined <= time.monotonic()
    assert "distributed.cli.dask_worker" in pool.job_script()
    assert pool.dashboard["address"].startswith("http://127.0.0.1:")
    assert pool.backend in pool.label.lower() or "process" in pool.label
    jobs = {str(job.id) for job in pool.jobs()}
    assert jobs == {worker.job_id for worker in workers if pool.backend == "slurm"}
    assert ("--no-requeue" in pool.job_script()) == (pool.backend == "slurm")


def test_a_task_has_the_nodes_core_and_one_thread(pool):
    def multiply(size):
        import sys

        import distributed
        import numpy
        import torch

        matrix, tensor = numpy.ones((size, size)), torch.ones(size, size)
        for _ in range(4):
            matrix @ matrix
            tensor @ tensor
        callbacks = distributed.get_worker().periodic_callbacks
        every = {name: callback.callback_time for name, callback in callbacks.items()}
        return torch.get_num_threads(), every, sys.getswitchinterval()

    pool.map(multiply, [10, 10])  # imports torch
    ((threads, callbacks, switch),) = pool.map(multiply, [700])
    (record,) = pool.tasks
    assert threads == 1
    assert record.cpu <= record.wall * 1.1 + 0.02
    assert not [name for name in callbacks if name.startswith("profile")]
    assert min(callbacks.values()) >= 100  # ms
    assert switch < 0.001


def test_values_come_in_the_order_of_items(pool):
    seen = []
    values = pool.map(square, range(30), progress=lambda done, total: seen.append((done, total)))
    assert values == [n * n for n in range(30)]
    assert (seen[0], seen[-1]) == ((0, 30), (30, 30))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert pool.map(square, []) == pool.tasks == []


def test_functions_and_classes_of_a_notebook_cell_work(pool):
    cell = {"__name__": "__main__"}
    exec(
        "class Point:\n"
        "    def __init__(self, x): self.x = x\n"
        "def shift(point): return Point(point.x + offset)\n"
        "offset = 40\n",
        cell,
    )
    assert pool.map(cell["shift"], [cell["Point"](2)])[0].x == 42
    assert pool.run(lambda point: cell["shift"](point).x, cell["Point"](1)) == [41, 41]


def test_records_and_bars_say_where_the_time_went(pool):
    def read_and_spin(seconds):
        with trace.record("input", bytes=7):
            time.sleep(0.1)
        spin(seconds)

    pool.scale(1)
    pool.scale(2)
    pool.map(read_and_spin, [0.2] * 5)
    assert sorted(record.item for record in pool.tasks) == list(range(5))
    assert {record.rank for record in pool.tasks} == {0, 1}
    for record in pool.tasks:
        assert 0.19 < record.cpu < record.wall - 0.09
        assert record.result_bytes > 0
        assert record.start + record.wall <= time.monotonic()
    bars = pool.trace.bars()
    assert pool.trace.ranks == 2
    assert sum(bars.values()) == pytest.approx(2 * pool.trace.makespan, rel=1e-6)
    assert bars["compute"] >= 0.95
    assert bars["storage"] >= 0.49
    assert bars["worker start"] > 0
    assert bars["idle"] > 0  # five tasks on two nodes, and one node that waited for the other


def test_an_exception_of_a_task_is_raised_as_it_was(pool):
    with pytest.raises(ZeroDivisionError) as raised:
        pool.map(lambda number: 1 // number, [1, 2, 0, 3])
    assert any("item 2, 0" in note for note in raised.value.__notes__)
    assert pool.map(square, [3]) == [9]


def cancel_once(begins, pool, task, items):
    """A map in a thread; once it has begun no other thing is done, and it must hear a cancel."""
    with ThreadPoolExecutor(1) as thread:
        mapped = thread.submit(pool.map, task, items)
        until(begins, "the tasks have begun")
        with pytest.raises(PoolBusy, match="busy with map"):
            pool.map(square, [1])
        pool.cancel()
        with pytest.raises(Cancelled):
            mapped.result(120)


def test_it_does_one_thing_at_a_time_and_can_be_cancelled(pool, tmp_path):
    def spin_from_now(folder):
        pathlib.Path(folder, str(os.getpid())).touch()
        spin(300.0)

    before = pids(pool)
    cancel_once(lambda: len(list(tmp_path.iterdir())) == 2, pool, spin_from_now, [str(tmp_path)] * 4)
    assert pool.map(square, [5]) == [25]
    assert pids(pool) == before  # the nodes are the same


def test_a_task_that_cannot_be_stopped_loses_its_node(pool, tmp_path):
    def sleep_from_now(file):
        pathlib.Path(file).touch()
        time.sleep(300.0)  # one call into C: no exception can reach it

    before = pids(pool)
    cancel_once((tmp_path / "asleep").exists, pool, sleep_from_now, [str(tmp_path / "asleep")])
    pool.scale(2)
    assert pool.map(square, [6]) == [36]
    assert len(pids(pool) & before) == 1


def test_a_lost_node_is_replaced_and_the_loss_shown(pool, tmp_path):
    def once(path):
        """Ends its node the first time any task gets here."""
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)

    before = pids(pool)
    with pytest.warns(NodeLost, match="was lost"):
        assert pool.map(once, [str(tmp_path / "lost")] * 25) == [None] * 25
    pool.scale(2)
    assert pool.nodes == 2
    assert len(pids(pool) - before) == 1
    assert {record.rank for record in pool.tasks} <= {0, 1}


def test_a_node_that_leaves_after_a_map_has_nothing_run_again(pool, tmp_path):
    def count(path):
        os.close(tempfile.mkstemp(dir=path)[0])
        return os.getpid()

    assert len(set(pool.map(count, [str(tmp_path)] * 40))) == 2
    assert not pool._nodes.cluster.scheduler.tasks
    pool.scale(1)
    assert pool.map(square, [3]) == [9]
    assert len(list(tmp_path.iterdir())) == 40


def test_scaling_down_and_up(pool):
    joined = []
    pool.scale(1)
    assert pool.nodes == len(pool.workers()) == 1
    pool.scale(3, progress=lambda now, wanted: joined.append((now, wanted)))
    assert pool.nodes == 3
    assert joined[-1] == (3, 3)
    pool.scale(0)
    assert pool.nodes == 0
    with pytest.raises(PoolError, match=r"scale\(n\)"):
        pool.map(square, [1])


def test_a_gang_computes_together(pool):
    def total(start):
        import torch
        import torch.distributed as dist

        tensor = torch.tensor([float(start + dist.get_rank())])
        dist.all_reduce(tensor)
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")
        return int(tensor), [os.environ[name] for name in names]

    assert pool.run(total, 10) == [(21, [rank, "2", rank, "2", "127.0.0.1"]) for rank in ("0", "1")]
    assert pool.run(total, 10, ranks=1) == [(10, ["0", "1", "0", "1", "127.0.0.1"])]
    assert sum(pool.trace.bars().values()) == pytest.approx(pool.trace.makespan, rel=1e-6)
