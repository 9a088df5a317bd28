"""Messages really sent and timed; tables in the field's columns; a line through the points."""

import re
from types import SimpleNamespace

import numpy
import pytest

from hpclab import schedules
from hpclab.cluster import Pool, slurm
from hpclab.cluster.errors import PoolError
from hpclab.experiments import message_tables
from hpclab.experiments.measure_collectives import KINDS, MeasureCollective
from hpclab.models.formulas import FORMULAS, Case, in_network
from hpclab.models.scaling import NoCurve
from hpclab.parallel import sweep
from hpclab.results import Origin, Result


@pytest.fixture(scope="module")
def pool():
    with Pool(3, backend="local") as pool:
        yield pool


def made(collective, times, ranks=4, library="gloo"):
    """Results with these seconds by bytes, the middle one of three repeats."""
    kind = {"collective": collective, "library": library, "algorithm": "", "ranks": ranks}
    return [
        Result(
            MeasureCollective.NAME, "time", seconds * (0.9 + 0.1 * repeat), Origin.MEASURED, repeat=repeat,
            parameters=kind | {"bytes": size},
        )
        for size, seconds in times.items() for repeat in range(3)
    ]  # fmt: skip


def test_a_table_line_by_line_with_nccl_tests():
    table = message_tables.nccl_table(made("all_reduce", {1024: 30e-6, 2**20: 1e-3}, ranks=8))
    last = table.splitlines()[-1].split()
    # size count type redop root, out of place not measured, then time algbw busbw #wrong
    assert last == [
        "1048576", "262144", "float", "sum", "-1", "N/A", "N/A", "N/A", "N/A", "1000.0", "1.05", "1.84", "0",
    ]  # fmt: skip
    assert table.splitlines()[1].split()[:6] == ["#", "size", "count", "type", "redop", "root"]
    assert len({len(line) for line in table.splitlines()[3:]}) == 1
    outside = message_tables.nccl_table(made("all_gather", {1024: 30e-6}))
    assert outside.splitlines()[-1].split()[3:] == ["none", "-1", "30.00", "0.03", "0.03", "0", *["N/A"] * 4]
    for collective, factor in (("reduce_scatter", 7 / 8), ("broadcast", 1), ("ping_pong", 1)):
        row = message_tables.nccl_table(made(collective, {10**9: 1.0}, ranks=8)).splitlines()[-1].split()
        assert [x for x in row[5:] if x != "N/A"][1:3] == ["1.00", f"{factor:.2f}"]


def test_tables_in_osu_columns():
    assert message_tables.osu_table(made("ping_pong", {1: 2e-6, 4096: 3.456e-6}, 2)) == (
        "# Size            Latency (us)\n1                         2.00\n4096                      3.46\n"
    )
    stream = message_tables.osu_table(made("stream", {2**20: 1e-3}, 2))
    assert stream.splitlines()[1].split() == ["1048576", "1048.58"]
    assert "Avg Latency(us)" in message_tables.osu_table(made("broadcast", {1: 1e-6}))


def test_a_table_of_two_kinds_is_refused():
    mixed = made("all_reduce", {4: 1e-6}) + made("all_reduce", {4: 1e-6}, ranks=8)
    for table in (message_tables.nccl_table, message_tables.osu_table):
        with pytest.raises(ValueError, match="not 2 kinds"):
            table(mixed)
        with pytest.raises(ValueError, match="not 0 kinds"):
            table([])


def test_each_number_of_ranks_has_its_line_or_a_reason():
    spec = MeasureCollective(ranks=(2, 4), sizes=(4, 2**20))
    times = {size: 50e-6 + size / 1e9 for size in (4, 1024, 2**16, 2**20, 2**22)}
    results = made("all_reduce", times, 4) + made("all_reduce", {4: 1e-6}, 2)
    results += made("all_reduce", {4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0}, 2, library="mpi")  # not this spec's
    lines = spec.fit(results)
    assert isinstance(lines[2], NoCurve)
    assert lines[4].latency == pytest.approx(50e-6, rel=0.15)
    assert lines[4].bandwidth == pytest.approx(1e9, rel=0.15)
    assert isinstance(MeasureCollective().fit([])[2], NoCurve)


def test_what_does_not_go_together_is_refused():
    for words, given in [
        ("must be one of star", {"algorithm": "bruck"}),
        ("needs ranks_per_node", {"algorithm": "hierarchical"}),
        ("between two ranks", {"collective": "ping_pong", "ranks": (3,)}),
    ]:
        with pytest.raises(ValueError, match=words):
            MeasureCollective(**given)
    with pytest.raises(ValueError, match="needs a pool"):
        MeasureCollective().measure()
    with pytest.raises(ValueError, match="mpiexec: here with"):
        MeasureCollective(library="mpi").measure("pool")


def test_a_wrong_answer_is_not_timed(monkeypatch):
    values = numpy.ones(8)
    alone = SimpleNamespace(rank=0, ranks=1, barrier=int, finish=int)
    monkeypatch.setattr(sweep, "operation", lambda *_: (int, values[:1], values))
    settings = {"collective": "all_reduce", "sizes": [32], "warmup": 0, "repeats": 2}
    assert len(sweep.sweep(settings, alone)) == 2
    values[3] = 7
    with pytest.raises(RuntimeError, match="1 elements of a all_reduce of 8"):
        sweep.sweep(settings, alone)


def test_what_the_ranks_clocks_become(monkeypatch):
    """The mean over ranks; half of rank 0's round trip; rank 0's time for each message of a window of 64."""
    asked = []
    facts = 1.0, 0.5, 0.25  # wall, CPU, waited for a core
    clocks = [[(4, 0, 2e-6, *facts), (4, 1, 4e-6, *facts)], [(4, 0, 4e-6, *facts), (4, 1, 8e-6, *facts)]]
    for collective, seconds in {
        "all_reduce": [3e-6, 6e-6], "ping_pong": [1e-6, 2e-6], "stream": [2e-6 / 64, 4e-6 / 64],
    }.items():  # fmt: skip
        said = {"ranks": clocks, "version": ""}
        run = "hpclab.parallel.mpi_launch.run"
        monkeypatch.setattr(run, lambda orders, *_, said=said: asked.append(orders) or said)
        results = MeasureCollective(collective, library="mpi").measure()
        assert [result.value for result in results] == pytest.approx(seconds)
        assert [result.repeat for result in results] == [0, 1]
    assert asked[0]["warmup"] >= 1


@pytest.mark.slow
def test_every_collective_through_gloo_and_as_a_schedule(pool):
    for collective in KINDS:
        two = collective in sweep.TWO_RANKS
        known = [] if two else list(schedules.ALGORITHMS[collective])
        for algorithm in ["", *known[-1:]]:
            spec = MeasureCollective(
                collective, (4, 2**21), (2,) if two else (3,), algorithm=algorithm, ranks_per_node=2,
                repeats=2,
            )  # fmt: skip
            results = spec.measure(pool)
            assert len(results) == 2 * 2
            assert all(result.origin is Origin.MEASURED and result.value > 0 for result in results)
            assert results[0].environment["label"] == pool.label


@pytest.mark.slow
def test_more_ranks_than_nodes_and_no_nccl_are_said(pool):
    with pytest.raises(PoolError, match=r"pool.scale\(4\)"):
        MeasureCollective(ranks=(4,)).measure(pool)
    with pytest.raises(Exception, match="There is no NCCL here"):
        MeasureCollective(library="nccl").measure(pool)


@pytest.mark.slow
def test_through_mpi_on_this_machine():
    pytest.importorskip("mpi4py")
    results = MeasureCollective("all_to_all", (12, 6000), (2, 3), "mpi", repeats=1, timeout=120).measure()
    assert [result.parameters["bytes"] for result in results] == [8, 6000, 12, 6000]
    assert "MPICH" in results[0].environment["library"]
    ring = MeasureCollective("all_reduce", (6000,), (3,), "mpi", "ring", repeats=2, timeout=120).measure()
    assert len(ring) == 2
    with pytest.raises(RuntimeError, match="was ended"):
        MeasureCollective("ping_pong", (2**30,), library="mpi", repeats=9, timeout=1).measure()


@pytest.mark.slow
@pytest.mark.slurm
def test_through_mpi_in_a_job(local_slurm):
    pytest.importorskip("mpi4py")
    here = slurm.connect(start=False)
    spec = MeasureCollective("all_reduce", (16, 6000), (4,), "mpi", repeats=2, timeout=90)
    results = spec.measure(here)
    assert len(results) == 4
    assert results[0].environment["label"] == "a job of the local Slurm"


def test_switches_that_add_are_held_against_published_rows_and_carry_half_of_a_rings_bytes():
    *_, last = message_tables.nvls_table().splitlines()
    published, modelled = re.search(r"NVLS (\d+\.\d) \((\d+\.\d)\)", last).groups()
    assert (last[:6], published) == ("8 GPUs", "473.1")
    assert float(modelled) == pytest.approx(473.1, rel=0.05)
    assert "Ring 365.6" in last
    case = Case(1000, 1e9, lambda size: 1e-6 + size / 1e10)
    assert FORMULAS["all_reduce", "ring"](case) / in_network(case) == pytest.approx(2, rel=0.03)
    assert in_network(Case(2, 0, case.move)) == pytest.approx(2e-6)
    assert message_tables.switches_table("hdr100", 2**28).count("switches that add 21.8 ms") == 3
