"""Job scripts are read as sbatch reads them, and a wild one harms nothing; where there is no Slurm they run
on this machine's processes, and it is said."""

import os
import re
import shutil
import tempfile
from pathlib import Path

import psutil
import pytest

from hpclab.cluster.slurm import FinishedJob, Job, Slurm
from hpclab.course import root
from hpclab.exercises import Exercise, lesson_04
from hpclab.exercises.lesson_04 import job_folder, job_follow, job_trials
from hpclab.exercises.lesson_04.job_follow import ThisMachine, connect, follow
from hpclab.exercises.lesson_04.job_scripts import JobScript, array_indices, limit_seconds

SCRIPTS = [
    value for value in vars(lesson_04).values() if isinstance(value, Exercise) and value.name[0].isdigit()
]


@pytest.mark.parametrize("exercise", SCRIPTS, ids=lambda e: e.name)
def test_the_broken_script_itself_is_not_solved_yet(exercise):
    source = job_folder.original(f"broken/{exercise.name}.sh")
    assert exercise.check(source).message.startswith("Not solved yet")
    commented = source.replace("set -euo", "# a remark\nset -euo")
    assert not exercise.check(commented).passed


@pytest.mark.parametrize(("answer", "said"), {
    0: "is the path", "no/such/file.sh": "cannot be read", "x" * 999: "cannot be read", "a\0b\n": "NUL",
}.items())  # fmt: skip
def test_nonsense_is_refused_in_a_sentence(answer, said):
    assert said in lesson_04.FOUR_TASKS.check(answer).message


@pytest.mark.slow
@pytest.mark.parametrize("log", ["logs/%x-%j.out", "../logs/%x-%j.out", "{here}/a/logs/%x-%j.out"])
def test_a_log_goes_into_a_folder_that_is_there(log, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    source = job_folder.original("broken/5_lost_log.sh").replace("logs/%x-%j.out", log.format(here=tmp_path))
    assert not lesson_04.LOST_LOG.check(source).passed
    (tmp_path / "logs").mkdir()
    (tmp_path / "a" / "logs").mkdir()
    assert lesson_04.LOST_LOG.check(source).passed
    assert not list((tmp_path / "logs").iterdir())


LEFT = 10_000 + os.getpid()  # seconds: a number by which this test knows its own
WILD = {
    "loops": ("while true; do :; done", "does not end"),
    "sleeps": ("sleep 1000", "does not end"),
    "prints": ("yes > part-0.txt", "part-0.txt"),
    "forks": (f"bomb() {{ sleep {LEFT} & bomb; }}; bomb", "processes"),
    "leaves": (f"sleep {LEFT} & disown", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WILD)
def test_a_wild_script_ends_and_leaves_nothing(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # so that nobody else's trial is meant
    line, words = WILD[kind]
    trial = job_trials.dry_run(JobScript(f"#!/bin/bash\n{line}\n"), seconds=3)
    assert words in trial.trouble + " ".join(trial.files)
    assert all(len(text) <= 2**16 for text in trial.files.values())
    mine = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]]
    assert ["sleep", str(LEFT)] not in mine
    assert not any(str(tmp_path) in " ".join(line) for line in mine)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["--ntasks=100000", "--array=0-99999", "--nodes=1e9"])
def test_too_many_tasks_are_refused(line):
    with pytest.raises(ValueError, match=r"asks for 100000|must be a whole number"):
        job_trials.dry_run(JobScript(f"#!/bin/bash\n#SBATCH {line}\necho\n"))


@pytest.mark.parametrize(("read", "text", "value"), [
    (limit_seconds, "0", float("inf")), (limit_seconds, "30", 1800), (limit_seconds, "30:00", 1800),
    (limit_seconds, "1:30:00", 5400), (limit_seconds, "1-12", 129600), (limit_seconds, "2-0:30", 174600),
    (array_indices, "0-3", (0, 1, 2, 3)), (array_indices, "1,4,9", (1, 4, 9)),
    (array_indices, "0-8:4%2", (0, 4, 8)),
])  # fmt: skip
def test_limits_and_arrays_as_slurm_reads_them(read, text, value):
    assert read(text) == value


@pytest.mark.parametrize("read", [limit_seconds, array_indices])
@pytest.mark.parametrize("text", ["30m", "", "-5", "٣٠", "1:2:3:4"])
def test_what_is_no_limit_and_no_array(read, text):
    with pytest.raises(ValueError, match="Invalid"):
        read(text)


def test_directives_as_sbatch_reads_them():
    script = JobScript(
        "#!/bin/bash -l\n# a remark\n\n#SBATCH -n 3 --time=5 # both count\n#SBATCH -J'two words'\n##SBATCH "
        "-n 9\n#SBATCH --requeue\necho\n#SBATCH -n 4\n"
    )
    assert script.options == {"ntasks": "3", "time": "5", "job-name": "two words", "requeue": ""}
    assert (script.late, script.nearly) == (["#SBATCH -n 4"], ["##SBATCH -n 9"])
    assert script.interpreter == ["/bin/bash", "-l"]


def test_the_learners_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = job_folder.job_folder(tmp_path)
    assert place == tmp_path / "my_jobs"
    assert os.access(place / "hello.sh", os.X_OK)
    (place / "hello.sh").write_text("mine")
    assert job_folder.job_folder(tmp_path) == job_folder.job_folder(place) == place
    (place / "hello.sh").rename(place / "tasks.sh")
    assert job_folder.job_folder(tmp_path) == place
    assert (place / "hello.sh").read_text() != "mine"
    assert (place / "tasks.sh").read_text() == "mine"
    beside = tmp_path / "course"
    (beside / "slurm").mkdir(parents=True)
    place.rename(beside / "slurm" / "jobs")
    assert job_folder.job_folder(beside) == beside / "slurm" / "jobs"
    (blocked := tmp_path / "file").write_text("not a folder")
    assert "Nothing can be written" in (str(job_folder.job_folder(blocked)) and capsys.readouterr().out)


def test_site_settings(tmp_path):
    file = tmp_path / "site.env"
    shipped = job_folder.original("site.env")
    file.write_text(shipped)
    assert job_folder.site_settings(file) == {}
    file.write_text(re.sub("PARTITION=\n", "PARTITION=gpu_a100 # ours\n", shipped, count=1))
    assert job_folder.site_settings(file) == dict.fromkeys(
        ("SBATCH_PARTITION", "SALLOC_PARTITION", "SLURM_PARTITION"), "gpu_a100"
    )
    file.write_bytes(b"PARTITION=gpu\r\n")
    with pytest.raises(ValueError, match=r"site\.env has DOS line breaks: sed"):
        job_folder.site_settings(file)
    for bad in ("a b", "$(id)", "-x"):
        file.write_text(f"ACCOUNT={bad}\n")
        with pytest.raises(ValueError, match=r"ACCOUNT in site\.env"):
            job_folder.site_settings(file)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """In a copy of the job scripts."""
    shutil.copytree(root() / "slurm" / "jobs", tmp_path / "jobs")
    monkeypatch.chdir(tmp_path / "jobs")


class Site(Slurm):
    """One that has these jobs, and remembers those that ended."""

    history_source = "This site has no accounting that answers."

    def __init__(self, queue=(), ended=()):
        super().__init__("site", "22.05", {})
        self.jobs, self.ended = queue, ended

    def queue(self, job_ids=None):
        return list(self.jobs)

    def history(self, job_ids=None):
        return list(self.ended)


def ended(number, state="COMPLETED", code=0, **task):
    return FinishedJob(number, "a", state, "main", 1, "node1", 0.0, 1.0, 3.0, code, **task)


@pytest.mark.slow
def test_scripts_run_on_this_machine(jobs, capsys):
    slurm = connect()
    assert isinstance(slurm, ThisMachine)
    assert "apt install slurm-wlm" in capsys.readouterr().out
    finished = follow(slurm, ["bash: sbatch: command not found"], "hello.sh")
    said = capsys.readouterr().out
    assert [job.state for job in finished] == ["COMPLETED"]
    assert "on this machine, waited 0 s" in said
    assert "stand in for real ones" in said
    assert "runs on node1 with 1 core" in said
    job = slurm.submit("tasks.sh")
    assert [old.id for old in slurm.history()] == [1, job]
    assert "with srun: task 1 of 2" in slurm.logs[job]
    assert (slurm.queue(), slurm.nodes()) == ([], [])
    assert follow(slurm, job)[0].id == job
    Path("fails.sh").write_text("#!/bin/bash\nexit 3\n")
    assert follow(slurm, [], "fails.sh")[0].state == "FAILED"


@pytest.mark.parametrize("said", [["sbatch: error: no"], [], ["x;y"]])
def test_what_is_no_job_id(jobs, said, capsys):
    assert follow(ThisMachine("none", "none", {}), said) == []
    assert "\n".join(said) in capsys.readouterr().out


def test_the_tasks_of_an_array_are_named_as_squeue_names_them(capsys):
    queue = [Job(6, "a", "COMPLETED", "", "main", 1, "node1", 0.0, 1.0, 60.0, 1, 6)]
    tasks = [ended(6, array_task=1, array_job=6), ended(7, array_task=0, array_job=6)]
    assert len(follow(Site(queue, tasks), ["6"])) == 2
    said = [line.split(":")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == ["job 6_0 (a)", "job 6_1 (a)"]


def test_a_site_that_takes_no_job_is_told_and_scripts_run_here(monkeypatch, capsys):
    refused = job_follow.SlurmError("sbatch: Required partition not available (inactive or drain)")

    def run(self, words, **_):
        if words[0] == "sbatch":
            raise refused
        return ""

    monkeypatch.setattr(Slurm, "_run", run)
    monkeypatch.setattr(job_follow.slurms, "connect", lambda: Slurm("site", "slurm 24.11", {}))
    assert isinstance(connect(), ThisMachine)
    said = capsys.readouterr().out
    assert "Required partition not available" in said
    assert "Name a partition" in said
    assert "site.env" in said


def test_a_job_that_nobody_remembers_is_told_by_its_output(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_follow, "_PATIENCE", 0.1)
    (tmp_path / "hello-7.out").write_text("it ran\n")
    assert follow(Site(), 7) == []
    said = capsys.readouterr().out
    assert "no accounting" in said
    assert "it ran" in said


def test_a_folder_that_the_node_does_not_see_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(follow(Site(ended=[ended(6, "FAILED", 181)]), 6)) == 1
    assert f"this folder, {tmp_path}" in capsys.readouterr().out


@pytest.mark.slow
def test_in_a_dry_run_the_jobs_number_in_the_logs_name_is_the_one_that_the_script_sees():
    lines = ["#!/bin/bash", "#SBATCH --array=0-1 --output=%A.out", "echo $SLURM_ARRAY_JOB_ID"]
    trial = job_trials.dry_run(JobScript("\n".join([*lines, ""])), seconds=3)
    ((name, text),) = trial.files.items()
    assert name == f"{text.split()[0]}.out"
    assert text.split() == [text.split()[0]] * 2
