"""Bad input is refused at once, in one sentence."""

import numpy as np
import pytest

from hpclab import checks
from hpclab.results import Origin, Result

BAD_NUMBERS = [
    float("nan"), float("inf"), float("-inf"), 1e30, -1, 0, "3", b"3", None, True, [], object(), 2j,
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_NUMBERS)
@pytest.mark.parametrize("check", [checks.number, checks.integer])
def test_what_is_no_number_in_range_is_refused_in_one_sentence(check, value):
    with pytest.raises(ValueError, match=r"^nodes must be a (whole )?number from 1 to 8") as caught:
        check("nodes", value, 1, 8)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_both_ends_are_allowed_and_numpy_numbers_too_but_a_fraction_is_no_whole_number():
    assert [checks.number("x", value, 1, 8) for value in (1, 8, np.float32(2.5))] == [1.0, 8.0, 2.5]
    assert checks.integer("x", np.int64(8), 1, 8) == 8
    assert isinstance(checks.integer("x", 3.0, 1, 8), int)
    with pytest.raises(ValueError, match=r"whole number from 1 to 8 nodes, not 2\.5"):
        checks.integer("n", 2.5, 1, 8, "nodes")


@pytest.mark.parametrize("value", ["", "Slurm", None, 3, ["slurm"]])
def test_a_choice_names_all_that_is_allowed(value):
    with pytest.raises(ValueError, match="one of slurm, local"):
        checks.choice("backend", value, ["slurm", "local"])
    assert checks.choice("backend", "local", ["slurm", "local"]) == "local"


@pytest.mark.parametrize(
    "value",
    ["", "a\nb", "a;b", "$(id)", "a b", "'a'", '"a"', "a\x00b", "`id`", "é", "a/b", "x" * 65, "-n4", None, 3,
     "a\n", "#SBATCH", "a|b", "x" * 10_000],
)  # fmt: skip
def test_what_could_become_a_directive_is_refused(value):
    with pytest.raises(ValueError, match=r"^partition must") as caught:
        checks.identifier("partition", value)
    assert len(str(caught.value)) < 250, "ten thousand characters are not echoed"


def test_names_as_sites_use_them_are_allowed():
    for name in ("gpu", "gpu:a100,cpu", "a.b_c-d", "ada@site", "x" * 64, "node=1+2"):
        assert checks.identifier("partition", name) == name


def test_objects_and_lists_are_checked_in_the_same_words():
    assert checks.instance("origin", Origin.MEASURED, str, "text") == "measured"
    with pytest.raises(ValueError, match=r"^origin must be text, not None\.$"):
        checks.instance("origin", None, str, "text")
    with pytest.raises(ValueError, match=r"^rows must be a list, each of it a Result, not 3\.$"):
        checks.instances("rows", [3], Result)
    assert checks.integers("lane", [1, 2.0], 0, 31) == (1, 2)
    with pytest.raises(ValueError, match=r"^Each lane must be in a list of numbers, not '12'\.$"):
        checks.integers("lane", "12", 0, 31)
    with pytest.raises(ValueError, match=r"^Each time must be a number from 0 to 1, not nan\.$"):
        checks.numbers("time", [0, float("nan")], 0, 1)
