"""The formulas against the simulation of the schedules themselves, and against hand-worked numbers."""

import pytest

from hpclab import schedules
from hpclab.models import formulas
from hpclab.models.collectives import simulate
from hpclab.models.network import Link
from hpclab.models.topologies import single_node

LINK = Link("link", 1e-6, 1e9)


def time(collective, algorithm, ranks=8, size=8e6):
    case = formulas.Case(ranks, size, lambda bytes_: 1e-6 + bytes_ * 1e-9)
    return formulas.FORMULAS[collective, algorithm](case)


@pytest.mark.parametrize(("collective", "algorithm"), formulas.FORMULAS)
def test_formula_and_simulation_agree(collective, algorithm):
    for ranks in (1, 2, 3, 5, 6, 7, 8, 12, 16):
        schedule = schedules.collective(collective, algorithm, ranks, 48 * ranks)
        simulated = simulate(schedule, single_node(LINK, ranks), 4).time
        assert simulated == pytest.approx(time(collective, algorithm, ranks, 192 * ranks), rel=1e-9)


def test_by_hand():
    assert time("all_reduce", "ring") == pytest.approx(14 * (1e-6 + 1e-3))
    assert time("broadcast", "binomial_tree") == pytest.approx(3 * (1e-6 + 8e-3))
    assert time("all_reduce", "halving_doubling") == pytest.approx(6e-6 + 14e-3)
    assert time("all_to_all", "pairwise") == pytest.approx(7 * (1e-6 + 1e-3))
    assert time("all_to_all", "bruck") == pytest.approx(3 * (1e-6 + 4e-3))


def test_bus_factors_are_those_of_nccl_tests():
    assert [formulas.bus_factor("all_reduce", gpus) for gpus in (1, 8)] == [0, 1.75]
    assert formulas.bus_factor("all_gather", 8) == formulas.bus_factor("all_to_all", 8) == 0.875
    assert formulas.bus_factor("broadcast", 8) == formulas.bus_factor("send_recv", 8) == 1
