"""The formulas against the simulation of the schedules themselves, and against hand-worked numbers."""

import pytest

from hpclab import schedules
from hpclab.models import formulas
from hpclab.models.collectives import simulate
from hpclab.models.network import Link
from hpclab.models.topologies import cluster, single_node

LINK, INSIDE = Link("link", 1e-6, 1e9), Link("inside", 2e-7, 4e9)
PAIRS = [(name, algorithm) for name in schedules.ALGORITHMS for algorithm in schedules.ALGORITHMS[name]]


@pytest.mark.parametrize(("collective", "algorithm"), PAIRS)
def test_formula_and_simulation_agree(collective, algorithm):
    if algorithm == "double_binary_tree":
        pytest.skip("an upper bound, tested below")
    for ranks, width in ((1, 1), (2, 1), (3, 1), (5, 1), (6, 3), (7, 1), (8, 4), (12, 4), (16, 8)):
        elements = 48 * ranks
        schedule = schedules.collective(collective, algorithm, ranks, elements, ranks_per_node=width)
        if algorithm == "hierarchical":
            network = cluster(ranks // width, width, INSIDE, LINK, width)
        else:
            network = single_node(LINK, ranks)
        expected = formulas.time(
            collective, algorithm, ranks, 4 * elements, 1e-6, 1e-9, 2e-10,
            ranks_per_node=width, inside=(2e-7, 1 / 4e9),
        )  # fmt: skip
        assert simulate(schedule, network, 4, reduce_bandwidth=5e9).time == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("collective", ["broadcast", "reduce", "all_reduce"])
@pytest.mark.parametrize("ranks", [1, 2, 5, 8, 17])
def test_the_double_tree_stays_under_its_bound_and_near_it(collective, ranks):
    elements, chunks = 2**15, 64
    schedule = schedules.collective(collective, "double_binary_tree", ranks, elements, chunks=chunks)
    bound = formulas.time(collective, "double_binary_tree", ranks, 4 * elements, 1e-6, 1e-9, chunks=chunks)
    assert 0.45 * bound <= simulate(schedule, single_node(LINK, ranks)).time <= bound * 1.0001


def test_by_hand():
    def time(collective, algorithm, ranks=8, size=8e6):
        return formulas.time(collective, algorithm, ranks, size, 1e-6, 1e-9)

    assert time("all_reduce", "ring") == pytest.approx(14 * (1e-6 + 1e-3))
    assert time("broadcast", "binomial_tree") == pytest.approx(3 * (1e-6 + 8e-3))
    assert time("broadcast", "star") == pytest.approx(1e-6 + 7 * 8e-3)
    assert time("all_reduce", "halving_doubling") == pytest.approx(6e-6 + 14e-3)
    assert time("all_to_all", "pairwise") == pytest.approx(7 * (1e-6 + 1e-3))
    assert time("all_to_all", "bruck") == pytest.approx(3 * (1e-6 + 4e-3))


def test_bus_factors_are_those_of_nccl_tests():
    assert formulas.bus_factor("all_reduce", 8) == 1.75
    assert formulas.bus_factor("all_gather", 8) == formulas.bus_factor("all_to_all", 8) == 0.875
    assert formulas.bus_factor("broadcast", 8) == 1
    assert formulas.bus_factor("all_reduce", 1) == 0


def test_switches_that_add_halve_an_all_reduce_of_many_ranks():
    ring = formulas.time("all_reduce", "ring", 512, 1e9, 0, 1e-9)
    assert formulas.in_network("all_reduce", 512, 1e9, 0, 1e-9) == pytest.approx(ring / 2, rel=0.01)
    assert formulas.in_network("all_reduce", 8, 8e6, 0, 1e-9, "nvls") == pytest.approx(9e-3)
    assert formulas.in_network("all_reduce", 1, 1e9, 1, 1) == 0


@pytest.mark.parametrize("bad", [-1, float("nan"), 1e30, "two", None])
def test_bad_numbers_are_refused(bad):
    for call in (
        lambda: formulas.time("all_reduce", "ring", bad, 8, 0, 0),
        lambda: formulas.time("all_reduce", "ring", 8, bad, 0, 0),
        lambda: formulas.time("all_reduce", "ring", 8, 8, bad, 0),
        lambda: formulas.bus_factor("all_reduce", bad),
        lambda: formulas.in_network("all_reduce", 8, bad, 0, 0),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()


def test_what_is_no_pair_of_the_table_is_refused():
    with pytest.raises(ValueError, match="ring"):
        formulas.time("all_reduce", "telepathy", 8, 8, 0, 0)
    with pytest.raises(ValueError, match="inside"):
        formulas.time("all_reduce", "hierarchical", 8, 8, 0, 0)
    with pytest.raises(ValueError, match="divide"):
        formulas.time("all_reduce", "hierarchical", 8, 8, 0, 0, ranks_per_node=3, inside=(0, 0))
