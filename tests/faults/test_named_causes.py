"""What goes wrong around a pool, or keeps its nodes from joining, is named by its cause, at once."""

import os
import shutil
import sys
import threading
import time
from dataclasses import replace

import pytest

from hpclab.cluster import Pool, watch
from hpclab.cluster.backends.local import LocalNodes
from hpclab.cluster.errors import JoinError, PoolClosed, PoolError
from hpclab.cluster.gang import relay
from hpclab.cluster.slurm import SubmitError
from tests.conftest import jobs_left

pytestmark = pytest.mark.slow


@pytest.fixture
def pool():
    with Pool(1, backend="local") as pool:
        yield pool


def test_a_forked_child_has_no_nodes(pool):
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            pool.map(abs, [1])
        except PoolError as error:
            os.write(writer, str(error).encode())
        pool.close()  # must not take the parent's nodes away
        os._exit(0)
    os.waitpid(child, 0)
    said = os.read(reader, 1000).decode()
    os.close(reader)
    os.close(writer)
    assert "forked child" in said
    assert str(os.getpid()) in said
    assert pool.map(abs, [-1]) == [1]


@pytest.mark.parametrize("starved", [0.0, float("inf")])
def test_seconds_without_a_core_do_not_count_up_to_nine_times_the_limit(starved):
    looks, late = [], JoinError("late")
    ready, pause = lambda: looks.append(1), lambda _: time.sleep(0.1)
    with pytest.raises(JoinError, match="late"):
        watch.Activity().until(ready, 0.2, lambda: late, pause, lambda: starved)
    assert (len(looks) > 10) == (starved > 0)


def test_a_pool_closed_under_a_map_or_by_its_own_progress(pool):
    with Pool(1, backend="local") as other, pytest.raises(PoolClosed):
        other.map(abs, range(3), progress=lambda done, total: other.close())
    threading.Timer(1.0, pool.close).start()
    with pytest.raises(PoolClosed, match="closed while map was under way"):
        pool.map(time.sleep, [60])


def test_the_directory_of_the_pool_or_the_working_directory_removed(pool, tmp_path, monkeypatch):
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert pool.map(abs, [-1]) == [1]
    with pytest.raises(PoolError, match=r"working directory .* deleted.*os\.chdir"):
        pool.scale(2)
    monkeypatch.undo()
    pool.scale(2)
    shutil.rmtree(pool._nodes.backend.directory)
    assert pool.map(abs, [-1]) == [1]
    for call in (lambda: pool.scale(3), lambda: pool.run(os.getpid)):
        with pytest.raises(PoolError, match=r"directory .* was removed"):
            call()


def test_an_agent_that_cannot_start_says_its_last_words(pool):
    def break_it(module):
        """In the worker: its agent's Python finds no torch."""
        import asyncio

        start = asyncio.create_subprocess_exec

        async def broken(*words, **options):
            return await start(sys.executable, "-c", "raise SystemExit('no torch to be found')", **options)

        asyncio.create_subprocess_exec = broken

    pool.map(break_it, [relay.__name__])
    with pytest.raises(PoolError, match=r"(?s)agent of rank 0 .*ended with status 1.*no torch to be found"):
        pool.run(os.getpid)


def test_a_local_node_that_cannot_start(monkeypatch):
    program = [sys.executable, "-c", "raise SystemExit('no such library')"]
    monkeypatch.setattr(LocalNodes, "worker_command", lambda self, *_: program)
    with pytest.raises(JoinError, match=r"(?s)ended before they joined.*status 1.*no such library"):
        Pool(2, backend="local", join_timeout=120)


@pytest.mark.slurm
class TestOnSlurm:
    @pytest.fixture(autouse=True)
    def _after(self, local_slurm):
        yield
        assert jobs_left(local_slurm.environment) == []

    def test_another_python_than_the_notebooks(self, monkeypatch):
        class System:  # for the watchdog, which is to start
            executable = sys.executable

        monkeypatch.setattr("hpclab.cluster.watchdog.sys", System())
        for python, words in (
            ("/no/such/place/bin/python", r"(?s)FAILED.*No such file.*does not exist on the node"),
            ("/usr/bin/python3", "lacks a package"),
        ):
            monkeypatch.setattr(sys, "executable", python)
            with pytest.raises(JoinError, match=words):
                Pool(1, backend="slurm", join_timeout=120)

    def test_more_nodes_than_there_are_wait_with_their_reason_and_the_others_stay(self):
        with Pool(4, backend="slurm") as pool:
            pool._nodes.request = replace(pool._nodes.request, join_timeout=2)
            words = r"(?s)2 of 6 nodes had not joined after 2 s.*PENDING\. (Resources|Priority|None): "
            with pytest.raises(JoinError, match=words):
                pool.scale(6)
            assert pool.nodes == len(pool.jobs()) == 4
            assert pool.map(abs, [-1]) == [1]

    def test_what_slurm_refuses(self):
        with pytest.raises(SubmitError, match="node configuration is not available"):
            Pool(1, backend="slurm", gpus_per_node=7)
