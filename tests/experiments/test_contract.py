"""What holds for every experiment, whatever it measures: found in the package, run once on a real pool."""

import dataclasses
import importlib
import inspect
import pkgutil

import numpy
import pytest

from hpclab import experiments, results
from hpclab.experiments import experiment
from hpclab.experiments.experiment import Experiment
from hpclab.experiments.kernel_ladder import KernelLadder
from hpclab.experiments.measure_collectives import MeasureCollective
from hpclab.experiments.measure_speedup import ProcessSweep, ThreadSweep
from hpclab.experiments.read_samples import ReadSamples
from hpclab.experiments.scale_out import ScaleOut
from hpclab.experiments.striped_reads import StripedReads
from hpclab.experiments.train_steps import TrainSteps
from hpclab.models.storage import Reading, Server, Store
from hpclab.models.transformer import Transformer
from hpclab.results import Origin


def double(x, result):
    result[:] = 2 * x


def square(item):
    return sum(range(10_000)) * 0 + item * item


SMALL = [
    ThreadSweep(double, lambda work: (numpy.ones(2**16), numpy.ones(2**16)), (1,), repeats=2),
    ProcessSweep(square, range(6), (1, 2), repeats=2),
    KernelLadder(repeats=2),
    MeasureCollective("ping_pong", (4, 64, 1024, 2**14), repeats=2),
    ScaleOut(corpus_bytes=2**20, chunk_bytes=2**17, nodes=(1, 2), repeats=2),
    ReadSamples(workers=(0, 2), samples=256, repeats=2),
    StripedReads(Store((Server(50e6),) * 2, metadata=1000), Reading(2, files=4, size=2**16), repeats=2),
    TrainSteps((1, 2), batch=2, steps=2, repeats=2, shape=Transformer(1, 32, 2, 16, 4096)),
]


def specs():
    """Every experiment of the package: a dataclass, which what they share is not."""
    modules = pkgutil.iter_modules(experiments.__path__, "hpclab.experiments.")
    own = [vars(importlib.import_module(module.name)).values() for module in modules]
    classes = {one for values in own for one in values if inspect.isclass(one) and hasattr(one, "measure")}
    return sorted((one for one in classes if dataclasses.is_dataclass(one)), key=str)


@pytest.mark.parametrize("spec", specs())
def test_every_experiment_has_the_one_signature(spec):
    assert issubclass(spec, Experiment)
    assert spec.__dataclass_params__.frozen
    assert spec in map(type, SMALL), "no small one of it is run below"
    for name in ("measure", "fit", "predict"):
        wanted, given = (inspect.signature(getattr(of, name)).parameters for of in (Experiment, spec))
        same = [(one.name, one.kind) for one in given.values()][: len(wanted)]
        assert same == [(one.name, one.kind) for one in wanted.values()], f"{spec.__name__}.{name}"
        for more in list(given.values())[len(wanted) :]:
            assert more.default is not inspect.Parameter.empty, f"{spec.__name__}.{name} asks for {more.name}"


@pytest.mark.slow
@pytest.mark.parametrize("spec", SMALL, ids=lambda spec: type(spec).__name__)
def test_what_it_measures_fits_and_predicts_are_results_of_one_shape(spec, pool, tmp_path, doubling):
    heard = []
    pool.scale(2)
    found = spec.measure(pool, progress=lambda *said: heard.append(said))
    assert all(isinstance(stage, str) and 0 <= done <= total for stage, done, total in heard)
    assert heard[-1][1] == heard[-1][2] > 0
    assert isinstance(found, results.Results)
    assert {one.repeat for one in found} == {0, 1}
    for one in found:
        assert one.origin is Origin.MEASURED or (one.origin is Origin.EMULATED and one.condition)
        assert one.environment["cores"] >= 1
        assert {"wall", "cpu", "waited", "stolen", "load"} <= set(one.environment)
        assert one.environment["cpu"] > 0
    results.write_jsonl(found, tmp_path / "found.jsonl")
    assert len(results.read_jsonl(tmp_path / "found.jsonl")) == len(found)
    calibration = spec.fit(found)
    modelled = spec.predict(calibration if isinstance(spec, KernelLadder) else None, calibration)
    assert {one.origin for one in modelled} <= {Origin.MODELLED}
    assert {one.experiment for one in modelled} <= {one.experiment for one in found}
    with pytest.raises(ValueError, match=r"\.$"):
        spec.fit(["no result"])


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
