"""What goes wrong around a pool is named by its cause, at once."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time

import pytest

from hpclab.cluster import Pool, local_slurm, slurm
from hpclab.cluster.errors import PoolClosed, PoolError
from hpclab.cluster.gang import relay
from hpclab.cluster.slurm import SlurmError
from tests.conftest import until

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


def test_a_pool_closed_under_a_map(pool):
    threading.Timer(1.0, pool.close).start()
    with pytest.raises(PoolClosed, match="closed while map was under way"):
        pool.map(time.sleep, [60])


def test_a_pool_closed_by_its_own_progress(pool):
    with pytest.raises(PoolClosed):
        pool.map(abs, range(3), progress=lambda done, total: pool.close())


def test_the_directory_of_the_pool_removed(pool):
    shutil.rmtree(pool._nodes.backend.directory)
    assert pool.map(abs, [-1]) == [1]
    for call in (lambda: pool.scale(2), lambda: pool.run(os.getpid)):
        with pytest.raises(PoolError, match=r"directory .* was removed"):
            call()


def test_the_working_directory_deleted(pool, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert pool.map(abs, [-1]) == [1]
    with pytest.raises(PoolError, match=r"working directory .* deleted.*os\.chdir"):
        pool.scale(2)
    monkeypatch.undo()
    pool.scale(2)


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


@pytest.mark.slurm
def test_the_files_of_our_slurm_removed(state_dir):
    client = slurm.connect(export=False)
    directory = os.path.dirname(client.environment["SLURM_CONF"])
    shutil.rmtree(directory)
    with pytest.raises(SlurmError, match="was removed; hpclab slurm up"):
        client.queue()
    until(lambda: local_slurm.find(stale=True) is None, "its supervisor has ended")
