"""A node that cannot answer: left by sys.exit, ended politely, out of memory, or lost for good."""

import os
import signal
import sys
import threading
import time

import pytest

from hpclab.cluster import Pool, repairs
from hpclab.cluster.backends.local import LocalNodes
from hpclab.cluster.errors import Cancelled, JoinError, NodeKilled, NodeLost, PoolError, TaskExit
from hpclab.cluster.maps import mapping, tasks
from hpclab.cluster.request import LEAST_MEMORY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool():
    with Pool(2, backend="local") as pool:
        yield pool


class LeavesWhenUnpacked:
    def __reduce__(self):
        return sys.exit, ("no such data",)


def interrupt(_):
    raise KeyboardInterrupt


def test_leaving_a_task_is_that_items_error(pool):
    before = [worker.pid for worker in pool.workers()]
    for task, item, words in (
        (sys.exit, "cannot open the data", r"SystemExit \(cannot open the data\)"),
        (interrupt, 0, "KeyboardInterrupt"),
        (abs, LeavesWhenUnpacked(), r"SystemExit \(no such data\)"),
    ):
        with pytest.raises(TaskExit, match=words) as raised:
            pool.map(task, [item])
        assert "item 0" in raised.value.__notes__[0]
    assert pool.map(abs, [-1]) == [1]
    assert [worker.pid for worker in pool.workers()] == before


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_item_is_named_however_it_ends_its_node(pool, monkeypatch, how):
    monkeypatch.setattr(mapping, "DEATHS", 2)

    def ends(number):
        if number == 3:
            os.kill(os.getpid(), how)
            time.sleep(60)  # the worker takes its leave meanwhile
        return number

    with pytest.warns(NodeLost), pytest.raises(NodeKilled, match="item 3") as raised:
        pool.map(ends, range(8))
    assert raised.value.item == 3
    assert pool.map(abs, [-1, -2]) == [1, 2]


def test_an_item_that_only_waited_on_lost_nodes_is_tried_again(monkeypatch, tmp_path):
    monkeypatch.setattr(mapping, "DEATHS", 2)

    def fatal_once(number):
        try:
            os.close(os.open(f"{tmp_path}/{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return number
        os.kill(os.getpid(), signal.SIGKILL)

    # The last waits while each of the others ends the node.
    with Pool(1, backend="local") as pool, pytest.warns(NodeLost):
        assert pool.map(fatal_once, range(4)) == [0, 1, 2, 3]


def test_a_worker_that_takes_its_leave_notes_no_further_item(tmp_path, monkeypatch):
    """It may begin one more before it is gone, which is not to blame."""
    monkeypatch.setattr(tasks, "_frozen", threading.Event())
    before, heard = signal.getsignal(signal.SIGTERM), []
    try:
        tasks.freeze_started_item(signal.SIGTERM, lambda *_: heard.append("closing"))
        tasks.note_started_item(str(tmp_path), "node", 7, 3)
        os.kill(os.getpid(), signal.SIGTERM)
        tasks.note_started_item(str(tmp_path), "node", 7, 4)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["closing"]
    assert tasks.started_item(tmp_path, "node", os.getpid(), 7) == 3
    assert tasks.started_item(tmp_path, "node", os.getpid(), 8) is None


def test_when_every_node_is_out_of_memory_more_is_asked_for(monkeypatch):
    monkeypatch.setattr(repairs, "PAUSED", 1.0)

    def fill(mebibytes):
        import sys

        sys.modules["kept_by_the_test"] = sys.modules.get("kept_by_the_test", b"x" * mebibytes * 2**20)

    words = r"(?s)300 MiB of memory.*Pool\(memory="
    with Pool(1, backend="local", memory="300 MiB") as pool, pytest.raises(PoolError, match=words):
        pool.map(fill, [200, 1, 1])


def test_the_least_memory_is_enough_for_a_small_task():
    with Pool(1, backend="local", memory=LEAST_MEMORY) as pool:
        assert pool.map(abs, range(-3, 0)) == [3, 2, 1]


def test_no_node_left_and_none_to_be_had(monkeypatch):
    with Pool(1, backend="local") as pool:
        monkeypatch.setattr(
            LocalNodes, "worker_command", lambda self, *_: [sys.executable, "-c", "raise SystemExit('gone')"]
        )
        os.kill(pool.workers()[0].pid, signal.SIGKILL)
        with pytest.warns(NodeLost), pytest.raises(JoinError, match=r"(?s)No node is left.*gone"):
            pool.map(abs, range(4))
        # The next map asks again, though what is missing was asked for in the last.
        monkeypatch.undo()
        assert pool.map(abs, range(4)) == [0, 1, 2, 3]


@pytest.mark.parametrize("call", [pytest.param("map", marks=pytest.mark.soak), "run"])
def test_a_cancel_is_heard_while_a_node_is_stopped(call, monkeypatch):
    monkeypatch.setattr(repairs, "SUSPENDED", 3.0)  # the next map may choose that node
    with Pool(2, backend="local") as pool:
        os.kill(stopped := pool.workers()[1].pid, signal.SIGSTOP)
        threading.Timer(1.0, pool.cancel).start()
        with pytest.raises(Cancelled):
            pool.map(time.sleep, [60] * 2) if call == "map" else pool.run(time.sleep, 60, timeout=120)
        assert pool.map(abs, [-1]) == [1]
    with pytest.raises(ProcessLookupError):
        os.kill(stopped, 0)
