"""0, -1, NaN, infinity, 1e30, text, None and a wrong type into units, results, timing and trace."""

import math

import pytest

from hpclab import checks, timing, units
from hpclab.results import Origin, Result, select, weakest
from hpclab.trace import record

NO_OBJECT = [0, -1, math.nan, math.inf, 1e30, "two", None, ..., [1], ["two"]]
RESULT = {"experiment": "e", "quantity": "time", "value": 1.0, "origin": "measured"}


@pytest.mark.parametrize("bad", NO_OBJECT, ids=repr)
def test_what_is_no_result_and_no_sample(bad, refused):
    for call in (select, timing.median, weakest, timing.repeat):
        refused(lambda call=call: call(bad))


@pytest.mark.parametrize("bad", ["two", None, ..., []], ids=repr)
def test_what_is_no_number_is_not_written_as_one(bad, refused):
    for write in (units.format_bytes, units.format_seconds, units.format_flops):
        refused(lambda write=write: write(bad))


def test_a_result_is_checked_when_built(refused):
    Result(**RESULT)
    for name, bad in (
        ("value", math.inf), ("value", 10**400), ("quantity", None), ("parameters", None), ("repeat", -1),
        ("source", 3), ("origin", "guessed"), ("environment", "here"), ("run", None),
    ):  # fmt: skip
        refused(lambda name=name, bad=bad: Result(**RESULT | {name: bad}))


@pytest.mark.parametrize("bad", [-1, math.nan, math.inf, 1e30, "two", None])
def test_a_mark_of_a_task_is_checked_before_the_task(bad, refused):
    def marked():
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
