"""Results made by hand: what is worth no statement is named, and what a quiet machine gives is not."""

import pytest

from hpclab.quality import doubt
from hpclab.results import Result
from hpclab.timing import Sample


def made(values, quantity="makespan", *, got=0.97, stolen=0.0, cores=2, origin="measured", **parameters):
    """A Result for each of `values` seconds, whose tasks got the share `got` of the core they wanted."""
    where = {"cores": cores} | parameters.pop("where", {})
    if got is not None:
        where |= {"wall": 1.0, "cpu": got, "waited": 1 - got, "stolen": stolen, "load": 1.0}
    return [
        Result(
            "e", quantity, value, origin, parameters=parameters, environment=where, repeat=repeat,
            condition="stated" if origin == "emulated" else "", source="somebody" * (origin == "published"),
        )
        for repeat, value in enumerate(values)
    ]  # fmt: skip


def swept(got, counts=(1, 2, 4), along="nodes", **more):
    """Times of 1, 2 ... workers on two cores, with the share of a core that each point's tasks got."""
    return [
        result
        for count, share in zip(counts, got, strict=True)
        for result in made([8 / min(count, 2)] * 3, got=share, **{along: count}, **more)
    ]


@pytest.mark.parametrize(
    ("got", "words"),
    [
        ((0.99, 0.95, 0.48), ""),  # four on two cores have half a core each: that is the lesson
        ((0.97, 0.85, 0.42), ""),  # a scheduler and a notebook beside them
        ((0.60, 0.95, 0.48), "busy: tasks got 60 % of a core; run again"),
        ((0.99, 0.50, 0.33), "busy: tasks got 50 % of a core; run again"),
        ((0.99, 0.95, 0.20), "busy: tasks got 20 % of a core instead of 50 %; run again"),
    ],
)
def test_tasks_without_a_core(got, words):
    for along in ("nodes", "processes", "threads", "ranks"):
        assert doubt(swept(got, along=along)) == words


def test_an_emulation_that_cannot_keep_up():
    for late, words in ((0.02, ""), (0.4, "busy: the emulation was late for 40 % of the time; run again")):
        assert doubt(made([1.0], got=None, origin="emulated", where={"late": late})) == words


def test_one_disturbed_repeat_of_three_is_what_repeats_are_for():
    calm, disturbed = made([1.0, 1.0, 1.0], nodes=1), made([1.2], got=0.5, nodes=1)
    assert not doubt([*calm, *disturbed])
    assert "busy" in doubt(disturbed)


def test_one_short_message_of_a_sweep_waited():
    """A blocked rank is woken for each message; where ranks outnumber cores, they wait, too."""
    quiet = (0.87, 0.64, 0.75, 0.87, 0.86, 0.87, 0.89, 0.82, 0.93, 0.86, 0.91)
    many = (0.44, 0.40, 0.39, 0.39, 0.39, 0.40, 0.22, 0.39, 0.39, 0.36, 0.30)
    busy = (0.51, 0.57, 0.46, 0.53, 0.53, 0.41, 0.08, 0.07, 0.07, 0.05, 0.07)
    for shares, ranks, words in ((quiet, 2, ""), (many, 4, ""), (busy, 2, "busy"), (busy[::2], 4, "busy")):
        points = enumerate(shares)
        results = [made([1.0], "time", got=got, bytes=size, ranks=ranks)[0] for size, got in points]
        assert doubt(results)[:4] == words


def test_cores_that_another_virtual_machine_had():
    for stolen, words in ((0.3, "busy: other virtual machines had 30 % of the cores; run again"), (0.03, "")):
        assert doubt(made([1.0] * 3, stolen=stolen, threads=1)) == words


@pytest.mark.parametrize(
    ("times", "more", "words"),
    [
        ({1: 8.0, 2: 4.0, 4: 4.0}, {}, ""),
        ({1: 8.0, 2: 3.7, 4: 3.6}, {}, ""),  # a little more than two: each half fits a cache
        ({1: 8.0, 2: 1.48}, {}, "2 are 5.4× as fast as one, on 2 cores"),
        ({1: 8.0, 4: 2.0}, {}, "4 are 4.0× as fast as one, on 2 cores"),
        ({1: 8.0, 4: 2.0}, {"where": {"shared": False}}, ""),  # nodes that are machines
        ({1: 8.0, 2: 8.0}, {"scaling": "weak"}, ""),
        ({1: 8.0, 2: 4.0}, {"scaling": "weak"}, "2 are 4.0× as fast"),
        ({1: 8.0, 8: 1.0}, {"origin": "emulated"}, ""),
    ],
)
def test_more_than_the_cores_allow(times, more, words):
    results = [r for count, seconds in times.items() for r in made([seconds] * 3, nodes=count, **dict(more))]
    assert words in doubt(results)
    assert bool(doubt(results)) == bool(words)


def rates(share, quantity, origin="measured", **where):
    roof = made([0.5e10, 1e10], quantity, cores=2, precision="fp32")
    other = made([1e9], quantity, precision="fp64") if quantity == "flop rate" else []
    of = {"ladder": "sum", "step": "threads", "precision": "fp32"}
    return [*roof, *other, *made([share * 1e10], quantity, origin=origin, where=where, **of)]


@pytest.mark.parametrize("quantity", ["bandwidth", "flop rate"])
def test_more_than_the_roof_allows(quantity):
    assert "threads reached 152 % of the measured roof" in doubt(rates(1.52, quantity))
    for share in (0.4, 1.0, 1.1):
        assert not doubt(rates(share, quantity))
    assert not doubt(rates(1.52, quantity, "modelled"))
    assert not doubt(rates(1.52, quantity, gpu="NVIDIA H200"))


def test_repeats_that_disagree():
    assert not doubt(made([1.0, 1.1, 1.05], nodes=1))
    assert not doubt(made([1.0, 1.1, 1.05, 1.0, 4.0], nodes=1)), "one of five is what repeats are for"
    assert "repeats differ by 54 %" in doubt(made([0.8, 1.0, 1.5, 2.0], nodes=1))
    sizes = [r for size in range(12) for r in made([1.0, 1.05, 1.1], "time", bytes=size)]
    assert not doubt(sizes + made([1.0, 2.0, 4.0], "time", bytes=99)), "one message of a sweep"
    assert "scattered" in doubt([r for size in range(4) for r in made([1.0, 2.0, 4.0], "time", bytes=size)])


def test_what_was_not_measured_here_on_cores_of_its_own_will_is_not_judged():
    wild = {"values": [1.0, 9.0, 30.0], "got": 0.1, "stolen": 0.9, "nodes": 1}
    assert doubt(made(**wild))
    for origin in ("emulated", "modelled", "published"):
        assert not doubt(made(**wild, origin=origin))
    assert not doubt(made(**wild, where={"gpu": "NVIDIA H200"}))
    # a task that sleeps or reads has little CPU time and was never ready without a core
    asleep = {"wall": 1.0, "cpu": 0.02, "waited": 0.001, "stolen": 0.0, "load": 0.1}
    assert not doubt(made([1.0] * 3, got=None, where=asleep, nodes=1))


def test_samples_of_one_piece_of_work():
    assert not doubt([Sample(1.0, 0.97, 0.03), Sample(1.1, 1.0, 0.1), Sample(0.2, 0.2)])
    assert "got 50 % of a core" in doubt([Sample(1.0, 0.5, 0.5)] * 3)
    assert "scattered" in doubt([Sample(wall, wall) for wall in (1.0, 2.0, 4.0)])
    assert doubt([]) == doubt(made([1.0], got=None)) == ""
