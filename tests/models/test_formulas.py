"""The formulas against the simulation of the schedules themselves."""

import pytest

from hpclab import schedules
from hpclab.models import formulas
from hpclab.models.collectives import simulate
from hpclab.models.network import Link
from hpclab.models.topologies import single_node

LINK = Link("link", 1e-6, 1e9)


@pytest.mark.parametrize(("collective", "algorithm"), formulas.FORMULAS)
def test_formula_and_simulation_agree(collective, algorithm):
    for ranks in (1, 2, 3, 5, 6, 7, 8, 12, 16):
        schedule = schedules.collective(collective, algorithm, ranks, 48 * ranks)
        simulated = simulate(schedule, single_node(LINK, ranks), 4).time
        case = formulas.Case(ranks, 192 * ranks, lambda size: 1e-6 + size * 1e-9)
        assert simulated == pytest.approx(formulas.FORMULAS[collective, algorithm](case), rel=1e-9)


def test_bus_factors_are_those_of_nccl_tests():
    assert [formulas.bus_factor("all_reduce", gpus) for gpus in (1, 8)] == [0, 1.75]
    assert formulas.bus_factor("all_gather", 8) == formulas.bus_factor("all_to_all", 8) == 0.875
    assert formulas.bus_factor("broadcast", 8) == formulas.bus_factor("send_recv", 8) == 1
