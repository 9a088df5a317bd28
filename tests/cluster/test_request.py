"""Bad input is refused in one sentence, before anything starts; what a job asks for is said once."""

import numpy as np
import pytest

from hpclab.cluster import Pool, request
from hpclab.cluster.request import Request

NASTY = ["a\nb", "a;b", "$(id)", "`id`", 'a"b', "a'b", "a\0b", "x" * 10_000, "", "-x", "a b", 3]
DIRECTIVES = ["--x\n#SBATCH -p other", "--x;id", "--x=$(id)", "--x=`id`", "x", "--x=\0", "--x='a'"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        *(("nodes", value, "nodes must be a whole number") for value in (-1, 1.5, float("nan"), "two", None)),
        # What would reach a batch script.
        *(("partition", value, "partition") for value in NASTY), ("account", "$(id)", "account"),
        *(("extra_directives", [value], "directive") for value in DIRECTIVES),
        ("extra_directives", "--qos=x", "must be a list"), ("backend", "pbs", "must be one of"),
        ("allocation", "two", "must be one of"), ("cores_per_node", 0, "must be"),
        ("gpus_per_node", -1, "must be"), ("join_timeout", 0, "must be"),
        ("walltime", "90", "sbatch would read 90 as minutes: write 90 s, 90 min or hh:mm:ss"),
        ("walltime", "0:30", "from 60"), ("walltime", "400-00", "to 3.2e"),
        ("walltime", "soon", "walltime: 'soon' is not a duration"),
        ("memory", "4G", "memory: '4G' is not a size"), ("memory", "1 MiB", "from 128 MiB"),
        ("memory", 4, "number of bytes, or text with a unit"), ("memory", float("nan"), "from 128 MiB"),
        *(("extra_directives", [text], "one job with one task") for text in
          ("-a 1", "--wait", "--nodes=2-4", "-n4", "--exclusive --array=1")),
        *(("extra_directives", [text], "is said by the pool itself") for text in
          ("-p b", "--time=5", "--output=x", "-J x", "--requeue", "-N 1")),
    ],
)  # fmt: skip
def test_what_no_pool_can_be_is_refused(name, value, words):
    asked = {"nodes": 1, "backend": "slurm", "partition": "a", "walltime": 600} | {name: value}
    with pytest.raises(ValueError, match=words):
        Pool(**asked)


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
            (lambda: pool.map(3, [1]), "task must be a function of one item, not 3"),
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


def asked_for(memory=None, partition=None, walltime=None, cores=1, gpus=0, extra=()) -> Request:
    return Request.checked(1, "slurm", cores, gpus, memory, partition, None, walltime, 60, "jobs", extra)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("-px", "partition"), ("--parti=x", "partition"), ("--time 5", "time"), ("--time-min=5", "time-min"),
        ("--mem-per-cpu=1G", "mem"), ("--mem-per-g=1G", "mem"), ("--mem-bind=q", "mem-bind"),
        ("-C a100|h100", "C"), ("--exclusive", "exclusive"),
    ],
)  # fmt: skip
def test_an_option_is_known_however_it_is_written(text, option):
    assert request.option(text) == option


@pytest.mark.parametrize(
    ("asked", "site", "lines", "replaced"),
    [
        ({}, ["--mem-per-cpu=300M"], ["--mem-per-cpu=300M"], ["--mem="]),
        ({}, ["--mem=4G", "-p gpu"], ["--mem=4G", "-p gpu"], ["-p ", "--mem="]),
        ({"memory": "1 GiB", "cores": 3}, ["--mem-per-cpu=9G"], ["--mem-per-cpu=342M"], ["--mem="]),
        ({"memory": "1 GiB", "gpus": 2}, ["--mem-per-gpu=9G"], ["--mem-per-gpu=512M"], ["--mem="]),
        ({"memory": "1 GiB"}, ["--qos=x"], ["--qos=x"], []),
        ({"extra": ["--mem-per-cpu=2G"]}, ["--mem=4G"], ["--mem-per-cpu=2G"], ["--mem="]),
        ({"partition": "cpu", "walltime": 600}, ["-p gpu", "-t 1:00"], [], []),
        ({"extra": ["--time=5"]}, ["-t 1:00", "-A me"], ["-A me", "--time=5"], ["-A ", "-t "]),
        ({}, ["-N 1", "-n 1", "-J me", "-o /tmp/x", "--requeue", "-c 4", "--exclusive"], ["--exclusive"], []),
    ],
)  # fmt: skip
def test_each_option_is_said_once(asked, site, lines, replaced):
    merged = asked_for(**asked).directives(request.directives("site", site))
    assert merged == lines
    assert sorted(request.replaced(merged)) == sorted(f"#SBATCH {line}" for line in replaced)


@pytest.mark.parametrize(
    ("lines", "cores", "size"),
    [(["--mem-per-cpu=300M"], 4, 1200 * 2**20), (["--mem=2G"], 4, 2 * 2**30), (["--mem=512"], 1, 512 * 2**20),
     (["--mem=0"], 1, 0), (["--mem=lots"], 1, 0), (["--qos=x"], 1, 0)],
)  # fmt: skip
def test_what_the_directives_ask_for_is_the_workers_limit(lines, cores, size):
    assert asked_for(cores=cores).memory_in(lines) == size


@pytest.mark.parametrize("text", ["-p gpu", "-pgpu", "--partition=gpu", "--parti=gpu"])
def test_the_partition_that_a_directive_names(text):
    assert request.value_of(["-p other", text, "--qos=x"], "partition") == "gpu"
