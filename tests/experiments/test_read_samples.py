"""What reading in several formats costs: fitted from three variants, and predicted for all."""

from dataclasses import astuple, replace
from types import SimpleNamespace

import pytest

from hpclab.experiments import read_samples
from hpclab.experiments.read_samples import ReadSamples
from hpclab.models.loading import Costs, loading_time
from hpclab.results import Origin, select

COSTS = Costs(open=1e-4, bandwidth=1e8, decode=1e-5, start=0.01, handover=1e-4)


def test_all_is_measured_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCLAB_CACHE_DIR", str(tmp_path))
    spec = ReadSamples(workers=(0, 1), orders=("in order", "at random"), samples=40, length=16, repeats=1)
    found = spec.measure()
    assert {one.environment["cache"] for one in found} <= {"cold", "warm", "not known"}
    assert {one.parameters["processes"] - one.parameters["workers"] for one in found} == {1}
    assert len({str(one.parameters) for one in select(found, "time")}) == 4 * 2 * 2 * 2
    monkeypatch.setattr(read_samples.loaders, "read", lambda *given, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        spec.measure()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "evicted", "cold"), [
    ("ext4", True, "cold"), ("ext4", False, "not known"), ("tmpfs", True, "not known"),
])  # fmt: skip
def test_cold_is_only_said_of_what_was_evicted(kind, evicted, cold, monkeypatch, tmp_path):
    monkeypatch.setenv("HPCLAB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(read_samples.places, "type_of", lambda *_: kind)
    monkeypatch.setattr(read_samples.formats, "evict", lambda *_: evicted)
    found = ReadSamples(workers=(0,), samples=40, length=16, repeats=1).measure()
    said = {(one.parameters["cache"], one.environment["cache"]) for one in found}
    assert said == {("warm", "warm"), ("cold", cold)}


@pytest.mark.parametrize("cores", [1, 2, 8])
@pytest.mark.parametrize("costs", [COSTS, replace(COSTS, handover=1.0)], ids=["", "slow to hand over"])
def test_costs_come_back_from_the_times_they_made(costs, cores):
    spec = ReadSamples(workers=(0, 2))
    machine = SimpleNamespace(cores=SimpleNamespace(whole=cores))
    times = spec.predict(machine, dict.fromkeys(read_samples.CACHES, costs))
    assert {one.origin for one in times} == {Origin.MODELLED}
    times = [replace(one, environment={"cores": cores}) for one in times]
    opens, fetch = spec.samples * costs.open, spec.samples * 2 * spec.length / costs.bandwidth
    parts = {("array", 0, "storage"): fetch, ("files", 0, "storage"): fetch + opens,
             ("array", 2, "worker start"): 3 * costs.start}  # fmt: skip
    seconds = [
        replace(time, quantity="rank-seconds", component=component, value=value)
        for (format, workers, component), value in parts.items()
        for time in select(times, format=format, workers=workers)
    ]
    runs = [replace(one, value=one.value * slower) for slower in (0.2, 1, 7) for one in [*times, *seconds]]
    for fitted in spec.fit(runs).values():  # medians over repeats
        assert astuple(fitted) == pytest.approx(astuple(costs), rel=0.05)
    with pytest.raises(ValueError, match="no rank-seconds of files with 0 workers, cold"):
        spec.fit([one for one in [*times, *seconds] if one.parameters["format"] != "files"])


def test_more_workers_help_up_to_what_else_is_slow():
    work = {"samples": 1000, "batches": 10, "opens": 1000, "size": 1e6, "cores": 8}
    alone, one, four = (loading_time(COSTS, workers=workers, **work) for workers in (0, 1, 4))
    assert alone == pytest.approx(1000 * 1e-4 + 0.01 + 1000 * 1e-5)
    assert one == pytest.approx(alone + 10 * 1e-4 + 0.01)
    assert four == pytest.approx((alone + 10 * 1e-4) / 4 + 0.04)
    crowded = loading_time(COSTS, workers=4, **{**work, "cores": 1})
    assert crowded == pytest.approx(alone + 20 * 1e-4 + 0.04)  # and the training process needs the core, too
    slow = replace(COSTS, handover=1.0)
    assert loading_time(slow, workers=4, **work) == pytest.approx(10 + 0.04)  # the training process is
