"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into units, results, timing and trace."""

from __future__ import annotations

import math
from functools import partial

import pytest

from hpclab import checks, timing, units
from hpclab.results import Origin, Result, read_jsonl, select, to_frame, weakest, write_jsonl
from hpclab.trace import Event, Trace, record

NO_OBJECT = [0, -1, math.nan, math.inf, 1e30, "two", None, ..., [1], ["two"]]
RESULT = {"experiment": "e", "quantity": "time", "value": 1.0, "origin": "measured"}
EVENT = {"rank": 0, "kind": "compute", "start": 0.0, "duration": 1.0}
TRACE = {"events": (), "ranks": 1, "start": 0.0, "end": 1.0}


@pytest.mark.parametrize("bad", NO_OBJECT, ids=repr)
def test_what_is_no_result_no_sample_no_path(bad, refused, tmp_path):
    for call in (select, to_frame, timing.median, partial(write_jsonl, path=tmp_path / "r.jsonl"), weakest):
        refused(lambda call=call: call(bad))
    if not isinstance(bad, str):
        refused(lambda: read_jsonl(bad))
        refused(lambda: write_jsonl([], bad))
    refused(lambda: timing.repeat(bad))


@pytest.mark.parametrize("bad", ["two", None, ..., []], ids=repr)
def test_what_is_no_number_is_not_written_as_one(bad, refused):
    for write in (units.format_bytes, units.format_seconds, units.format_flops):
        refused(lambda write=write: write(bad))


def test_a_missing_or_empty_list_says_what_to_do(refused, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*r\.jsonl: write_jsonl"):
        read_jsonl(tmp_path / "r.jsonl")
    refused(lambda: read_jsonl(tmp_path))
    refused(lambda: read_jsonl(""))
    refused(lambda: timing.median([]))


@pytest.mark.parametrize(
    ("what", "fields", "name", "values"),
    [
        (Result, RESULT, "value", [math.inf, 10**400]), (Result, RESULT, "quantity", [None]),
        (Result, RESULT, "parameters", [None]), (Result, RESULT, "environment", ["here"]),
        (Result, RESULT, "repeat", [-1]), (Result, RESULT, "source", [3]), (Result, RESULT, "run", [None]),
        (Result, RESULT, "origin", ["guessed"]), (Event, EVENT, "origin", ["two"]),
        (Event, EVENT, "rank", [-1, None]), (Event, EVENT, "start", [math.nan, math.inf]),
        (Event, EVENT, "duration", [-1.0, math.inf]), (Event, EVENT, "bytes", [None, math.nan]),
        (Event, EVENT, "kind", [[]]), (Trace, TRACE, "events", [(1,), None]),
        (Trace, TRACE, "ranks", [math.nan, -1]), (Trace, TRACE, "start", [None, math.inf]),
        (Trace, TRACE, "end", [-1.0, math.nan]),
    ],
)  # fmt: skip
def test_a_record_is_checked_when_built(what, fields, name, values, refused):
    for value in values:
        refused(lambda value=value: what(**fields | {name: value}))


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, 1e30, "two", None])
def test_a_mark_of_a_task_is_checked_before_the_task(bad, refused):
    def marked() -> None:
        with record("input", bytes=bad):
            pytest.fail("the task ran")

    refused(marked)


def test_objects_and_lists_are_checked_in_the_same_words():
    origin = checks.instance("origin", Origin.MEASURED, str, "text")
    assert origin == "measured"
    with pytest.raises(ValueError, match=r"^origin must be text, not None\.$"):
        checks.instance("origin", None, str, "text")
    with pytest.raises(ValueError, match=r"^rows must be a list, each of it a Result, not 3\.$"):
        checks.instances("rows", [3], Result)
    assert checks.integers("lane", [1, 2.0], 0, 31) == (1, 2)
    with pytest.raises(ValueError, match=r"^Each lane must be in a list of numbers, not '12'\.$"):
        checks.integers("lane", "12", 0, 31)
    with pytest.raises(ValueError, match=r"^Each time must be a number from 0 to 1, not nan\.$"):
        checks.numbers("time", [0, math.nan], 0, 1)
