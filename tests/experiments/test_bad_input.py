"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into the experiments: one sentence."""

from __future__ import annotations

import math

import pytest

from hpclab.experiments import laws, machine_roof, measure_collectives, message_tables, race, replay
from hpclab.experiments.kernel_ladder import KernelLadder, observed
from hpclab.experiments.measure_speedup import ProcessSweep, ThreadSweep
from hpclab.experiments.scale_out import ScaleOut
from hpclab.models.device import from_catalogue
from hpclab.models.roofline import Work
from hpclab.models.scaling import Amdahl
from hpclab.results import Origin, Result

LADDER, SWEEP = KernelLadder(ladders=("reduction",)), measure_collectives.MeasureCollective()
A100, WORK, MORE = from_catalogue("a100-80gb"), Work(8, 8), {"parameters": {}}


class Pool:
    def run(self, *order: object) -> list[tuple[float, float]]:
        pytest.fail("it ran")


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, 1e30, "two", None], ids=repr)
def test_what_is_none_of_it(bad, refused):
    for fit in (ScaleOut().fit, machine_roof.fit, LADDER.fit, SWEEP.fit, message_tables.medians):
        refused(lambda fit=fit: fit(bad))
    refused(lambda: laws.fit(bad, "threads"))
    refused(lambda: laws.fit_law(Amdahl, bad, "threads"))
    refused(lambda: ThreadSweep(print, print, bad))
    refused(lambda: ThreadSweep(bad, print))
    refused(lambda: ThreadSweep(print, bad))
    refused(lambda: ProcessSweep(bad, ()))
    refused(lambda: ProcessSweep(print, (), bad))
    refused(lambda: KernelLadder(ladders=bad))
    refused(lambda: LADDER.predict(bad))
    refused(lambda: LADDER.predict(A100, sectors=bad if bad is not None else "none"))
    refused(lambda: SWEEP.predict(None, bad))
    refused(lambda: ScaleOut().predict(None, bad))
    refused(lambda: replay.makespan(bad, 1))
    refused(lambda: race.race(bad, print, 8))
    refused(lambda: race.race(Pool(), bad, 8))


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, 1e30, "two", None], ids=repr)
def test_what_is_no_number_of_this(bad, refused):
    refused(lambda: replay.makespan([1.0], 1, bad))
    for seconds in (bad, 0):
        refused(lambda seconds=seconds: measure_collectives.algbw(8, seconds))
        refused(lambda seconds=seconds: measure_collectives.busbw("all_reduce", 8, 2, seconds))
        refused(lambda seconds=seconds: observed(WORK, seconds, Origin.MEASURED, MORE))
    refused(lambda: measure_collectives.busbw("ping_pong", bad, 2, 1.0))
    refused(lambda: observed(bad, 1.0, Origin.MEASURED, MORE))


def test_a_table_is_made_of_messages(refused):
    refused(lambda: message_tables.nccl_table([Result("e", "time", 1.0, "measured")]))
