"""The scale-out experiment on a real pool of processes, and its fits on points made from known laws."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy
import pytest

from hpclab import corpus
from hpclab.cluster import Pool
from hpclab.experiments import scale_out
from hpclab.experiments.replay import CONDITION
from hpclab.experiments.scale_out import ScaleOut, Serial, WrongTokens
from hpclab.machine import probe
from hpclab.models.scaling import USL, Amdahl, NoCurve
from hpclab.models.storage import Server, Store
from hpclab.results import Origin, Result, select
from hpclab.trace import COMPONENTS, UNEXPLAINED
from tests.models.makespans import makespans, of_law

SMALL = ScaleOut(corpus_bytes=2**20, chunk_bytes=2**16, nodes=(1, 2))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(1, backend="local") as pool:
        yield pool


@pytest.fixture(scope="module")
def swept(pool: Pool) -> list[Result]:
    return replace(SMALL, repeats=2).measure(pool)


@pytest.mark.slow
def test_each_repeat_gives_a_makespan_of_each_origin_and_bars_that_close(swept: list[Result]) -> None:
    for nodes in (1, 2):
        for repeat in (0, 1):
            run = [r for r in swept if r.parameters["nodes"] == nodes and r.repeat == repeat]
            assert len({r.run for r in run}) == 1
            assert [r.origin for r in select(run, "makespan")] == [Origin.MEASURED, Origin.EMULATED]
            assert select(run, "makespan")[1].condition == CONDITION
            (elapsed,) = select(run, "elapsed")
            bars = select(run, "rank-seconds")
            assert {bar.component for bar in bars} == {*COMPONENTS, UNEXPLAINED}
            assert sum(bar.value for bar in bars) == pytest.approx(nodes * elapsed.value, rel=0.05)
    parts = {(r.parameters["nodes"], r.repeat, r.component): r.value for r in swept if r.component}
    assert parts[2, 0, "worker start"] > 0 == parts[2, 1, "worker start"]
    assert all(parts[nodes, repeat, "storage"] > 0 for nodes in (1, 2) for repeat in (0, 1))
    _, tokeniser, chunks = SMALL.prepare()
    by_hand = corpus.fingerprint(numpy.concatenate([corpus.tokenise(tokeniser, chunk) for chunk in chunks]))
    where = {"tokens": by_hand, "backend": "local", "shared": True, "jobs": []}  # processes have no job
    assert all(where.items() <= r.environment.items() for r in swept)


@pytest.mark.slow
def test_through_an_emulated_store_everything_is_emulated_and_the_bars_still_close(pool: Pool) -> None:
    small = replace(SMALL, store=Store((Server(2e6),) * 2))
    run = small.measure(pool)
    assert {r.origin for r in run} == {Origin.EMULATED}
    assert all("a striped store of 2 servers at 2 MB/s each" in r.condition for r in run)
    for nodes in (1, 2):
        (elapsed,), bars = (select(run, name, nodes=nodes) for name in ("elapsed", "rank-seconds"))
        assert sum(bar.value for bar in bars) == pytest.approx(nodes * elapsed.value, rel=0.05)
        (makespan,) = select(run, "makespan", nodes=nodes)
        assert CONDITION in makespan.condition  # one kind of makespan: nodes that share no core
    waited = sum(r.value for r in select(run, "rank-seconds", nodes=1) if r.component == "storage")
    assert waited >= 0.9 * small.prepare()[0].size / 4e6  # the bytes really came at that rate
    assert small.mine([*run, *points(Amdahl(0.1), (1, 2), Origin.EMULATED)]) == run


def test_the_knee_is_where_the_servers_give_what_the_nodes_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SMALL.knee() == math.inf
    text, _, _ = SMALL.prepare()
    seconds = text.size / 2e6  # of compute: with 2 MB/s for reading, a node asks for 1 MB/s
    monkeypatch.setattr(scale_out, "_serial", lambda size: Serial("", 0, {"all": seconds}))
    for servers, knee in ((1, 2), (2, 3)):  # twice the servers: read in half the time, and asks for 4/3 MB/s
        assert replace(SMALL, store=Store((Server(2e6),) * servers)).knee() == pytest.approx(knee, rel=0.02)


@pytest.mark.slow
def test_other_tokens_are_refused(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    right = SMALL.serial()
    monkeypatch.setattr(scale_out, "_serial", lambda size: replace(right, fingerprint="0" * 64))
    with pytest.raises(WrongTokens, match="000000000000"):
        SMALL.measure(pool)


def points(law: Amdahl | USL, nodes: tuple[int, ...], origin: Origin) -> list[Result]:
    return makespans(of_law(law, nodes), origin, chunk_bytes=2**16, corpus_bytes=2**20, store="")


def test_nodes_on_other_machines_are_fitted_whatever_this_machines_cores() -> None:
    far = points(Amdahl(0.2), (1, 2, 4, 8), Origin.MEASURED)
    calibration = SMALL.fit([replace(r, environment={"shared": False, "cores": 1}) for r in far])
    assert calibration.usl.law.contention == pytest.approx(0.2, abs=1e-6)  # type: ignore[union-attr]


def test_predictions_are_modelled_name_their_runs_and_stop_at_a_machines_cores() -> None:
    emulated = points(Amdahl(0.1), (1, 2, 4), Origin.EMULATED)
    calibration = SMALL.fit(emulated)
    assert "takes 4 different numbers" in calibration.usl.reason  # type: ignore[union-attr]
    free = {r.parameters["nodes"]: r for r in SMALL.predict(None, calibration, (1, 8, 1000))}
    assert free[8].value == pytest.approx(8 / 1.7)
    assert all(r.origin is Origin.MODELLED and r.condition == "stated" for r in free.values())
    assert all(r.run in free[8].source for r in emulated)
    here = probe()
    cores = here.cores.whole
    bound = SMALL.predict(here, calibration, (cores, cores + 3))
    assert [r.parameters["nodes"] for r in bound] == [cores, cores + 3]
    assert bound[0].value == bound[1].value
    other = replace(SMALL, chunk_bytes=2**20).fit(emulated)
    assert isinstance(other.amdahl, NoCurve)
    assert SMALL.predict(None, other) == []
