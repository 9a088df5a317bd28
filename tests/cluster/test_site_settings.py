"""A site's jobqueue.yaml, checked before any job script is made of it."""

import subprocess

import dask
import pytest
import yaml

from hpclab.cluster.backends import causes, site_settings


def refused(words: str) -> None:
    with pytest.raises(ValueError, match=words):
        site_settings.checked("slurm", own=False)


NASTY = ["a\nb", "a;b", "$(id)", "`id`", 'a"b', "a'b", "a\0b", "x" * 10_000, "a|b", "a>b"]
WORDS = ("queue", "account", "interface", "walltime", "job-mem", "python", "local-directory",
         "worker-command", "shebang")  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, value) for value in NASTY for key in WORDS),
        ("job-extra-directives", ["--qos=x\n#SBATCH -p other"]), ("job-extra-directives", "--qos=x"),
        ("worker-extra-args", ["--x; id"]), ("job-script-prologue", "module load"),
        ("job-script-prologue", [None]), ("memory", "lots"), ("memory", [1]), ("queue", ["a"]),
        ("walltime", "0:30"), ("memory", 4), ("job-mem", "1M"), ("account", ""),
        ("job-extra-directives", ["-a 1-4"]), ("job-extra-directives", [7]), ("death-timeout", 0),
    ],
)  # fmt: skip
def test_what_could_become_a_directive_or_a_command_is_refused(settings, key, value):
    settings(**{key: value})
    refused(rf"jobqueue\.slurm\.{key} in jobqueue\.yaml")


def test_former_names(settings):
    settings(**{"project": "old", "env-extra": ["module load x"], "header-skip": ["--mem="]})
    found = site_settings.checked("slurm", own=False)
    assert found["account"] == "old"
    assert found["job-script-prologue"] == ["module load x"]
    assert found["job-directives-skip"] == ["--mem="]
    settings(project=0o123456)
    refused(r"slurm\.project in jobqueue\.yaml must be text: put it in quotes")


QUOTES = "put it in quotes.* read as .*"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("walltime: 10:00", f"{QUOTES}the number 600, as are 10:00"),
        ("walltime: 30", f"{QUOTES}the number 30"),
        ("account: 0123456", f"{QUOTES}42798, as are .* and 0123456"),
        ("queue: on", f"{QUOTES}true, as are yes, no, on and off"),
        ("account: 2026-11-28", f"{QUOTES}the date 2026-11-28"),
        ('worker-extra-args: ["-x", 25]', f"{QUOTES}the number 25"),
        ("job-script-prologue: [module load: x]", f"{QUOTES}because of the colon"),
        ("scheduler-options: {port: x}", "port must be"),
        ("scheduler-options: [1]", "names and values"), ("shebang: /bin/bash", "#!/bin/bash -l"),
        ("python: ~ada/python", "without ~NAME"), ('job-directives-skip: [""]', "plain words"),
        ('worker-extra-args: ["--nworkers=4"]', "said by the pool itself"),
    ],
)  # fmt: skip
def test_what_is_read_as_another_thing_or_would_make_one_of_a_node(settings, line, words):
    settings(**yaml.safe_load(line))
    refused(rf"slurm\.{line.partition(':')[0]} in .*{words}")


def test_a_variable_that_dask_reads_as_a_number_is_named(settings, monkeypatch):
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__ACCOUNT", "1e5")
    settings(account=dask.config.collect_env()["jobqueue"]["slurm"]["account"])
    refused(
        "account in DASK_JOBQUEUE__SLURM__ACCOUNT must be text: put it in quotes, for Dask and not the shell"
    )


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
    assert site_settings.checked("slurm", own=False).get(key) == value


@pytest.mark.parametrize("section", [None, [], "queue"])
def test_a_section_that_is_none(section):
    with dask.config.set({"jobqueue.slurm": section}):
        refused("must be settings")


@pytest.mark.parametrize(
    ("key", "value", "variables", "words"),
    [
        ("local-directory", "$SCRATCH", {"SCRATCH": "/a b"}, ["/a b"]),
        ("local-directory", "~/my dask", {}, ["/home/ada/my dask"]),
        ("local-directory", "${SCRATCH}/$USER", {"SCRATCH": "/s", "USER": "*"}, ["/s/*"]),
        ("python", "~/env/bin/python -X dev", {}, ["/home/ada/env/bin/python", "-X", "dev"]),
        ("worker-extra-args", ["--resources GPU=$N", "--preload=~/p.py"], {"N": "2"},
         ["--resources", "GPU=2", "--preload=/home/ada/p.py"]),
        ("local-directory", "/x/${SCRATCH}/y", {}, None), ("python", "$SCRATCH/a", {"SCRATCH": ""}, None),
        ("worker-extra-args", ["--local-directory", "$SCRATCH"], {}, None),
    ],
)  # fmt: skip
def test_what_the_shell_expands_stays_in_its_place_or_ends_the_job(settings, key, value, variables, words):
    """An unset variable would leave its option the next one for a value."""
    settings(**{key: value})
    found = site_settings.checked("slurm", own=False)[key]
    line = found if isinstance(found, str) else " ".join(found)
    done = subprocess.run(
        ["/bin/bash", "-c", f"printf '%s\\n' {line} --next"], env={"HOME": "/home/ada"} | variables,
        capture_output=True, text=True,
    )  # fmt: skip
    if words is None:
        assert done.returncode
        assert done.stdout == ""
        assert causes.likely_cause("FAILED", done.stderr, True).startswith(
            f"Likely cause: jobqueue.slurm.{key} in jobqueue.yaml uses the variable SCRATCH, which"
        )
    else:
        assert done.stdout.splitlines() == [*words, "--next"]
