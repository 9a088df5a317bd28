"""Bad input is refused at once, in one sentence."""

import numpy as np
import pytest

from hpclab import checks
from hpclab.results import Origin, Result


def test_what_is_no_number_in_range_is_refused_in_one_sentence():
    for value in (np.nan, -np.inf, 1e30, 0, 9, "3", b"3", None, True, np.True_, [], object(), 2j):
        for check in (checks.number, checks.integer):
            with pytest.raises(ValueError, match=r"^nodes must be a (whole )?number from 1 to 8, not .*\.$"):
                check("nodes", value, 1, 8)


def test_both_ends_are_allowed_and_numpy_numbers_too_but_a_fraction_is_no_whole_number():
    assert [checks.number("x", value, 1, 8) for value in (1, 8, np.float32(2.5))] == [1.0, 8.0, 2.5]
    assert checks.integer("x", np.int64(8), 1, 8) == 8
    assert isinstance(checks.integer("x", 3.0, 1, 8), int)
    with pytest.raises(ValueError, match=r"whole number from 1 to 8 nodes, not 2\.5"):
        checks.integer("n", 2.5, 1, 8, "nodes")


def test_a_choice_names_all_that_is_allowed():
    for value in ("", "Slurm", None, 3, ["slurm"]):
        with pytest.raises(ValueError, match="one of slurm, local"):
            checks.choice("backend", value, ["slurm", "local"])
    assert checks.choices("backends", ["local"], ["slurm", "local"]) == ("local",)
    with pytest.raises(ValueError, match="Each of backends must be one of slurm, local, not 'k8s'"):
        checks.choices("backends", ["local", "k8s"], ["slurm", "local"])


def test_what_could_become_a_directive_is_refused_and_names_as_sites_use_them_are_not():
    for value in (
        "", "a\nb", "a;b", "$(id)", "a b", "'a'", '"a"', "a\x00b", "`id`", "é", "a/b", "x" * 65, "-n4", None,
        3, "a\n", "#SBATCH", "a|b", "x" * 10_000,
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"^partition must") as caught:
            checks.identifier("partition", value)
        assert len(str(caught.value)) < 250, "ten thousand characters are not echoed"
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
