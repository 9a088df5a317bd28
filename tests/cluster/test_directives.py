"""What a job asks for is said once, by whoever has the last word: Pool(...), then the site."""

import pytest

from hpclab.cluster import directives
from hpclab.cluster.request import Request


def _request(memory=None, partition=None, walltime=None, cores=1, gpus=0, extra=()) -> Request:
    return Request.checked(1, "slurm", cores, gpus, memory, partition, None, walltime, 60, "jobs", extra)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("-px", "partition"), ("--parti=x", "partition"), ("--time 5", "time"), ("--time-min=5", "time-min"),
        ("--mem-per-cpu=1G", "mem"), ("--mem-per-g=1G", "mem"), ("--mem=1G", "mem"),
        ("--mem-bind=q", "mem-bind"), ("-C a100|h100", "C"), ("--exclusive", "exclusive"),
    ],
)  # fmt: skip
def test_an_option_is_known_however_it_is_written(text, option):
    assert directives.option(text) == option


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
    merged = directives.merged(_request(**asked), directives.checked("site", site))
    assert merged == lines
    assert sorted(directives.replaced(merged)) == sorted(f"#SBATCH {line}" for line in replaced)


@pytest.mark.parametrize(
    "text", ["-a 1", "--wait", "--test-only", "--nodes=2-4", "-n4", "--ntasks-per-node=2",
             "--exclusive --array=1"],
)  # fmt: skip
def test_what_would_make_another_job_of_it_is_refused(text):
    with pytest.raises(ValueError, match="one job with one task"):
        directives.checked("site", [text])


@pytest.mark.parametrize(
    "asked", [{"partition": "a", "extra": ["-p b"]}, {"walltime": 600, "extra": ["--time=5"]},
              {"extra": ["--output=x"]}, {"extra": ["-J x"]}, {"extra": ["--requeue"]}, {"extra": ["-N 1"]}],
)  # fmt: skip
def test_a_pool_says_nothing_twice(asked):
    with pytest.raises(ValueError, match="is said by the pool itself"):
        _request(**asked)


@pytest.mark.parametrize(
    ("lines", "cores", "size"),
    [(["--mem-per-cpu=300M"], 4, 1200 * 2**20), (["--mem=2G"], 4, 2 * 2**30), (["--mem=512"], 1, 512 * 2**20),
     (["--mem=0"], 1, 0), (["--mem=lots"], 1, 0), (["--qos=x"], 1, 0)],
)  # fmt: skip
def test_what_the_directives_ask_for_is_the_workers_limit(lines, cores, size):
    assert directives.memory(lines, _request(cores=cores)) == size


@pytest.mark.parametrize("text", ["-p gpu", "-pgpu", "--partition=gpu", "--partition gpu", "--parti=gpu"])
def test_the_partition_that_a_directive_names(text):
    assert directives.value(["-p other", text, "--qos=x"], "partition") == "gpu"
