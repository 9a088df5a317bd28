"""Bad input is refused in one sentence, before anything is started."""

from __future__ import annotations

import numpy as np
import pytest

from hpclab.cluster import Pool
from hpclab.cluster.request import Request

WRONG_NUMBERS = [-1, 1.5, float("nan"), float("inf"), 1e30, "two", None, True, np.True_, [2]]


@pytest.mark.parametrize("nodes", WRONG_NUMBERS)
def test_nodes(nodes):
    with pytest.raises(ValueError, match="nodes must be a whole number"):
        Pool(nodes, backend="local")


NASTY = ["a\nb", "a;b", "$(id)", "`id`", 'a"b', "a'b", "a\0b", "x" * 10_000, "", "-x", "a b", 3]


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("name", ["partition", "account"])
def test_names_that_would_reach_a_batch_script(name, value):
    with pytest.raises(ValueError, match=name):
        Pool(1, backend="slurm", **{name: value})


@pytest.mark.parametrize(
    "value", ["--x\n#SBATCH -p other", "--x;id", "--x=$(id)", "--x=`id`", "x", "--x=\0", "--x='a'"]
)
def test_directives(value):
    with pytest.raises(ValueError, match="directive"):
        Pool(1, backend="slurm", extra_directives=[value])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backend", "pbs"), ("backend", None), ("allocation", "two"), ("cores_per_node", 0),
        ("gpus_per_node", -1), ("memory", "lots"), ("memory", 0), ("memory", float("nan")),
        ("walltime", "soon"),
        ("walltime", -5), ("join_timeout", 0), ("join_timeout", None), ("extra_directives", "--qos=x"),
        ("extra_directives", 7),
    ],
)  # fmt: skip
def test_the_rest(name, value):
    with pytest.raises(ValueError, match=r"must|not a"):
        Pool(**({"nodes": 1, "backend": "slurm"} | {name: value}))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("walltime", "90", "sbatch would read 90 as minutes: write 90 s, 90 min or hh:mm:ss"),
        ("walltime", "0:30", "from 60"), ("walltime", "soon", "walltime: 'soon' is not a duration"),
        ("memory", "4G", "memory: '4G' is not a size"), ("memory", 4, "number of bytes, or text with a unit"),
        ("memory", "1 MiB", "from 128 MiB"), ("memory", True, "from 128 MiB"),
        ("partition", 0o123, "^partition must be text, in quotes, not "),
        ("account", b"gpu", "^account must be text, in quotes, not "),
    ],
)  # fmt: skip
def test_a_value_that_could_mean_another_is_refused(name, value, words):
    with pytest.raises(ValueError, match=words):
        Pool(1, backend="slurm", **{name: value})


def test_numbers_of_any_kind_and_text_with_units_are_the_same_request():
    same = [
        Request.checked(1, "slurm", 1, 0, memory, None, None, walltime, 60, "jobs", ())
        for memory, walltime in ((2**30, 600), (np.int64(2**30), np.float32(600)), ("1 GiB", "10:00"),
                                 ("1024 MiB", "10 min"), ("1073741824", "00:10:00"), (2.0**30, "0-00:10"))
    ]  # fmt: skip
    assert {(each.memory, each.walltime) for each in same} == {(2**30, 600.0)}


@pytest.mark.parametrize(
    "words", [{"partition": "gpu"}, {"account": "me"}, {"gpus_per_node": 1}, {"allocation": "single"}]
)
def test_slurm_words_without_slurm(words):
    with pytest.raises(ValueError, match="Slurm"):
        Pool(1, backend="local", **words)


def test_good_requests_pass():
    words = ["--qos=debug", "-C a100|h100"]
    request = Request.checked(
        2, "slurm", 4, 1, "2 GiB", "gpu-a100", "proj_7", "02:00:00", "90 s", "single", words
    )
    assert request.memory == 2 * 2**30
    assert request.walltime == 7200
    assert request.join_timeout == 90
    assert request.extra_directives == ("--qos=debug", "-C a100|h100")


def test_a_task_that_is_no_function():
    pool = Pool(0, backend="local")
    try:
        with pytest.raises(ValueError, match="task must be a function"):
            pool.map(3, [1])
        with pytest.raises(ValueError, match="function"):
            pool.run("x")
        for wrong in (0, -1, float("nan"), float("inf"), 1e30, None, object(), True):
            with pytest.raises(ValueError, match="items must be a list"):
                pool.map(abs, wrong)
        for wrong in (0, 2.5, "text", [], b"x"):
            with pytest.raises(ValueError, match="progress must be a function"):
                pool.map(abs, [1], progress=wrong)
            with pytest.raises(ValueError, match="progress must be a function"):
                pool.scale(0, wrong)
        for wrong in (0, -1, float("nan"), None, "x", 1e30):
            with pytest.raises(ValueError, match="timeout must be"):
                pool.run(print, timeout=wrong)
        with pytest.raises(ValueError, match="nodes must be"):
            pool.scale(-1)
    finally:
        pool.close()
