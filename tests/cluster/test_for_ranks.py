"""How many ranks a lesson gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hpclab.cluster import for_ranks
from hpclab.machine import probe


@pytest.mark.parametrize(("memory", "free", "ranks"), [(64e9, 32e9, 4), (2e9, 2e9, 2), (64e9, 0.5e9, 2)])
def test_two_ranks_where_memory_is_short(monkeypatch, memory, free, ranks):
    here = probe()
    small = replace(here, memory=replace(here.memory, usable=int(memory), available=int(free)))
    monkeypatch.setattr(for_ranks, "probe", lambda: small)
    monkeypatch.setattr(for_ranks, "Pool", lambda nodes, **options: nodes)
    assert for_ranks.pool_for(4) == ranks
    assert for_ranks.pool_for(1) == 1
