"""A learner's all-reduce is held against the library's on real ranks, and timed beside it."""

from types import SimpleNamespace

import pytest

from hpclab import timing
from hpclab.cluster.errors import RankError
from hpclab.experiments.race import around_crossover, in_turns, race

pytestmark = pytest.mark.slow


def by_gathering(vector):
    import torch
    import torch.distributed as dist

    all_of_them = [torch.empty_like(vector) for _ in range(dist.get_world_size())]
    dist.all_gather(all_of_them, vector.clone())
    vector.copy_(sum(all_of_them))


def forgets_the_last(vector):
    import torch.distributed as dist

    last = vector[-1].item()
    dist.all_reduce(vector)
    vector[-1] = last


def test_a_right_one_is_timed_and_a_wrong_one_is_named(pool):
    pool.scale(2)
    ours, theirs, _ = race(pool, by_gathering, 1001)
    assert 0 < ours < 10
    assert 0 < theirs < 10
    with pytest.raises(RankError, match="1 of 1001 sums are wrong; the first is element 1000"):
        race(pool, forgets_the_last, 1001)


def test_the_learners_time_is_the_first_and_each_is_that_of_the_slowest_rank():
    def took(*seconds):
        return [[timing.Sample(wall, wall)] for wall in seconds]

    ranks = [took(3.0, 1.0), took(2.0, 0.5)]
    pool = SimpleNamespace(run=lambda *given: ranks)
    assert race(pool, by_gathering, 8)[:2] == (3.0, 1.0)


def test_algorithms_and_ways_are_measured_in_turns(pool):
    pool.scale(2)
    times = {"ring": lambda n: 1e-4 + n * 1e-9, "binomial_tree": lambda n: 2e-5 + 2 * n * 1e-9}
    found, change = around_crossover(pool, times)
    assert change == pytest.approx(8e4, rel=2e-3)
    assert [one.parameters["algorithm"] for one in found[::12]] == 2 * [*times]
    sizes = [one.parameters["bytes"] for one in found]
    assert min(sizes) < change < max(sizes)
    assert around_crossover(pool, times, known=False)[1] is None
    ways = in_turns(pool, lambda way: (way, timing.repeat(int, repeats=1)[0]), (3, 2))
    assert [(way, value[0], isinstance(doubt, str)) for way, (value, doubt) in ways.items()] == [
        (3, 3, True), (2, 2, True),
    ]  # fmt: skip
