"""Fault 15: kernels restarted, cells run twice or out of order."""

import contextlib
import io

import pytest

from hpclab.cluster import local_slurm as up_and_down
from tests.conftest import jobs_left, until


class Kernel:
    """A real Jupyter kernel, as JupyterLab starts and restarts it."""

    def __init__(self):
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(kernel_name="python3", startup_timeout=60)

    def run(self, code: str) -> str:
        """What the cell prints, or its error's name and text."""
        with contextlib.redirect_stdout(io.StringIO()) as said:
            reply = self.client.execute_interactive(code, timeout=60, stop_on_error=False)["content"]
        return said.getvalue().strip() if reply["status"] == "ok" else f"{reply['ename']}: {reply['evalue']}"

    def restart(self, now: bool) -> None:
        self.manager.restart_kernel(now=now)
        self.client.wait_for_ready(timeout=60)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(local_slurm):
    """On the session's Slurm, with nothing of its pools left in the queue after its end."""
    kernel = Kernel()
    yield kernel
    kernel.close()
    until(lambda: jobs_left(local_slurm.environment) == [], "all its jobs are gone")


START = """
from hpclab.cluster import Pool, slurm
pool = Pool(nodes=2)
print(pool._nodes.name, pool._nodes.backend.batch.environment["SLURM_CONF"], pool.nodes)
"""
MARK = """
import pathlib, time

def mark(path):
    pathlib.Path(path).touch()
    time.sleep(60)
"""
QUEUED = ["PENDING"] * 2 + ["RUNNING"] * 4


@pytest.mark.slow
@pytest.mark.slurm
def test_a_kernel_restarted_twice_finds_the_slurm_and_leaves_no_job(local_slurm, client, kernel):
    supervisor = local_slurm.supervisor
    names = []
    for how in ("killed", "restarted", ""):  # of four nodes, so the third pool needs what the first held
        name, conf, nodes = kernel.run(START).split()
        assert nodes == "2"
        assert conf == str(local_slurm.directory / "slurm.conf")
        names.append(name)
        if how == "killed":  # with jobs that wait, which no worker's end will end
            kernel.client.execute("pool.scale(6)")
            until(lambda: sorted(job.state for job in client.queue()) == QUEUED, "its jobs are queued")
            waiting = [job.id for job in client.queue() if job.state == "PENDING"]
        elif how:  # while a map runs, as impatient people do
            kernel.run(MARK)
            mark = local_slurm.directory / "map_began"
            kernel.client.execute(f"pool.map(mark, [{str(mark)!r}] * 4)")
            until(mark.exists, "the map has begun")
        if how:
            kernel.restart(now=how == "killed")
            until(lambda: jobs_left(local_slurm.environment, name) == [], "its jobs are gone")  # noqa: B023
    assert kernel.run("print(pool.map(abs, [-1, -2]))") == "[1, 2]"
    assert len(set(names)) == 3
    assert {job.state for job in client.history(waiting)} == {"CANCELLED"}  # and not begun in vain
    assert up_and_down.find().supervisor == supervisor


@pytest.mark.slow
@pytest.mark.slurm
def test_cells_run_twice_and_out_of_order(local_slurm, client, kernel):
    first = kernel.run(START)
    second = kernel.run(START)  # start clicked twice: the new pool works, the old one is collected
    assert first.split()[0] != second.split()[0]
    assert kernel.run("import gc; gc.collect(); print(pool.map(abs, [-1]))") == "[1]"
    until(lambda: {job.name for job in client.queue()} == {second.split()[0]}, "only the new pool has jobs")
    # A cell before the one it needs, and one after the last.
    assert "pool.scale(1) first" in kernel.run("empty = Pool(nodes=0)\nempty.run(abs)")
    kernel.run("pool.close(); pool.close()")
    assert kernel.run("pool.map(abs, [1])").startswith("PoolClosed: This pool has been closed; make a new")
    # A cell interrupted: the nodes are still there for the next.
    kernel.run("empty.scale(1)")
    kernel.run(MARK)
    asleep = local_slurm.directory / "asleep"
    kernel.client.execute(f"empty.map(mark, [{str(asleep)!r}])", stop_on_error=False)  # aborts no later cell
    until(asleep.exists, "the map has begun")
    kernel.manager.interrupt_kernel()
    assert kernel.client.get_shell_msg(timeout=60)["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.run("print(empty.map(abs, [-3]), empty.nodes)") == "[3] 1"
