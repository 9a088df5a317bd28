"""What torch.profiler saw, as Events: every instant has one part, and messages are told from operators."""

import pytest

from hpclab.cluster import Pool
from hpclab.parallel.profiled import PARTS, profiled, where
from hpclab.trace import Event


def test_every_instant_has_one_part():
    events = [
        Event(0, "input", 0, 2), Event(0, "compute", 2, 4), Event(0, "reduce", 4, 5),
        Event(0, "reduce", 5, 1), Event(0, "compute", 10, 1),
    ]  # fmt: skip
    assert where(events) == dict(zip(PARTS, (3, 2, 3, 2, 1), strict=True))
    assert sum(where([]).values()) == 0


@pytest.mark.slow
def test_operators_and_messages_of_two_ranks():
    def look():
        import torch
        import torch.distributed as dist

        weights = torch.rand(64, 64, requires_grad=True)

        def step():
            (weights @ weights).sum().backward()
            dist.all_reduce(weights.grad)

        return profiled(step)

    with Pool(2, backend="local") as pool:
        ranks = pool.run(look)
    for rank, events in enumerate(ranks):
        kinds = {one.kind for one in events}
        assert kinds == {"compute", "reduce"}
        assert {one.rank for one in events} == {rank}
        assert [one.label for one in events if one.kind == "reduce"] == ["gloo:all_reduce"]
        assert "aten::matmul" in {one.label for one in events}
        assert where(events)["exposed communication"] > 0
