"""The live queue: shows what Slurm or a pool says, one poll for all; stops by itself and when dropped."""

import gc
import threading
import time
from types import SimpleNamespace

import pytest

from hpclab.cluster.slurm import Job, Node, Slurm, SlurmTimeout
from hpclab.cluster.slurm.records import node_names
from hpclab.exercises.lesson_04.job_follow import ThisMachine
from hpclab.widgets import queue_view
from tests.conftest import until

NODES = [Node(f"node{n}", "idle", 1, 2**30, 0, "") for n in (1, 2, 3)]


def job(number, state, nodes="", reason="", **more):
    return Job(number, "train", state, reason, "main", 1, nodes, 0.0, 0.0, 60.0, **more)


class Spoken(Slurm):
    """A Slurm that says what it is told, and counts how often it is asked."""

    asked = 0
    answer: object = ()

    def queue(self, job_ids=None):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return list(self.answer)

    def nodes(self):
        return NODES


@pytest.fixture
def slurm():
    return Spoken("local", "22.05", {})


def view_of(slurm, interval=0.2, stops_after=60.0):
    return queue_view.QueueView(lambda: queue_view.slurm_snapshot(slurm), interval, stops_after)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "queue view"]


def test_what_is_shown(slurm):
    slurm.answer = [
        job(1, "RUNNING", "node[1-2]"),
        job(7, "PENDING", reason="Resources", array_task=3, array_job=5),
        job(8, "PENDING", reason="<b>odd</b>"),
    ]
    view = view_of(slurm)
    view.refresh()
    assert "1 job running, 2 waiting; 3 nodes." in view.status.value
    assert 'role="status"' in view.status.value
    boxes = {"node1": "job 1 train", "node2": "job 1 train", "node3": "idle", "job 5_3 train": "pending: Res"}
    assert all(f"{name}</b> {said}" in view.picture.value for name, said in boxes.items())
    assert "it is the next to start" in view.picture.value
    assert "<b>odd" not in view.picture.value
    assert slurm.asked == 1


def test_a_silent_slurm_is_said_and_the_picture_stays(slurm):
    view = view_of(slurm)
    view.refresh()
    assert "0 jobs running" in view.status.value
    before = view.picture.value
    slurm.answer = SlurmTimeout("squeue did not answer within 10 s.")
    view.refresh()
    assert "did not answer" in view.status.value
    assert view.picture.value == before


def test_a_pool_is_shown_by_its_processes_and_what_is_on_its_way():
    pool = SimpleNamespace(nodes=1, backend="local", workers=lambda: [SimpleNamespace(rank=0, pid=4242)])
    view = queue_view.pool_view(pool, lambda: 3)
    view.refresh()
    assert "process 4242" in view.picture.value
    assert "1 of 3 nodes joined" in view.picture.value
    assert view.status.value == ""


def test_the_button_stops_and_starts_with_a_last_look(slurm):
    view = view_of(slurm)
    view.button.click()
    assert view.running
    assert view.button.description == "Stop refreshing"
    until(lambda: slurm.asked >= 2, "two looks")
    slurm.answer = [job(1, "RUNNING", "node1")]
    view.button.click()
    assert not view.running
    assert view.button.description == "Refresh again"
    until(lambda: not threads(), "the thread to end")
    assert "1 job running" in view.status.value
    asked = slurm.asked
    time.sleep(0.6)
    assert slurm.asked == asked


@pytest.mark.slow
def test_it_stops_by_itself_and_when_dropped(slurm):
    short = view_of(slurm, stops_after=0.4)
    short.start()
    until(lambda: not short.running and not threads(), "it to stop by itself")
    view = view_of(slurm, stops_after=86_400)
    view.start()
    view.start()
    assert len(threads()) == 1
    del view
    gc.collect()
    until(lambda: not threads(), "the dropped view's thread to end")


def test_without_slurm_it_says_so_and_asks_nothing():
    view = view_of(ThisMachine("none", "No Slurm on this machine: scripts run on its processes.", {}))
    view.start()
    view.refresh()
    assert "No Slurm on this machine" in view.status.value
    assert not view.running


def test_node_lists():
    assert node_names("node[1-3,7],gpu09,a[08-10]b") == [
        "node1", "node2", "node3", "node7", "gpu09", "a08", "a09", "a10", "b",
    ]  # fmt: skip
    assert node_names("") == []
    assert len(node_names("n[0-999999999]")) == 1000
