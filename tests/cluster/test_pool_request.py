"""Bad input is refused in one sentence, before anything is started."""

import numpy as np
import pytest

from hpclab.cluster import Pool
from hpclab.cluster.request import Request

NASTY = ["a\nb", "a;b", "$(id)", "`id`", 'a"b', "a'b", "a\0b", "x" * 10_000, "", "-x", "a b", 3]
DIRECTIVES = ["--x\n#SBATCH -p other", "--x;id", "--x=$(id)", "--x=`id`", "x", "--x=\0", "--x='a'"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        *(("nodes", value, "nodes must be a whole number") for value in
          (-1, 1.5, float("nan"), float("inf"), 1e30, "two", None, True, np.True_, [2])),
        # What would reach a batch script.
        *((name, value, name) for value in NASTY for name in ("partition", "account")),
        *(("extra_directives", [value], "directive") for value in DIRECTIVES),
        ("extra_directives", "--qos=x", "must be a list"), ("backend", "pbs", "must be one of"),
        ("allocation", "two", "must be one of"), ("cores_per_node", 0, "must be"),
        ("gpus_per_node", -1, "must be"), ("join_timeout", 0, "must be"),
        ("walltime", "90", "sbatch would read 90 as minutes: write 90 s, 90 min or hh:mm:ss"),
        ("walltime", "0:30", "from 60"), ("walltime", "400-00", "to 3.2e"),
        ("walltime", "soon", "walltime: 'soon' is not a duration"),
        ("memory", "4G", "memory: '4G' is not a size"), ("memory", "1 MiB", "from 128 MiB"),
        ("memory", 4, "number of bytes, or text with a unit"), ("memory", float("nan"), "from 128 MiB"),
    ],
)  # fmt: skip
def test_what_no_pool_can_be_is_refused(name, value, words):
    with pytest.raises(ValueError, match=words):
        Pool(**{"nodes": 1, "backend": "slurm"} | {name: value})


def test_numbers_of_any_kind_and_text_with_units_are_the_same_request():
    words = ["--qos=debug", "-C a100|h100"]
    same = [
        Request.checked(1, "slurm", 1, 0, memory, "gpu-a100", "proj_7", walltime, "90 s", "single", words)
        for memory, walltime in ((2**30, 600), (np.int64(2**30), np.float32(600)), ("1 GiB", "10:00"),
                                 ("1024 MiB", "10 min"), ("1073741824", "00:10:00"), (2.0**30, "0-00:10"))
    ]  # fmt: skip
    assert {(each.memory, each.walltime, each.join_timeout) for each in same} == {(2**30, 600.0, 90.0)}
    assert {each.extra_directives for each in same} == {("--qos=debug", "-C a100|h100")}


@pytest.mark.parametrize("words", [{"partition": "gpu"}, {"gpus_per_node": 1}, {"allocation": "single"}])
def test_slurm_words_without_slurm(words):
    with pytest.raises(ValueError, match="Slurm"):
        Pool(1, backend="local", **words)


@pytest.mark.slow
def test_what_is_no_task_no_items_and_no_time():
    with Pool(0, backend="local") as pool:
        for call, words in (
            (lambda: pool.map(3, [1]), "task must be a function"),
            (lambda: pool.map(abs, 1e30), "items must be a list"),
            (lambda: pool.map(abs, [1], progress=0), "progress must be a function"),
            (lambda: pool.scale(0, "text"), "progress must be a function"),
            (lambda: pool.scale(-1), "nodes must be"),
            (lambda: pool.run("x"), "function must be a function"),
            (lambda: pool.run(print, timeout=float("nan")), "timeout must be"),
            (lambda: pool.run(print, ranks=0), "ranks must be"),
        ):
            with pytest.raises(ValueError, match=words):
                call()
