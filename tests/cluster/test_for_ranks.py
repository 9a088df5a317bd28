"""How many ranks a lesson gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpclab.cluster import for_ranks
from hpclab.cluster.errors import JoinError
from hpclab.cluster.slurm import SlurmError, SubmitError
from hpclab.machine import probe


@pytest.mark.parametrize(("memory", "free", "ranks"), [(64e9, 32e9, 4), (2e9, 2e9, 2), (64e9, 0.5e9, 2)])
def test_two_ranks_where_memory_is_short(monkeypatch, memory, free, ranks):
    here = probe()
    small = replace(here, memory=replace(here.memory, usable=int(memory), available=int(free)))
    monkeypatch.setattr(for_ranks, "probe", lambda: small)
    monkeypatch.setattr(for_ranks, "Pool", lambda nodes, **options: nodes)
    assert for_ranks.pool_for(4) == ranks
    assert for_ranks.pool_for(1) == 1


@pytest.mark.parametrize(
    "refusal",
    [JoinError("They wait."), SubmitError("Invalid account."), SlurmError("Slurm is away."),
     OSError("No place for a pool's files."), ValueError("jobqueue.slurm.queue must be text.")],
)  # fmt: skip
def test_a_lesson_goes_on_where_the_site_gives_no_nodes(monkeypatch, capsys, refusal):
    def pool(nodes, backend="auto", **options):
        if backend == "auto":
            raise refusal
        return backend

    monkeypatch.setattr(for_ranks, "Pool", pool)
    assert for_ranks.pool_for(2) == "local"
    assert str(refusal) in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", [{"ranks": 0}, {"ranks": 1.5}, {"join_timeout": 0}, {"join_timeout": "soon"}]
)
def test_a_wrong_argument_is_no_site(monkeypatch, wrong):
    monkeypatch.setattr(for_ranks, "Pool", lambda *_, **__: pytest.fail("it asked for nodes"))
    with pytest.raises(ValueError, match=next(iter(wrong))):
        for_ranks.pool_for(**wrong)
