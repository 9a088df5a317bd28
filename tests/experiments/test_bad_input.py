"""0, NaN, 1e30, text, None and a wrong type into the experiments: one sentence."""

import math

import pytest

from hpclab.experiments import message_tables
from hpclab.experiments.kernel_ladder import KernelLadder
from hpclab.experiments.measure_collectives import MeasureCollective
from hpclab.experiments.measure_speedup import ProcessSweep, ThreadSweep
from hpclab.experiments.race import race
from hpclab.experiments.read_samples import ReadSamples
from hpclab.experiments.scale_out import ScaleOut
from hpclab.experiments.striped_reads import StripedReads
from hpclab.models.device import from_catalogue
from hpclab.models.storage import Reading, Server, Store
from hpclab.results import Result

LADDER, SWEEP, SPEEDUP = KernelLadder(ladders=("reduction",)), MeasureCollective(), ThreadSweep(print, print)
SAMPLES = ReadSamples()
STORE, READING = Store((Server(50e6),)), Reading(2, 4, 65536)
A100 = from_catalogue("a100-80gb")


class Pool:
    def run(self, *order: object) -> list[tuple[float, float]]:
        pytest.fail("it ran")


@pytest.mark.parametrize("bad", [0, math.nan, 1e30, "two", None], ids=repr)
def test_what_is_none_of_it(bad, refused):
    for fit in (ScaleOut().fit, LADDER.fit, SWEEP.fit, SPEEDUP.fit, SAMPLES.fit, message_tables.medians):
        refused(lambda fit=fit: fit(bad))
    for spec in (ThreadSweep, ProcessSweep):
        refused(lambda spec=spec: spec(bad, ()))
        refused(lambda spec=spec: spec(print, print if spec is ThreadSweep else (), bad))
    refused(lambda: ThreadSweep(print, bad))
    refused(lambda: KernelLadder(ladders=bad))
    refused(lambda: KernelLadder(on=bad))
    refused(lambda: KernelLadder(repeats=bad))
    refused(lambda: LADDER.predict(bad))
    refused(lambda: LADDER.predict(A100, sectors=bad if bad is not None else "none"))
    for spec in (SWEEP, SPEEDUP, SAMPLES, ScaleOut()):
        refused(lambda spec=spec: spec.predict(None, bad))
    for name in ("corpus_bytes", "chunk_bytes", "nodes", "repeats"):
        refused(lambda name=name: ScaleOut(**{name: bad}))
        refused(lambda: ScaleOut(nodes=(bad,)))
    for name in ("workers", "samples", "orders"):
        refused(lambda name=name: ReadSamples(**{name: bad}))
    for name in ("collective", "sizes", "ranks", "library", "repeats"):
        refused(lambda name=name: MeasureCollective(**{name: bad}))
    for fields in ((bad, READING), (STORE, bad), (STORE, READING, bad), (STORE, Reading(64, 1, 1))):
        refused(lambda fields=fields: StripedReads(*fields))
    for reading in (Reading(2, 4, 1e9), Reading(2, 4, 1.5), Reading(2, 4, 1, streams=2), Reading(1, 1, 1, 2)):
        refused(lambda reading=reading: StripedReads(STORE, reading))
    refused(lambda: StripedReads(STORE, READING).fit(bad))
    refused(lambda: StripedReads(STORE, READING).predict(None, bad))
    refused(lambda: race(bad, print, 8))
    refused(lambda: race(Pool(), bad, 8))
    refused(lambda: race(Pool(), print, bad))


def test_a_table_is_made_of_messages(refused):
    refused(lambda: message_tables.nccl_table([Result("e", "time", 1.0, "measured")]))
