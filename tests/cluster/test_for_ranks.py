"""How many ranks a lesson gets."""

from dataclasses import replace

import pytest

from hpclab.cluster import for_ranks
from hpclab.cluster.errors import JoinError
from hpclab.cluster.slurm import SubmitError
from hpclab.machine import probe


@pytest.fixture
def site(monkeypatch):
    """``site(room, error)``: what pools are made from."""

    def put(room, error=None):
        for name, value in (("room", room), ("error", error), ("closed", 0)):
            monkeypatch.setattr(Site, name, value)
        monkeypatch.setattr(for_ranks, "Pool", Site)

    return put


@pytest.mark.parametrize(("memory", "free", "ranks"), [(64e9, 32e9, 4), (2e9, 2e9, 2), (64e9, 0.5e9, 2)])
def test_two_ranks_where_memory_is_short(site, monkeypatch, memory, free, ranks):
    here = probe()
    small = replace(here, memory=replace(here.memory, usable=int(memory), available=int(free)))
    monkeypatch.setattr(for_ranks, "probe", lambda: small)
    site(4)
    assert for_ranks.pool_for(4).nodes == ranks
    assert for_ranks.pool_for(1).nodes == 1


class Site:
    """Stands for a Pool whose site has `room` for nodes and meets more with `error`."""

    room, error, closed = 4, None, 0

    def __init__(self, nodes=0, backend="auto", **_):
        self.nodes, self.backend = 0, backend
        self.scale(nodes)

    def scale(self, nodes):
        self.nodes = nodes if self.backend == "local" else min(nodes, self.room)
        if self.nodes < nodes:
            raise self.error

    def close(self):
        Site.closed += 1


@pytest.mark.parametrize(
    ("room", "error", "backend"),
    [
        (3, JoinError("1 of 4 nodes had not joined after 60 s. Job 7 is PENDING."), "auto"),
        (1, JoinError("3 of 4 nodes had not joined after 60 s."), "local"),
        (0, SubmitError("sbatch: Invalid account."), "local"),
        (0, OSError("A pool's files must be where all nodes see them."), "local"),
        (0, ValueError("jobqueue.slurm.queue in jobqueue.yaml must be a name."), "local"),
    ],
)
def test_what_joined_is_used_and_else_this_machine_and_why_is_said(site, capsys, room, error, backend):
    site(room, error)
    pool = for_ranks.pool_for(4)
    assert (pool.backend, pool.nodes) == (backend, 2 if backend == "auto" else 4)
    assert Site.closed == (backend == "local")
    assert str(error) in capsys.readouterr().out


def test_an_interrupt_leaves_no_pool_and_a_wrong_argument_is_no_site(site):
    site(0, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        for_ranks.pool_for(4)
    assert Site.closed == 1
    with pytest.raises(ValueError, match="ranks"):
        for_ranks.pool_for(ranks=1.5)
