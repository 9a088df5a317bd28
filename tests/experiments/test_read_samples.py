"""What reading in several formats costs: fitted from three variants, and predicted for all."""

from dataclasses import replace

import fsspec
import pytest

from hpclab.experiments import read_samples
from hpclab.experiments.read_samples import ReadSamples
from hpclab.models.loading import Costs, loading_time
from hpclab.results import Origin, Result, select

COSTS = Costs(open=1e-4, bandwidth=1e8, decode=1e-5, start=0.01, handover=1e-4)


class Store:
    """An emulated store in short."""

    condition = "a store in a test"

    def client(self, limited=True):
        return fsspec.filesystem("memory")


def test_on_a_store_everything_is_emulated_and_removed():
    spec = ReadSamples(workers=(0, 1), orders=("at random",), samples=40, length=16, repeats=1)
    found = spec.measure(Store())
    assert {one.origin for one in found} == {Origin.EMULATED}
    assert {one.condition for one in found} == {"a store in a test"}
    assert {one.parameters["cache"] for one in found} == {"none"}
    assert len(select(found, "time")) == 8
    assert fsspec.filesystem("memory").find(read_samples.NAME) == []


def test_on_a_disk_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("HPCLAB_CACHE_DIR", str(tmp_path))
    spec = ReadSamples(("files", "array"), workers=(0,), samples=40, length=16, repeats=1)
    assert {one.environment["cache"] for one in spec.measure()} <= {"cold", "warm", "not known"}
    monkeypatch.setattr(read_samples.loaders, "read", lambda *given, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        spec.measure()
    assert list(tmp_path.iterdir()) == []


def test_costs_come_back_from_the_times_they_made():
    spec = ReadSamples(caches=("warm",), workers=(0, 2), repeats=1)
    times = spec.predict(None, {"warm": COSTS}, cores=2)
    times = [replace(one, environment={"cores": 2}) for one in times]
    array, array_2, files = (
        select(times, "time", format=format, workers=workers)[0]
        for format, workers in (("array", 0), ("array", 2), ("files", 0))
    )
    fetch = spec.samples * 2 * spec.length / COSTS.bandwidth + COSTS.open
    parts = [(array, "storage", fetch), (array_2, "worker start", 3 * COSTS.start),
             (files, "storage", fetch + (spec.samples - 1) * COSTS.open)]  # fmt: skip
    seconds = [replace(of, quantity="rank-seconds", component=name, value=value) for of, name, value in parts]
    fitted = spec.fit([*times, *seconds])["warm"]
    assert fitted.open == pytest.approx(COSTS.open, rel=0.01)
    assert fitted.decode == pytest.approx(COSTS.decode, rel=0.01)
    assert fitted.bandwidth == pytest.approx(COSTS.bandwidth, rel=0.01)
    assert fitted.start == pytest.approx(COSTS.start)
    assert fitted.handover == pytest.approx(COSTS.handover, rel=0.05)
    with pytest.raises(ValueError, match="no rank-seconds of files with 0 workers, warm"):
        spec.fit([*times, *seconds[:2]])


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


def test_bad_input_is_refused(refused):
    for bad in [{"formats": ("zip",)}, {"workers": ()}, {"samples": 0}, {"caches": "cold"}, {"orders": None}]:
        refused(lambda bad=bad: ReadSamples(**bad))
    refused(lambda: ReadSamples().fit([Result("x", "time", 1.0, Origin.MEASURED)]))
    refused(lambda: ReadSamples().predict(None, None))
    refused(lambda: Costs(-1, 1, 1))
