"""What holds for every experiment, whatever it measures: found in the package, run once on a real pool."""

import dataclasses
import importlib
import math
import pkgutil
import types

import numpy
import pytest

from hpclab import experiments, results
from hpclab.experiments import experiment, message_tables
from hpclab.experiments.experiment import Experiment
from hpclab.experiments.kernel_ladder import KernelLadder
from hpclab.experiments.measure_collectives import MeasureCollective
from hpclab.experiments.measure_speedup import ProcessSweep, ThreadSweep
from hpclab.experiments.race import race
from hpclab.experiments.read_samples import ReadSamples
from hpclab.experiments.scale_out import ScaleOut
from hpclab.experiments.striped_reads import StripedReads
from hpclab.experiments.train_steps import TrainSteps
from hpclab.models.device import from_catalogue
from hpclab.models.storage import Reading, Server, Store
from hpclab.models.transformer import Transformer
from hpclab.results import Origin, Result


def double(x, result):
    result[:] = 2 * x


def square(item):
    return sum(range(10_000)) * 0 + item * item


STORE = Store((Server(50e6),) * 2, metadata=1000)
SMALL = [
    ThreadSweep(double, lambda work: (numpy.ones(2**16), numpy.ones(2**16)), (1,), repeats=2),
    ProcessSweep(square, range(6), (1, 2), repeats=2),
    KernelLadder(repeats=2),
    MeasureCollective("ping_pong", (4, 64, 1024, 2**14), repeats=2),
    ScaleOut(corpus_bytes=2**20, chunk_bytes=2**17, nodes=(1, 2), repeats=2),
    ReadSamples(workers=(0, 2), samples=256, repeats=2),
    StripedReads(STORE, Reading(2, files=4, size=2**16), repeats=2),
    TrainSteps((1, 2), batch=2, steps=2, repeats=2, shape=Transformer(1, 32, 2, 16, 4096)),
]


FIELDS = {
    ThreadSweep: "kernel arguments threads repeats", ProcessSweep: "task processes repeats",
    KernelLadder: "on ladders repeats", ScaleOut: "corpus_bytes chunk_bytes nodes repeats",
    MeasureCollective: "collective sizes ranks library repeats timeout",
    StripedReads: "store reading repeats",
    ReadSamples: "workers orders length samples batch repeats",
    TrainSteps: "ranks scaling batch bucket overlap steps repeats",
}  # fmt: skip


def test_every_experiment_of_the_package_is_run_below():
    modules = [
        importlib.import_module(module.name)
        for module in pkgutil.iter_modules(experiments.__path__, "hpclab.experiments.")
    ]
    assert modules
    own = {one for one in Experiment.__subclasses__() if dataclasses.is_dataclass(one)}
    assert own | {ThreadSweep, ProcessSweep} == set(map(type, SMALL)) == set(FIELDS)


@pytest.mark.parametrize("bad", [0, math.nan, 1e30, "two", None], ids=repr)
def test_bad_input_is_refused_in_one_sentence(bad, refused):
    for spec in SMALL:
        for name in FIELDS[type(spec)].split():
            refused(lambda spec=spec, name=name: dataclasses.replace(spec, **{name: bad}))
        if hasattr(spec, "fit"):
            refused(lambda spec=spec: spec.fit(bad))
        if hasattr(spec, "predict"):
            refused(lambda spec=spec: spec.predict(*[bad] if isinstance(spec, KernelLadder) else [None, bad]))
    refused(lambda: ScaleOut(nodes=(bad,)))
    refused(lambda: ProcessSweep(print, bad if bad != "two" else 2))
    if bad is not None:
        refused(lambda: KernelLadder().predict(from_catalogue("a100-80gb"), sectors=bad))
        for name in ("store", "link"):
            refused(lambda name=name: TrainSteps(**{name: bad}))
    for reading in ((64, 1, 1), (2, 4, 1e9), (2, 4, 1.5), (1, 1, 1, 3), (2, 10_000, 1)):
        refused(lambda reading=reading: StripedReads(STORE, Reading(*reading)))
    refused(lambda: StripedReads(STORE, Reading(2, 4, 1, streams=2)))
    refused(lambda: message_tables.medians(bad))
    with pytest.raises(ValueError, match="messages with their bytes"):
        message_tables.nccl_table([Result("e", "time", 1.0, "measured")])
    idle = types.SimpleNamespace(run=lambda *order: pytest.fail("it ran"))
    for order in ((bad, print, 8), (idle, bad, 8), (idle, print, bad)):
        refused(lambda order=order: race(*order))


@pytest.mark.slow
@pytest.mark.parametrize("spec", SMALL, ids=lambda spec: type(spec).__name__)
def test_what_it_measures_fits_and_predicts_are_results_of_one_shape(spec, pool, tmp_path, doubling):
    heard = []
    pool.scale(2)
    found = spec.measure(pool, progress=lambda *said: heard.append(said))
    assert all(isinstance(stage, str) and 0 <= done <= total for stage, done, total in heard)
    assert heard[-1][1] == heard[-1][2] > 0
    assert (("reading the corpus", 0, 1) in heard) == (("reading the corpus", 1, 1) in heard)
    assert isinstance(found, results.Results)
    assert {one.repeat for one in found} == {0, 1}
    for one in found:
        assert one.origin is Origin.MEASURED or (one.origin is Origin.EMULATED and one.condition)
        assert one.environment["cores"] >= 1
        assert {"wall", "cpu", "waited", "stolen", "load"} <= set(one.environment)
        assert one.environment["cpu"] > 0
    results.write_jsonl(found, tmp_path / "found.jsonl")
    assert len(results.read_jsonl(tmp_path / "found.jsonl")) == len(found)
    assert spec.mine(found) == [one for one in found if one.experiment == spec.NAME]
    if not hasattr(spec, "fit"):
        return
    calibration = spec.fit(found)
    with pytest.raises(ValueError, match=r"\.$"):
        spec.fit(["no result"])
    if hasattr(spec, "predict"):
        given = [calibration] if isinstance(spec, KernelLadder) else [None, calibration]
        modelled = spec.predict(*given)
        assert {one.origin for one in modelled} <= {Origin.MODELLED}
        assert {one.experiment for one in modelled} <= {spec.NAME}


@pytest.mark.slow
@pytest.mark.parametrize("spec", [ScaleOut(2**20, 2**17, (1,)), TrainSteps((1,))])
def test_nodes_on_other_machines_cannot_reach_an_emulated_store(spec, pool, monkeypatch):
    monkeypatch.setattr(experiment.socket, "gethostname", lambda: "elsewhere")
    with pytest.raises(ValueError, match="from this machine only"):
        dataclasses.replace(spec, store=Store((Server(5e7),))).measure(pool)


def test_repeats_go_up_through_the_counts_and_down_again():
    assert list(ScaleOut(repeats=3).turns((1, 4, 2))) == [
        (1, 0), (1, 1), (2, 0), (2, 1), (4, 0), (4, 1), (4, 2), (2, 2), (1, 2),
    ]  # fmt: skip
    assert list(ScaleOut().turns((1, 2))) == [(1, 0), (2, 0)]
