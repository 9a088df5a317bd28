"""A number without an origin cannot be a Result; what is written reads back."""

import itertools
import math

import pytest

from hpclab import timing
from hpclab.results import Origin, Result, read_jsonl, select, weakest, write_jsonl


def result(**changes):
    given = {"experiment": "e", "quantity": "makespan", "value": 1.5, "origin": "measured"}
    return Result(**given | changes)


def test_what_is_computed_takes_the_weakest_origin():
    order = list(Origin)
    assert order[0] is Origin.MEASURED
    assert order[-1] is Origin.MODELLED
    for first, second in itertools.product(order, order):
        assert weakest(first, second) == order[max(order.index(first), order.index(second))]
    assert weakest("measured", "emulated") is Origin.EMULATED
    with pytest.raises(ValueError, match="at least one"):
        weakest()
    with pytest.raises(ValueError, match="guessed"):
        weakest("guessed")


@pytest.mark.parametrize(
    ("origin", "word"),
    [("emulated", "condition"), ("published", "source"), ("recorded", "source"), ("", "one of measured")],
)
def test_an_origin_that_owes_an_explanation_is_refused_without(origin, word):
    with pytest.raises(ValueError, match=word):
        result(origin=origin)
    if origin:
        assert result(origin=origin, **{word: "two cores as four"}).origin is Origin(origin)


def test_a_result_is_checked_when_built(refused):
    for name, bad in (
        ("value", math.inf), ("value", 10**400), ("quantity", None), ("parameters", None), ("repeat", -1),
        ("source", 3), ("environment", "here"), ("run", None),
    ):  # fmt: skip
        refused(lambda name=name, bad=bad: result(**{name: bad}))


@pytest.mark.parametrize("call", [select, weakest, timing.median, timing.repeat])
def test_what_is_no_result_no_sample_and_no_work_is_refused(call, refused):
    for bad in (math.nan, "two", None, ["two"]):
        refused(lambda bad=bad: call(bad))


def test_select_by_quantity_and_parameters():
    rows = [result(parameters={"nodes": n}, repeat=r) for n in (1, 2) for r in range(3)]
    assert len(select(rows, nodes=2)) == 3
    assert len(select(rows, "makespan", nodes=1)) == 3
    assert select(rows, "speedup") == select(rows, nodes=9) == select(rows, missing=1) == []


def test_lines_of_json_read_back_the_same(tmp_path):
    rows = [
        result(parameters={"nodes": 2}, environment={"backend": "slurm"}),
        result(origin="published", source="Ähm, 2024", value=3),
    ]
    write_jsonl(rows, tmp_path / "r.jsonl")
    assert read_jsonl(tmp_path / "r.jsonl") == rows
    assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"], "no draft is left"


def test_a_broken_line_is_named(tmp_path):
    write_jsonl([result()], tmp_path / "r.jsonl")
    good = (tmp_path / "r.jsonl").read_text()
    for line in ("not json", "3", "{}", '{"extra": 1}', "null", good.strip().replace("1.5", '"x"')):
        (tmp_path / "r.jsonl").write_text(f"{good}{line}\n")
        with pytest.raises(ValueError, match=r"r\.jsonl, line 2 is not a Result"):
            read_jsonl(tmp_path / "r.jsonl")
