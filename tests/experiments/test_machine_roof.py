"""This machine's roof: real loops on small arrays, their bookkeeping, and never an absolute speed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy
import pytest

from hpclab.experiments import machine_roof
from hpclab.experiments.machine_roof import default_bytes, fit, rounds
from hpclab.machine import allowance
from hpclab.results import Origin, Result, select


@pytest.fixture(scope="module")
def results():
    """Two rounds; the first time round, which is not counted, is watched, too."""
    made, watch = [], machine_roof.Stopwatch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine_roof, "default_bytes", lambda: 2**20)
        patch.setattr(machine_roof, "Stopwatch", lambda: made.append(1) or watch())
        roof = rounds()
        found = next(roof) + next(roof)
    assert len(made) == 3 * 5
    return found


def test_every_loop_is_measured_in_every_repeat(results):
    assert len(select(results, "bandwidth", cores=allowance.cores().whole)) == 3 * 2
    assert len(select(results, "flop rate")) == 2 * 2
    assert {result.origin for result in results} == {Origin.MEASURED}
    assert {result.repeat for result in results} == {0, 1}
    assert all(result.value > 0 and result.environment["numba"] for result in results)


def test_the_roof_is_the_best_that_was_seen(results):
    device = fit(results)
    assert device.reached_bandwidth == max(r.value for r in results if r.quantity == "bandwidth")
    assert device.reached["fp32"] == max(r.value for r in results if r.parameters.get("precision") == "fp32")
    assert device.bases == ("achievable",)
    assert device.roof("fp32").assumed == ()
    with pytest.raises(ValueError, match="measure it first"):
        fit([Result("else", "bandwidth", 1.0, Origin.MEASURED, parameters={"cores": 1})])


def test_a_rate_is_the_work_of_all_cores_over_the_time(monkeypatch):
    class Second(machine_roof.Stopwatch):
        def __exit__(self, *error):
            super().__exit__(*error)
            self.sample = replace(self.sample, wall=1.0)

    monkeypatch.setattr(machine_roof, "default_bytes", lambda: 2**20)
    monkeypatch.setattr(machine_roof, "Stopwatch", Second)
    monkeypatch.setattr(machine_roof.allowance, "cores", lambda: SimpleNamespace(whole=3))
    found, size = next(rounds()), max(2**20 // 8, machine_roof._ITEMS)
    moved = {r.component: r.value for r in select(found, "bandwidth")}
    assert moved == {name.__name__: 8 * size * arrays for name, arrays in machine_roof.STREAMS.items()}
    flops = {r.parameters["precision"]: r.value for r in select(found, "flop rate")}
    per_round = 2 * machine_roof._FMA * machine_roof._ITEMS * 3
    assert flops == {kind: per_round * times for kind, (_, times) in machine_roof._TIMES.items()}


def test_a_time_knows_its_processor(monkeypatch):
    named = SimpleNamespace(processor=lambda: "", machine=lambda: "riscv64", python_version=lambda: "3.13")
    monkeypatch.setattr(machine_roof, "platform", named)
    assert machine_roof.versions()["processor"] == "riscv64"
    named.processor = lambda: "Xeon"
    assert machine_roof.versions()["processor"] == "Xeon"


def test_the_loops_do_what_is_counted():
    a, b, c = numpy.arange(5.0), numpy.ones(5), numpy.zeros(5)
    assert machine_roof.read(a) == 10.0
    machine_roof.copy(a, c)
    assert list(c) == [0, 1, 2, 3, 4]
    machine_roof.triad(a, b, c)
    assert list(c) == [0.5, 1.5, 2.5, 3.5, 4.5]
    # x → 2 x + 1, eight times in each of three rounds: 2²⁴ − 1 from 0, with 24 multiply-adds.
    x = numpy.zeros(4)
    machine_roof.multiply_add(x, 2.0, 1.0, 3)
    assert list(x) == [2.0**24 - 1] * 4
    assert 2**20 <= default_bytes() <= 2**28
