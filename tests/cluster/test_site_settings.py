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
import yaml

from hpclab.cluster import Pool, slurm
from hpclab.cluster import local_slurm as up_and_down
from hpclab.cluster.backends import causes
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
    settings(**{"header-skip": ["--mem="]})
    found = SiteSettings.checked(own=False)
    assert found.get("account") == "old"
    assert found.get("job-script-prologue") == ["module load x"]
    assert found.get("job-directives-skip") == ["--mem="]
    assert found.get("local_directory") == found.get("local-directory") is not None
    settings(project=0o123456)
    with pytest.raises(ValueError, match=r"slurm\.project in jobqueue\.yaml must be text: put it in quotes"):
        SiteSettings.checked(own=False)


def test_without_a_walltime_it_is_the_sites():
    words = [1, "slurm", 1, 0, None, None, None, "00:30:00", 60.0, "jobs", ()]
    assert Request.checked(*words).walltime == 1800  # asked for, and so not the site's
    words[7] = None
    assert Request.checked(*words).walltime is None


@pytest.mark.parametrize(
    ("line", "read_as"),
    [
        ("walltime: 10:00", "the number 600, as are 10:00"), ("walltime: 12:30:00", "45000, as are 12:30:00"),
        ("walltime: 30", "the number 30"), ("account: 0123456", "42798, as are .* and 0123456"),
        ("account: 1.5", "the number 1.5"), ("queue: on", "true, as are yes, no, on and off"),
        ("account: 2026-11-28", "the date 2026-11-28"), ("interface: no", "false"), ("job-mem: 4096", "4096"),
        ("python: 3.11", "the number 3.11"), ("local-directory: 7", "the number 7"),
        ("shebang: 1", "the number 1"), ('worker-extra-args: ["--lifetime", 25]', "the number 25"),
        ("job-script-prologue: [module load: x]", "because of the colon"),
    ],
)  # fmt: skip
def test_what_yaml_reads_as_another_thing_is_asked_to_be_put_in_quotes(settings, line, read_as):
    settings(**yaml.safe_load(line))
    key = line.partition(":")[0]
    with pytest.raises(ValueError, match=rf"slurm\.{key} in .*: put it in quotes.* read as .*{read_as}"):
        SiteSettings.checked(own=False)


@pytest.mark.parametrize("text", ["42", "1e5", "True"])
def test_a_variable_that_dask_reads_as_a_number_is_named(settings, monkeypatch, text):
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__ACCOUNT", text)
    settings(account=dask.config.collect_env()["jobqueue"]["slurm"]["account"])
    with pytest.raises(
        ValueError, match=r"account in DASK_JOBQUEUE__SLURM__ACCOUNT must be text: put it in q"
    ):
        SiteSettings.checked(own=False)


@pytest.mark.parametrize(
    ("argument", "value", "key", "same"),
    [
        ("walltime", "0:30", "walltime", "0:30"), ("walltime", "400-00", "walltime", "400-00"),
        ("memory", 4, "memory", 4), ("memory", "1 MiB", "memory", "1MiB"), ("memory", 4096, "job-mem", "1M"),
        ("memory", True, "memory", True),
        ("partition", "a b", "queue", "a b"), ("account", "-x", "account", "-x"),
        ("account", "", "account", ""),
        ("extra_directives", ["--array=1-4"], "job-extra-directives", ["-a 1-4"]),
        ("extra_directives", ["--nodes=2"], "job-extra-directives", ["-N2"]),
        ("extra_directives", [{"--comment": "x"}], "job-extra-directives", [{"--comment": "x"}]),
        ("join_timeout", 0, "death-timeout", 0),
    ],
)  # fmt: skip
def test_a_bound_holds_wherever_the_value_comes_from(settings, argument, value, key, same):
    with pytest.raises(ValueError, match=argument):
        Pool(1, backend="slurm", **{argument: value})
    settings(**{key: same})
    with pytest.raises(ValueError, match=rf"jobqueue\.slurm\.{key} in jobqueue\.yaml"):
        SiteSettings.checked(own=False)


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ('walltime: "30"', "walltime", 1800.0), ("walltime: 00:10:00", "walltime", 600.0),
        ('walltime: "1-12"', "walltime", 129600.0), ("walltime: ~", "walltime", None),
        ("memory: 4GB", "memory", 4 * 10**9), ("memory: 4000000000", "memory", 4 * 10**9),
        ('job-mem: "4G"', "job-mem", "4096M"), ('job-mem: "0"', "job-mem", "0"), ("queue: ~", "queue", None),
        ("death-timeout: 5 min", "death-timeout", 300.0), ("shebang: #!/bin/bash", "shebang", None),
        ("python: apptainer exec a.sif python3", "python", "apptainer exec a.sif python3"),
        ('job-extra-directives: ["-N 1 --exclusive"]', "job-extra-directives", ("-N 1", "--exclusive")),
    ],
)  # fmt: skip
def test_settings_as_sites_write_them(settings, line, key, value):
    settings(**yaml.safe_load(line))
    assert SiteSettings.checked(own=False).get(key) == value


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("interface", "nowhere0", "interface in jobqueue.yaml: .*nowhere0"),
        ("scheduler-options", {"port": "x"}, "port must be"), ("scheduler-options", [1], "names and values"),
        ("shebang", "/bin/bash", "#!/bin/bash -l"), ("python", "~ada/python", "without ~NAME"),
        ("worker-extra-args", ["--nworkers=4"], "said by the pool itself"),
        ("job-directives-skip", [""], "plain words"), ("local-directory", "", "plain words"),
    ],
)  # fmt: skip
def test_what_would_make_of_a_node_another_thing(settings, key, value, words):
    settings(**{key: value})
    with pytest.raises(ValueError, match=words):
        SiteSettings.checked(own=False)


@pytest.mark.parametrize("section", [None, [], "queue"])
def test_a_section_that_is_none(section):
    with dask.config.set({"jobqueue.slurm": section}), pytest.raises(ValueError, match="must be settings"):
        SiteSettings.checked(own=False)


@pytest.mark.parametrize(
    ("key", "value", "variables", "words"),
    [
        ("local-directory", "$SCRATCH", {"SCRATCH": "/a b"}, ["/a b"]),
        ("local-directory", "~/my dask", {}, ["/home/ada/my dask"]),
        ("local-directory", "${SCRATCH}/$USER", {"SCRATCH": "/s", "USER": "*"}, ["/s/*"]),
        ("python", "~/env/bin/python -X dev", {}, ["/home/ada/env/bin/python", "-X", "dev"]),
        ("worker-extra-args", ["--resources GPU=$N", "--preload=~/p.py"], {"N": "2"},
         ["--resources", "GPU=2", "--preload=/home/ada/p.py"]),
        ("local-directory", "$SCRATCH", {}, None), ("local-directory", "/x/${SCRATCH}/y", {}, None),
        ("local-directory", "$SCRATCH", {"SCRATCH": ""}, None), ("python", "$SCRATCH/python", {}, None),
        ("worker-extra-args", ["--local-directory", "$SCRATCH"], {}, None),
    ],
)  # fmt: skip
def test_what_the_shell_expands_stays_in_its_place_or_ends_the_job(settings, key, value, variables, words):
    """An unset variable would leave its option the next one for a value."""
    settings(**{key: value})
    found = SiteSettings.checked(own=False).get(key)
    line = found if isinstance(found, str) else " ".join(found)
    done = subprocess.run(
        ["/bin/bash", "-c", f"printf '%s\\n' {line} --next"], env={"HOME": "/home/ada"} | variables,
        capture_output=True, text=True,
    )  # fmt: skip
    if words is None:
        assert done.returncode
        assert done.stdout == ""
        assert causes.likely("FAILED", done.stderr, True).startswith(
            f"Likely cause: jobqueue.slurm.{key} in jobqueue.yaml uses the variable SCRATCH, which"
        )
    else:
        assert done.stdout.splitlines() == [*words, "--next"]


class Site:
    """A site: its slurm.conf is not one of hpclab's, its jobqueue.yaml in a private folder."""

    def __init__(self, cluster, folder: Path):
        self.cluster, self.folder = cluster, folder
        self.conf = folder / "slurm.conf"
        rest = (cluster.directory / "slurm.conf").read_text().partition("\n")[2]
        self.conf.write_text("# The site's own\n" + rest)

    def run(self, yaml: str, program: str, state: str = "state", **variables: str) -> dict:
        """What the program prints as its last line, in a notebook's environment on this site."""
        config = self.folder / "dask"
        config.mkdir(mode=0o700, exist_ok=True)
        (config / "jobqueue.yaml").write_text(yaml)
        environment = {key: value for key, value in os.environ.items() if key != "HPCLAB_SLURM"}
        environment |= {"SLURM_CONF": str(self.conf), "DASK_CONFIG": str(config)}
        environment |= variables | {"HPCLAB_STATE_DIR": str(self.folder / state)}
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
    text = YAML.format(directives=directives, prologue=prologue)
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
    seen = site.run(text, program.replace("ALLOCATION", allocation))
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
    text = (
        YAML.format(directives="job_extra_directives", prologue="job_script_prologue") + "    job_mem: 1G\n"
    )
    seen = site.run(text, """
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
    text = YAML.format(directives="job_extra_directives", prologue="no_prologue")
    seen = site.run(text + f"    job_script_prologue: {json.dumps(prologue)}\n", FAILS)
    assert seen["kind"] == "JoinError"
    assert seen["seconds"] < 30
    for words in ("of 2 nodes ended before they joined", "is FAILED on node", "no such thing as cuda/99",
                  "Likely cause", "job-script-prologue"):  # fmt: skip
        assert words in seen["text"]
    assert site.left() == []


@pytest.mark.slurm
@pytest.mark.slow
@pytest.mark.parametrize("allocation", ["jobs", "single"])
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
    assert list((site.folder / "ada@uni %u it's $x;").glob("hpclab-*")) == site.left() == []


@pytest.mark.slurm
@pytest.mark.slow
@pytest.mark.parametrize("allocation", ["jobs", "single"])
def test_a_variable_that_the_job_lacks_is_named(site, allocation):
    text = YAML.format(directives="job_extra_directives", prologue="no_prologue")
    fails = FAILS.replace("Pool(2,", f"Pool(2, allocation={allocation!r},")
    seen = site.run(text + "    local-directory: $NOWHERE_SET/dask\n", fails)
    assert seen["kind"] == "JoinError"
    assert "jobqueue.slurm.local-directory in jobqueue.yaml uses the variable NOWHERE_SET" in seen["text"]
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
