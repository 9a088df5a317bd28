"""Lesson 04: five broken job scripts to repair, each failing on a real Slurm in a way that people meet,
judged by reading them and by the files that the job leaves; and short runs to pack into jobs."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

from hpclab.exercises import Exercise, Verdict, judges
from hpclab.exercises.judges import Mistakes, first_mistake
from hpclab.exercises.lesson_04 import job_trials
from hpclab.exercises.lesson_04.job_folder import original
from hpclab.exercises.lesson_04.job_scripts import JobScript
from hpclab.exercises.lesson_04.job_trials import JobTrial

_SHARED = (
    (lambda f: f.nearly, "{f.nearly[0]!r} is no directive: it must begin with exactly #SBATCH and a space."),
    (lambda f: f.late, "{f.late[0]!r} stands after the first command, so sbatch passes over it in silence."),
)  # fmt: skip


def repair(
    name: str, leaves: Mapping[str, str], mistakes: Mistakes, *, ran: Mistakes = (), hints: tuple[str, ...],
    because: str, mended: Callable[[], bool] = bool,
) -> Exercise:  # fmt: skip
    """Make the exercise on ``broken/<name>.sh``. `leaves` maps each file that the job must leave to text in
    it; conditions of `mistakes` are on the JobScript, those of `ran` on its JobTrial; `because` begins the
    verdict on a right one. Where `mended()`, the repair is outside the script, which may be unchanged."""

    def result(trial: JobTrial) -> str:
        return first_mistake(ran, trial) or _missing(trial, leaves) or trial.trouble

    def judge(answer: object) -> Verdict:
        script = JobScript(_text(answer, "" if mended() else f"broken/{name}.sh"))
        if wrong := first_mistake((*_SHARED, *mistakes), script) or result(job_trials.dry_run(script)):
            return Verdict(False, wrong)
        why_not, trial = job_trials.submit_here(script)
        if why_not:
            return Verdict(True, f"{because} (Tried on this machine's processes{why_not})")
        if trouble := trial.trouble or result(trial):
            return Verdict(False, f"It reads well, but on the real Slurm {trouble}")
        return Verdict(True, f"{because} (Proved by job {trial.job} on the Slurm here.)")

    return Exercise("04", name, judge, hints)


def _missing(trial: JobTrial, leaves: Mapping[str, str]) -> str:
    """A sentence: which file of `leaves` is missing, wrong or one too many; "" where none is."""
    found = sorted(name for name in trial.files if not name.endswith(".out"))
    left = f" The job left {', '.join(found)}." if found else ""
    for name, words in leaves.items():
        if name not in trial.files:
            return f"{name} is missing.{left} {trial.trouble}".strip()
        if words not in trial.files[name]:
            was = f"{trial.files[name].strip()[:60]!r}. {trial.trouble}".strip()
            return f"{name} should hold {words!r}, not {was}"
    extra = [name for name in found if leaves and name not in leaves and name[:4] == next(iter(leaves))[:4]]
    return f"{extra[0]} is one file too many." if extra else ""


def _text(answer: object, name: str) -> str:
    """The script's text: `answer` is its path, or already the text; ValueError where it is still `name`'s."""
    if isinstance(answer, Path) or (isinstance(answer, str) and "\n" not in answer):
        try:
            answer = Path(answer).read_bytes()[: 2**20].decode("utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise ValueError(f"{str(answer)[:80]!r} cannot be read as a script: {why}.") from None
    if not isinstance(answer, str):
        raise ValueError("The answer is the path of your repaired script, or its text.")
    if name and answer.strip() == original(name).strip():
        raise ValueError(f"Not solved yet: {name} is as it was. Open it, repair it, save it, run this cell.")
    return answer


_NO_SRUN = "Without srun the script's lines run once, on the first node"


def _lacks_srun(script: JobScript) -> bool:
    """Whether no command of the script calls srun."""
    return not re.search(r"(?<![\w./-])srun\s", script.body)


def _tied_to_nodes(script: JobScript) -> bool:
    """Whether the request for four tasks also fixes the number of nodes, or the tasks on each."""
    at_most = "-" in script.options.get("nodes", "-")  # a range, such as 1-4, ties them to nothing
    return script.tasks == 4 and ("ntasks-per-node" in script.options or not at_most)


FOUR_TASKS = repair("1_four_tasks", {f"part-{rank}.txt": f"rank {rank} of 4" for rank in range(4)}, (
    (_lacks_srun, _NO_SRUN + ", however many tasks were given."),
    (lambda f: f.tasks == 4 and "ntasks" not in f.options and f.nodes == 4, "Any four cores would do: now "
     "the job waits for four nodes."),
    (_tied_to_nodes, "That ties the four tasks to {f.nodes} node(s); they should run wherever four cores are "
     "free."),
    (lambda f: f.tasks != 4 and f.array, "An array makes a job of each index, with rank 0 in each."),
    (lambda f: f.tasks != 4 and "cpus-per-task" in f.options, "--cpus-per-task gives one task more cores."),
    (lambda f: f.tasks != 4 and re.search(r"srun\s[^'\"]*(-n\s*=?4|--ntasks[= ]4)", f.body), "`srun` can "
     'only use what the job was given, {f.tasks} task: "More processors requested than permitted".'),
    (lambda f: f.tasks != 4, "That is a request for {f.tasks} task(s); the job needs 4."),
), hints=(
    "How many tasks did the job get? Put `scontrol show job $SLURM_JOB_ID` into it and look at NumTasks.",
    "sbatch reads #SBATCH lines only up to a certain line. Which?",
    "Every #SBATCH line must stand above `set -euo pipefail`, the first command.",
), because="sbatch reads directives up to the first command; now all of them stand before it.")  # fmt: skip

THIRTY_MINUTES = repair("2_thirty_minutes", {"model.txt": "trained"}, (
    (lambda f: f.seconds is None, "Without --time the job gets the partition's default, which may be too "
     "short, or too long to slip into a gap."),
    (lambda f: f.seconds <= 60 and ":" in f.options["time"], "That is {f.limit}: it is minutes:seconds."),
    (lambda f: f.seconds <= 22 * 60, "That is {f.limit}, and a run took 22: Slurm would end the next one."),
    (lambda f: f.seconds < 30 * 60, "That is {f.limit}: a run took 22, and the next may take longer."),
    (lambda f: f.seconds > 3600, "That is {f.limit}: a number alone is minutes, and with two colons or after "
     "a dash the first is hours. Partitions have limits, and long jobs wait longest."),
    (lambda f: f.seconds > 30 * 60, "That is {f.limit}: thirty minutes were meant; long jobs wait longest."),
), hints=(
    "Submit it and read what sbatch says. Which limit did it break?",
    "`sinfo -o '%P %l'` shows each partition's limit. How long is 30:00:00?",
    "Slurm reads minutes, minutes:seconds, hours:minutes:seconds and days-hours. Write 30, or 00:30:00.",
), because="Thirty minutes: more than the 22 measured, and short enough to slip into a gap.")  # fmt: skip

_TOTAL = "GPUs in all: {f.gpus}. "
TWO_GPUS = repair("3_two_gpus", {"gpu-0.txt": "has GPU", "gpu-1.txt": "has GPU"}, (
    (lambda f: f.resource not in ("gpu", ""), "No Slurm here knows a generic resource named {f.resource!r}: "
     "`sinfo -o '%n %G'` shows the names."),
    (lambda f: f.gpus == 0, "The job asks for no GPU at all, whatever the script sets itself."),
    (lambda f: f.nodes != 2, "The GPUs should be on two nodes, one on each; this asks for {f.nodes}."),
    (lambda f: f.gpus != 2 and "gpus" in f.options, _TOTAL + "--gpus counts over the whole job."),
    (lambda f: f.gpus != 2 and "gpus-per-task" in f.options, _TOTAL + "--gpus-per-task is for each task."),
    (lambda f: f.gpus != 2, _TOTAL + "--gres counts per node, and there are {f.nodes} nodes."),
    (_lacks_srun, _NO_SRUN + ": the second task never starts."),
    (lambda f: f.tasks != 2, "There should be one task beside each GPU, so two; this makes {f.tasks}."),
), ran=(
    (lambda f: any("none" in text for text in f.files.values()), "a task has no GPU."),
), hints=(
    "`sinfo -N -o '%N %G'` shows how many GPUs each node has.",
    "Is the number in --gres for the whole job, or for each node?",
    "Two nodes with one GPU each: --nodes=2 and --gres=gpu:1.",
), because="--gres counts on each node, --gpus over the whole job.")  # fmt: skip

_RESULTS = {f"result-{n}.txt": f"learning rate {rate}" for n, rate in enumerate((0.1, 0.03, 0.01, 0.003))}
FOUR_RATES = repair("4_four_rates", _RESULTS, (
    (lambda f: len(f.array) != 4, "There are four learning rates; the array has the indices {f.array}."),
    (lambda f: ">>" in f.body, "Appending works until two tasks write at once on a shared file system, and a "
     "second run doubles every line: give each task a file of its own."),
    (lambda f: f.redirects_to(r"%[aAjJ]"), "Slurm fills in %a only in #SBATCH lines; here it is a variable."),
    (lambda f: f.redirects_to("SLURM_ARRAY_JOB_ID"), "SLURM_ARRAY_JOB_ID is the same in every task."),
    (lambda f: f.redirects_to("SLURM_PROCID"), "SLURM_PROCID counts tasks inside a job; each array task is a "
     "job by itself, so it is always 0."),
    (lambda f: f.redirects_to("SLURM_JOB_ID"), "Job ids tell the tasks apart, but nobody knows them "
     "beforehand: result-0.txt to result-3.txt were asked for."),
), ran=(
    (lambda f: f.duplicate_result,
     "{f.duplicate_result}, so it did the work of others: each has one rate, one file."),
    (lambda f: "result.txt" in f.files, "All four wrote result.txt, each over the last: one line is left."),
    (lambda f: "]: unbound variable" in f.trouble, "{f.trouble} Bash counts from 0, so an index has none."),
    (lambda f: "unbound variable" in f.trouble, "{f.trouble} Slurm sets no variable of that name: the index "
     "is in SLURM_ARRAY_TASK_ID."),
), hints=(
    "There are two mistakes: one ends a task, the other loses results. Read the four logs.",
    "Bash arrays count from 0. What do four tasks do that all write result.txt?",
    'Use --array=0-3, and write to "result-$SLURM_ARRAY_TASK_ID.txt".',
), because="Every array task has its own index, its own rate and its own file.")  # fmt: skip


def _is_temporary(script: JobScript) -> bool:
    """Whether the log goes into a folder for temporary files that is not below the current one."""
    here = Path.cwd() in Path(script.log).parent.parents
    return bool(re.match("/(tmp|var/tmp|dev/shm)/", script.log)) and not here


LOST_LOG = repair("5_lost_log", {}, (
    (lambda f: f.log == "/dev/null", "Now the log is thrown away: nothing will say why a job failed."),
    (lambda f: "$" in f.log or f.log.startswith("~"), "`{f.log}`: Slurm fills in %x and %j, but neither $ "
     "nor ~, so it looks for a folder of that very name."),
    (_is_temporary, "`{f.log}` is in a folder for temporary files: each node has another one, and whoever "
     "looks for the log does not find it."),
    (lambda f: not Path(f.log).parent.is_dir(), "`{f.log}` names a folder that is not here. Slurm opens the "
     "log before the first line runs, so a mkdir inside the script comes too late."),
    (lambda f: f.log and not re.search(r"%[jJA]", f.log), "Each run would use this: put %j into it."),
), ran=(
    (lambda f: not any("the loss after 100 steps" in text for text in f.files.values()), "No log holds the "
     "line that the job printed."),
), hints=(
    "`scontrol show job` says ExitCode=0:53, Slurm's own way to say that the script never began. What "
    "happens before it begins?",
    "Slurm opens the file of --output first. Is its folder there at that moment?",
    "Write the log beside the script, --output=%x-%j.out, or leave it out; or run `!mkdir -p logs` in a cell "
    "of its own first.",
), because="Slurm opens the log before the script's first line, in a folder that is there.",
    mended=lambda: Path("logs").is_dir(),
)  # fmt: skip

_SECONDS = (15, 42, 15, 39, 58, 53, 46, 38, 41, 12, 41)
RUNS = dict(zip("abcdefghijk", _SECONDS, strict=True))  # seconds that each run takes


def _packed(answer: object) -> SimpleNamespace:
    """When the last job of `answer`, lists of RUNS, ends (modelled, s), and a sentence that says so."""
    if not isinstance(answer, list | tuple) or not all(isinstance(job, list | tuple | str) for job in answer):
        raise ValueError('The answer is a list of jobs, each a list of runs: [["a", "c"], ["b"]].')
    given = [str(run) for job in answer for run in job]
    if wrong := sorted(run for run in {*RUNS, *given} if given.count(run) != (run in RUNS)):
        raise ValueError(f"Each of {', '.join(RUNS)} is done once: look at {', '.join(wrong)}.")
    if not all(answer):
        raise ValueError("One of the jobs has no run, and still costs a start.")
    nodes = [0.0, 0.0, 0.0, 60.0]  # seconds after which each is free: one ends somebody's job first
    for job in answer:  # in order, each on the node that is free first: 4 s for its start, then its runs
        nodes[nodes.index(min(nodes))] += 4 + sum(RUNS[run] for run in job)
    each = ", ".join(f"{seconds:g}" for seconds in nodes)
    said = f"{len(answer)} jobs, done after {max(nodes):g} s (modelled; the nodes: {each})."
    return SimpleNamespace(last=max(nodes), said=said)


PACK = Exercise("04", "pack", judges.by_facts(
    _packed,
    (lambda f: f.last >= 149, "{f.said} One job a run, as they come, takes 149 s: be faster."),
    yes="{f.said} To beat: the longest run first, always into the job that ends first: 130 s. Nobody comes "
    "below 119 s.", score=("last", "seconds"),
), (
    "Each job costs 4 s before its first run. How many jobs do four nodes need at the least?",
    "The fourth node is free 60 s later, so its job should hold 60 s less work than the others.",
    "With one job a node, all done at 119 s: 115 s of runs for each of three nodes, 55 s for the fourth.",
))  # fmt: skip
