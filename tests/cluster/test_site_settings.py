"""A site's Slurm and its jobqueue.yaml: carried into the job script, checked before that, run for real.

The site is a second Slurm on this machine that a SLURM_CONF leads to, as a site's environment module does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import dask
import pytest

from hpclab.cluster import Pool, slurm
from hpclab.cluster import local_slurm as up_and_down
from hpclab.cluster.backends.site_settings import SiteSettings
from hpclab.cluster.request import Request

NASTY = ["a\nb", "a;b", "$(id)", "`id`", 'a"b', "a'b", "a\0b", "x" * 10_000, "a|b", "a>b"]
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


@pytest.fixture
def settings(monkeypatch):
    """Puts settings into jobqueue.slurm for one test."""
    held = []

    def put(**values):
        held.append(dask.config.set({"jobqueue.slurm": dask.config.get("jobqueue.slurm", {}) | values}))

    import hpclab.cluster.backends.jobqueue  # noqa: F401 - its defaults must be there first, as in a pool

    yield put
    for each in reversed(held):
        each.__exit__(None, None, None)


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("key", ["queue", "account", "interface", "walltime", "job-mem", "python",
                                 "local-directory", "worker-command", "shebang"])  # fmt: skip
def test_what_could_become_a_directive_or_a_command_is_refused(settings, key, value):
    settings(**{key: value})
    with pytest.raises(ValueError, match=rf"jobqueue\.slurm\.{key} in jobqueue\.yaml"):
        SiteSettings.checked(own=False)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("job-extra-directives", ["--qos=x\n#SBATCH -p other"]), ("job-extra-directives", ["--x=$(id)"]),
        ("job-extra-directives", "--qos=x"), ("job-extra-directives", [7]),
        ("worker-extra-args", ["--x; id"]), ("job-script-prologue", "module load"),
        ("job-script-prologue", [None]), ("memory", "lots"), ("memory", [1]), ("queue", ["a"]),
    ],
)  # fmt: skip
def test_lists_and_sizes(settings, key, value):
    settings(**{key: value})
    with pytest.raises(ValueError, match=rf"jobqueue\.slurm\.{key} in jobqueue\.yaml"):
        SiteSettings.checked(own=False)


def test_former_names_and_either_spelling(settings):
    settings(**{"project": "old", "env-extra": ["module load x"], "local-directory": "${TMPDIR}/$USER"})
    found = SiteSettings.checked(own=False)
    assert found.get("account") == "old"
    assert found.get("job-script-prologue") == ["module load x"]
    assert found.get("local_directory") == found.get("local-directory") == "${TMPDIR}/$USER"


def test_without_a_walltime_it_is_the_sites():
    words = [1, "slurm", 1, 0, None, None, None, "00:30:00", 60.0, "jobs", ()]
    assert Request.checked(*words).walltime == 1800  # asked for, and so not the site's
    words[7] = None
    assert Request.checked(*words).walltime is None


class Site:
    """A site: its slurm.conf is not one of hpclab's, its jobqueue.yaml in a private folder."""

    def __init__(self, cluster, folder: Path):
        self.cluster, self.folder = cluster, folder
        self.conf = folder / "slurm.conf"
        rest = (cluster.directory / "slurm.conf").read_text().partition("\n")[2]
        self.conf.write_text("# The site's own\n" + rest)

    def run(self, yaml: str, program: str) -> dict:
        """What the program prints as its last line, in a notebook's environment on this site."""
        config = self.folder / "dask"
        config.mkdir(mode=0o700, exist_ok=True)
        (config / "jobqueue.yaml").write_text(yaml)
        environment = {key: value for key, value in os.environ.items() if key != "HPCLAB_SLURM"}
        environment |= {"SLURM_CONF": str(self.conf), "DASK_CONFIG": str(config)}
        environment["HPCLAB_STATE_DIR"] = str(self.folder / "state")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
            env=environment, capture_output=True, text=True, timeout=100, cwd=self.folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    def left(self) -> list[str]:
        """Jobs and files that a notebook left behind, ten seconds after its end at most."""
        state, deadline = self.folder / "state", time.monotonic() + 10
        while True:
            jobs = subprocess.run(
                ["squeue", "--noheader", "--format=%i %j %T"], env=self.cluster.environment,
                capture_output=True, text=True, check=True,
            ).stdout.splitlines()  # fmt: skip
            files = [str(path) for path in state.glob("hpclab-*")] if state.exists() else []
            if not jobs + files or time.monotonic() > deadline:
                return jobs + files
            time.sleep(0.2)


@pytest.fixture(scope="module")
def site():
    import shutil
    import tempfile

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


@pytest.mark.slurm
@pytest.mark.slow
@pytest.mark.parametrize(
    ("allocation", "directives", "prologue"),
    [
        ("jobs", "job_extra_directives", "job_script_prologue"),
        ("single", "job-extra-directives", "job-script-prologue"),
    ],
)
def test_the_whole_way_on_a_site(site, allocation, directives, prologue):
    yaml = YAML.format(directives=directives, prologue=prologue)
    program = """
        import json, os
        from hpclab.cluster import Pool, slurm
        with Pool(2, allocation="ALLOCATION") as pool:
            worker = lambda name: (os.environ.get(name), os.environ["SLURM_JOB_PARTITION"])
            print(json.dumps({
                "kind": slurm.connect(export=False).kind, "backend": pool.backend, "label": pool.label,
                "values": pool.map(worker, ["FROM_THE_SITE", "OMP_NUM_THREADS"]),
                "squares": pool.map(lambda n: n * n, range(20)),
                "jobs": [[job.partition, job.limit, job.state, str(job.id)] for job in pool.jobs()],
                "workers": [w.job_id for w in pool.workers()],
                "address": pool._nodes.cluster.scheduler_address, "script": pool.job_script(),
                "ranks": pool.run(lambda: int(os.environ["RANK"])),
            }))
    """
    seen = site.run(yaml, program.replace("ALLOCATION", allocation))
    assert (seen["kind"], seen["backend"]) == ("site", "slurm")
    assert seen["label"] == "2 nodes of this site's Slurm, partition debug"
    assert seen["values"] == [["module load", "debug"], ["1", "debug"]]
    assert seen["squares"] == [n * n for n in range(20)]
    assert seen["ranks"] == [0, 1]
    assert {tuple(job[:3]) for job in seen["jobs"]} == {("debug", 240, "RUNNING")}
    assert {job[3] for job in seen["jobs"]} == set(seen["workers"])
    assert seen["address"].startswith("tls://127.0.0.1:")  # the interface of the yaml
    script = seen["script"].splitlines()
    for line in ("#SBATCH -p debug", "#SBATCH -A project_123", "#SBATCH -t 00:04:00", "#SBATCH --qos=normal",
                 "#SBATCH --comment=course", "export FROM_THE_SITE='module load'"):  # fmt: skip
        assert line in script
    assert "--interface lo" in seen["script"]
    assert "--protocol tls://" in seen["script"]
    assert site.left() == []


@pytest.mark.slurm
@pytest.mark.slow
def test_what_is_asked_for_wins(site):
    yaml = (
        YAML.format(directives="job_extra_directives", prologue="job_script_prologue") + "    job_mem: 1G\n"
    )
    seen = site.run(yaml, """
        import json
        from hpclab.cluster import Pool
        with Pool(1, partition="main", account="mine", walltime="00:30:00", memory="400 MiB",
                  extra_directives=["--comment=later"]) as pool:
            print(json.dumps({"script": pool.job_script(), "partition": pool.jobs()[0].partition,
                              "limit": pool.jobs()[0].limit, "values": pool.map(abs, [-1])}))
    """)  # fmt: skip
    assert (seen["partition"], seen["limit"], seen["values"]) == ("main", 1800, [1])
    script = seen["script"].splitlines()
    for line in ("-p main", "-A mine", "-t 00:30:00", "--mem=400M"):
        assert f"#SBATCH {line}" in script
    comments = [line for line in script if "--comment" in line]
    assert comments == ["#SBATCH --comment=course", "#SBATCH --comment=later"]  # sbatch takes the last
    assert site.left() == []


FAILS = """
    import json, time
    from hpclab.cluster import Pool
    from hpclab.cluster.errors import JoinError
    begin = time.monotonic()
    try:
        Pool(2, join_timeout=30)
    except (JoinError, ValueError) as error:
        print(json.dumps({"kind": type(error).__name__, "text": str(error),
                          "seconds": time.monotonic() - begin}))
"""


@pytest.mark.slurm
@pytest.mark.slow
def test_a_prologue_that_fails(site):
    prologue = "echo 'module: no such thing as cuda/99' >&2", "exit 1"
    yaml = YAML.format(directives="job_extra_directives", prologue="no_prologue")
    seen = site.run(yaml + f"    job_script_prologue: {json.dumps(prologue)}\n", FAILS)
    assert seen["kind"] == "JoinError"
    assert seen["seconds"] < 30
    for words in ("2 of 2 nodes ended before they joined", "is FAILED on node", "no such thing as cuda/99",
                  "Likely cause", "job-script-prologue"):  # fmt: skip
        assert words in seen["text"]
    assert site.left() == []


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ('    queue: "debug\\n#SBATCH --uid=0"\n', "jobqueue.slurm.queue in jobqueue.yaml"),
        ('    python: "/bin/$(id)"\n', "jobqueue.slurm.python in jobqueue.yaml"),
    ],
)
def test_nothing_exists_when_a_setting_is_refused(site, wrong, words):
    def ever() -> str:
        words = ["squeue", "--noheader", "--states=all", "--format=%i"]
        return subprocess.run(
            words, env=site.cluster.environment, capture_output=True, text=True, check=True
        ).stdout

    before = ever()
    seen = site.run("jobqueue:\n  slurm:\n" + wrong, FAILS)
    assert seen["kind"] == "ValueError"
    assert words in seen["text"]
    assert ever() == before
    assert site.left() == []


@pytest.mark.slurm
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
