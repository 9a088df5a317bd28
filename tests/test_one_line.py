"""What stands as the last line of a cell is shown in one useful line."""

from pathlib import Path

import pytest

from hpclab.cluster.slurm import Slurm
from hpclab.cluster.slurm.records import FinishedJob, Job, Node
from hpclab.course import Written
from hpclab.results import Result
from hpclab.trace import Event, Trace

PATH = Path("/home/learner/hpclab")
JOB = {"partition": "main", "nodes": 1, "node_list": "", "submitted": 1.0, "started": 2.0}
WAITS = JOB | {"limit": 60.0, "array_job": 6, "array_task": 3}
SHOWN = [
    (Slurm("local", "23.11", {"PATH": "/usr/bin:" * 100}), "<hpclab's Slurm 23.11>"),
    (Job(7, "x", "PENDING", "Resources", **WAITS), "<Job 6_3 x: PENDING, Resources>"),
    (Job(7, "x", "RUNNING", "None", **WAITS | {"node_list": "n2"}), "<Job 6_3 x: RUNNING, n2>"),
    (FinishedJob(7, "x", "FAILED", ended=3.0, exit_code=2, **JOB), "<Job 7 x: FAILED, exit code 2>"),
    (Node("n1", "mixed", 4, 2**30, 0, "", 3), "<Node n1: mixed, 3 of 4 cores idle>"),
    (Trace((Event(0, "compute", 0.0, 1.0),) * 500, 4, 0.0, 1.5), "<Trace of 4 ranks: 500 events in 1.5 s>"),
    (Written(PATH, ["a"] * 50, []), "<Written to hpclab: 50 files, 0 kept>"),
    (
        Result("x", "makespan", 0.123456, "measured", parameters={"nodes": 4}, environment={"a": 500 * "b"}),
        "<Result: makespan 0.1235, measured; nodes 4>",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("thing", "line"), SHOWN, ids=lambda one: type(one).__name__)
def test_it_is_one_line(thing, line):
    assert repr(thing) == line
