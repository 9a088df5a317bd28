"""A site's Slurm and its jobqueue.yaml, for real: carried into the job script, and wrong ones named.

The site is a second Slurm on this machine that a SLURM_CONF leads to, as a site's environment module does.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from hpclab.cluster import Pool, slurm
from hpclab.cluster import local_slurm as up_and_down
from tests.conftest import jobs_left, until

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
ALLOCATIONS = ["jobs", pytest.param("single", marks=pytest.mark.soak)]
YAML = """
jobqueue:
  slurm:
    queue: debug
    account: project_123
    walltime: "00:04:00"
    interface: lo
    memory: 300MB
    {directives}: ["--qos=normal", "--comment=course"]
    {prologue}: ["export FROM_THE_SITE='module load'", "true"]
"""


class Site:
    """A site: its slurm.conf is not one of hpclab's, its jobqueue.yaml in a private folder."""

    def __init__(self, cluster, folder: Path):
        self.cluster, self.folder = cluster, folder
        self.conf = folder / "slurm.conf"
        rest = (cluster.directory / "slurm.conf").read_text().partition("\n")[2]
        self.conf.write_text("# The site's own\n" + rest)

    def run(self, yaml: str, program: str, state: str = "state", **variables: str) -> dict:
        """What the program prints as its last line, in a notebook's environment on this site, which it must
        leave clean."""
        config = self.folder / "dask"
        config.mkdir(mode=0o700, exist_ok=True)
        (config / "jobqueue.yaml").write_text(yaml)
        environment = {key: value for key, value in os.environ.items() if key != "HPCLAB_SLURM"}
        environment |= {"SLURM_CONF": str(self.conf), "DASK_CONFIG": str(config)}
        environment |= variables | {"HPCLAB_STATE_DIR": str(self.folder / state)}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
            env=environment, capture_output=True, text=True, timeout=250, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        until(self.is_left_clean, "no job and no file is left")
        return json.loads(done.stdout.splitlines()[-1])

    def is_left_clean(self) -> bool:
        """Neither a job nor a file of a notebook is left."""
        return not jobs_left(self.cluster.environment) + list(self.folder.glob("*/hpclab-*/owner"))


@pytest.fixture(scope="module")
def site():
    folder = Path(tempfile.mkdtemp(prefix="hpl-site-", dir="/tmp"))
    folder.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPCLAB_STATE_DIR", str(folder / "own"))
        patch.delenv("SLURM_CONF", raising=False)
        try:
            yield Site(up_and_down.up(nodes=2, gpus_per_node=0), folder)
        finally:
            up_and_down.down()
            shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("allocation", "directives", "prologue"),
    [("jobs", "job_extra_directives", "job_script_prologue"),
     pytest.param("single", "job-extra-directives", "job-script-prologue", marks=pytest.mark.soak)],
)  # fmt: skip
def test_the_whole_way_on_a_site(site, allocation, directives, prologue):
    text = YAML.format(directives=directives, prologue=prologue)
    program = """
        import json, os
        from hpclab.cluster import Pool, slurm
        with Pool(2, allocation="ALLOCATION") as pool:
            worker = lambda name: (os.environ.get(name), os.environ["SLURM_JOB_PARTITION"])
            print(json.dumps({
                "kind": slurm.connect(export=False).kind, "label": pool.label,
                "values": pool.map(worker, ["FROM_THE_SITE", "OMP_NUM_THREADS"]),
                "jobs": [[job.partition, job.limit, job.state, str(job.id)] for job in pool.jobs()],
                "workers": [w.job_id for w in pool.workers()],
                "address": pool._nodes.cluster.scheduler_address, "script": pool.job_script(),
                "ranks": pool.run(lambda: int(os.environ["RANK"])),
            }))
    """
    seen = site.run(text, program.replace("ALLOCATION", allocation))
    assert (seen["kind"], seen["label"]) == ("site", "2 nodes of this site's Slurm, partition debug")
    assert seen["values"] == [["module load", "debug"], ["1", "debug"]]
    assert seen["ranks"] == [0, 1]
    assert {tuple(job[:3]) for job in seen["jobs"]} == {("debug", 240, "RUNNING")}
    assert {job[3] for job in seen["jobs"]} == set(seen["workers"])
    assert seen["address"].startswith("tls://127.0.0.1:")  # the interface of the yaml
    for words in ("#SBATCH -p debug\n", "#SBATCH -A project_123\n", "#SBATCH -t 00:04:00\n", "--interface lo",
                  "#SBATCH --qos=normal\n", "#SBATCH --comment=course\n", "--protocol tls://",
                  "\nexport FROM_THE_SITE='module load'\n"):  # fmt: skip
        assert words in seen["script"]


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_a_home_of_any_name_and_the_variables_of_a_sites_module(site, allocation):
    """In a directory with every character that has a meaning somewhere; the site wants --mem-per-cpu, and
    what its module sets must not speak before what Pool(...) says."""
    text = """
        jobqueue:
          slurm:
            interface: lo
            memory: 300MB
            job-extra-directives: ["--mem-per-cpu=900T", "-p debug", "-N 1", "-t 1"]
        """
    program = """
        import json
        from hpclab.cluster import Pool
        with Pool(2, allocation="ALLOCATION", partition="main", walltime="10:00", memory="310 MiB") as pool:
            print(json.dumps({"values": pool.map(abs, [-1]), "ranks": pool.run(lambda: 1),
                              "jobs": [[j.partition, j.limit] for j in pool.jobs()],
                              "script": pool.job_script().splitlines()}))
    """
    seen = site.run(
        textwrap.dedent(text), program.replace("ALLOCATION", allocation), state="ada@uni %u it's $x;",
        SBATCH_PARTITION="debug", SBATCH_TIMELIMIT="2", SBATCH_MEM_PER_NODE="900000000", SBATCH_WAIT="1",
        SBATCH_ARRAY_INX="1-3", SBATCH_OUTPUT="/dev/null", SCANCEL_PARTITION="debug",
        SQUEUE_PARTITION="debug",
    )  # fmt: skip
    assert (seen["values"], seen["ranks"]) == ([1], [1, 1])
    assert seen["jobs"] == [["main", 600]] * (2 if allocation == "jobs" else 1)
    assert [line for line in seen["script"] if "--mem" in line] == ["#SBATCH --mem-per-cpu=310M"] + [
        line for line in seen["script"] if "--memory-limit" in line
    ]
    assert not [
        line for line in seen["script"] if "debug" in line or line in ("#SBATCH -t 1", "#SBATCH -N 1")
    ]


def test_a_network_that_is_not_here_is_named(site):
    program = """
        import json
        from hpclab.cluster import Pool
        try:
            Pool(1)
        except RuntimeError as error:
            print(json.dumps(str(error)))
    """
    told = site.run("jobqueue: {slurm: {interface: nowhere0}}", program)
    assert "'nowhere0' is not a valid network interface" in told
    assert "interface and scheduler-options of jobqueue.slurm in jobqueue.yaml" in told


def test_our_own_slurm_takes_none_of_it(site, settings, monkeypatch):
    monkeypatch.setenv("HPCLAB_SLURM", "local")
    settings(**{"queue": "elsewhere", "account": "project_123", "interface": "nowhere0", "job-mem": "1T",
                "job-extra-directives": ["--qos=gold"], "job-script-prologue": ["exit 1"]})  # fmt: skip
    with Pool(1, backend="slurm") as pool:
        assert slurm.connect(export=False).kind == "local"
        assert pool.map(abs, [-1]) == [1]
        assert not any(
            word in pool.job_script() for word in ("elsewhere", "project", "nowhere0", "gold", "exit 1", "1T")
        )
