"""The course on a site: two hosts or three, a Slurm of root's, an ordinary user, and no accounting."""

import json
import os
import re
import sys

import pytest

from hpclab import course
from tests.course.conftest import only_course

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]

PROGRAM = """
import json, socket
from hpclab.cluster import Pool, slurm

def where(x):
    import socket
    return socket.gethostname(), x * x

def ranks():
    import socket, torch, torch.distributed as dist
    total = torch.tensor([dist.get_rank() + 1.0])
    dist.all_reduce(total)
    return socket.gethostname(), total.item()

told = {}
with Pool(nodes=2, join_timeout=120) as pool:
    told["pool"] = pool.label, sorted(worker.host for worker in pool.workers())
    told["map"], told["run"] = pool.map(where, range(4)), pool.run(ranks)
with Pool(nodes=2, join_timeout=120, allocation="single") as pool:
    told["single"] = sorted(worker.host for worker in pool.workers()), pool.run(ranks)
here = slurm.connect()
job = here.submit("#!/bin/sh\\nexit 3\\n", "--job-name=three", "--output=/dev/null")
told["state"] = here.wait(job, 60).state
told["history"] = [(old.name[:6], old.state, old.exit_code) for old in here.history()]
told["source"], told["queue"] = here.history_source, len(here.queue())
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def site(new_site):
    with new_site(2, cores=1) as one:
        yield one


def test_a_pool_runs_across_its_hosts_and_its_jobs_are_told_without_accounting(site):
    *above, last = site.python(PROGRAM).splitlines()
    assert not any("hostname of the client" in line for line in above)  # torch, where names have no reverse
    told = json.loads(last)
    assert told["pool"] == ["2 nodes of this site's Slurm", ["c1", "c2"]]
    assert [value for _, value in told["map"]] == [0, 1, 4, 9]
    assert sorted(told["run"]) == [["c1", 3.0], ["c2", 3.0]]
    assert told["single"] == [["c1", "c2"], [["c1", 3.0], ["c2", 3.0]]]
    assert (told["state"], told["queue"]) == ("FAILED", 0)
    assert told["history"].count(["hpclab", "CANCELLED", 143]) == 3
    assert ["three", "FAILED", 3] in told["history"]
    assert "accounting storage is disabled" in told["source"]
    assert list(site.path("ada/.hpclab").iterdir()) == []


def test_a_lesson_names_what_the_site_refuses_and_goes_on(site):
    site.root("scontrol update partition=main state=drain")
    try:
        said = site.python(
            "from hpclab import course; course.lay_out('course')\n"
            "import os; os.chdir('course/slurm/jobs')\n"
            "from hpclab.exercises.lesson_04.job_follow import connect, follow\n"
            "from hpclab.cluster.for_ranks import pool_for\n"
            "job = follow(connect(), ['sbatch: error: no'], 'hello.sh')[0]\n"
            "print(job.state, 'on', job.node_list)\n"
            "with pool_for(2) as pool: print(pool.label)\n"
        )
    finally:
        site.root("scontrol update partition=main state=up")
    assert said.count("Required partition not available") == 2
    assert said.count("Name a partition that takes you") == 2
    assert "COMPLETED on this machine" in said
    assert "2 processes on this machine" in said


LESSON = (
    "from hpclab.cluster import Pool\nimport socket\npool = Pool(nodes=1, join_timeout=120)",
    # The rehearsal looks three times a second for pools: this one is open for many looks.
    "import time\nthere = pool.workers()[0].host\ntime.sleep(3)\npool.close()\n"
    "assert there != socket.gethostname()",
    "script = '#!/bin/sh\\nhostname\\n'\nopen('job.sh', 'w').write(script)\n"
    "said = get_ipython().getoutput('sbatch --wait job.sh; cat slurm-*.out')\nassert 'c' in said[-1], said",
)


def test_a_lesson_rehearsed_as_a_job_has_its_pool_and_its_own_jobs_beside_it(site):
    only_course(site.path("ada"), site.home, **{"00_pool": LESSON})
    words = (sys.executable, "-m", "hpclab.cli", "rehearse", "--site", "--json", "--learners", "10")
    path = f"{site.home}:{site.environment['PYTHONPATH']}"
    said = site.run(*words, timeout=280, PYTHONPATH=path, SLURM_JOB_ID="77", SLURM_NTASKS="9")
    told = json.loads(said[said.index("{") :])
    assert [(one["failure"], one["nodes"]) for one in told["lessons"]] == [("", 1)]
    assert (told["class"]["00"]["nodes"], told["class"]["00"]["node_hours"]) == (20, 10.0)
    assert "hpclab" not in site.run("squeue", "--noheader", "--me", host="c1")
    assert list(site.path("ada").glob(".hpclab/*")) == []


ALONE = ("-q", "-p", "no:cacheprovider", "-p", "no:timeout", "-c", os.devnull)
NBVAL = ("--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=180", *ALONE)


@pytest.fixture(scope="module", params=[2, 3], ids="{} hosts".format)
def with_course(request, new_site):
    with new_site(request.param) as one:
        one.python("from hpclab import course; course.lay_out('course')")
        yield one


@pytest.mark.soak
@pytest.mark.parametrize("lesson", course.lessons(), ids=lambda lesson: lesson.name)
def test_a_lesson_runs_untouched_as_tests_of_lessons_run_it(lesson, with_course):
    words = [sys.executable, "-m", "pytest", *NBVAL, "--rootdir=.", lesson.path.name]
    said = with_course.run(*words, cwd=f"{with_course.home}/course", timeout=600)
    assert re.search(r"\d+ passed", said)
    assert "failed" not in said.splitlines()[-1]
