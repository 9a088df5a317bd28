"""Lesson 04: five broken job scripts to repair. Each fails on a real Slurm in a way that people meet."""

from __future__ import annotations

import re

from hpclab.exercises.job_scripts import JobScript
from hpclab.exercises.job_trials import Trial
from hpclab.exercises.script_repair import repair, shared_mistakes

_RATES = ("0.1", "0.03", "0.01", "0.003")

# 1. A directive after the first command -----------------------------------------------------------------


def _four_tasks_mistakes(script: JobScript) -> str:
    if trouble := shared_mistakes(script):
        return trouble
    if not re.search(r"^\s*srun\b", script.body, re.MULTILINE):
        return "Without srun the script's lines run once, on the first node, however many tasks were given."
    if script.tasks == 4 and "ntasks" not in script.options and script.nodes == 4:
        return "Four nodes make four tasks, but any four cores would do: now the job waits for four nodes."
    if script.tasks != 4 and "cpus-per-task" in script.options:
        return "--cpus-per-task gives one task more cores; it does not start more tasks."
    if script.tasks != 4 and re.search(r"srun\s[^'\"]*(-n\s*=?4|--ntasks[= ]4)", script.body):
        return (
            f"srun can only use what the job was given, and this job asks for {script.tasks} task: "
            '"More processors requested than permitted".'
        )
    if script.tasks != 4:
        return f"sbatch reads a request for {script.tasks} task(s); the job needs 4."
    return ""


def _four_tasks_result(trial: Trial) -> str:
    for rank in range(4):
        if not trial.files.get(f"part-{rank}.txt", "").startswith(f"rank {rank} of 4"):
            return f"part-{rank}.txt is missing, or not written by rank {rank} of 4. {trial.trouble}".strip()
    return ""


FOUR_TASKS = repair(
    "1_four_tasks",
    "The job should run four tasks, wherever there is room, and leave part-0.txt to part-3.txt.",
    _four_tasks_mistakes,
    _four_tasks_result,
    "sbatch stops reading directives at the first command; now it sees all of them before it.",
    (
        "How many tasks did the job get? Put `scontrol show job $SLURM_JOB_ID` into it and look at NumTasks.",
        "sbatch reads #SBATCH lines only up to a certain line. Which?",
        "Every #SBATCH line must stand above `set -euo pipefail`, the first command.",
    ),
)

# 2. A time limit in the wrong unit ----------------------------------------------------------------------


def _thirty_minutes_mistakes(script: JobScript) -> str:
    if trouble := shared_mistakes(script):
        return trouble
    seconds = script.seconds
    if seconds is None:
        return (
            "Without --time the job gets the partition's default, which may end it too early, or be so long "
            "that it cannot slip into a gap: ask for the thirty minutes."
        )
    if seconds <= 60:
        return (
            f"That is {seconds:g} seconds: two numbers are minutes:seconds. It would be ended after a minute."
        )
    if seconds < 23 * 60:
        return f"That is {seconds / 60:g} minutes, and a run took 22: Slurm would end it before it is done."
    if seconds > 3600:
        size = "no limit at all" if seconds == float("inf") else f"{seconds / 3600:g} hours"
        return (
            f"That is {size}: a number alone is minutes, and with two colons the first is hours. "
            "A partition refuses what is above its limit, and long jobs wait longest."
        )
    return ""


def _model_result(trial: Trial) -> str:
    return "" if trial.files.get("model.txt", "").strip() == "trained" else "model.txt was not written."


THIRTY_MINUTES = repair(
    "2_thirty_minutes",
    "The job should ask for thirty minutes.",
    _thirty_minutes_mistakes,
    _model_result,
    "Thirty minutes, with a margin over the twenty-two measured, and short enough to slip into a gap.",
    (
        "Submit it and read what sbatch says. Which limit did it break?",
        "`sinfo -o '%P %l'` shows each partition's limit. How long is 30:00:00?",
        "Slurm reads minutes, minutes:seconds, hours:minutes:seconds and days-hours. Write 30, or 00:30:00.",
    ),
)

# 3. More GPUs than a node has ---------------------------------------------------------------------------


def _two_gpus_mistakes(script: JobScript) -> str:
    if trouble := shared_mistakes(script):
        return trouble
    kind = re.split(r"[:=]", script.options.get("gres", "gpu"))[0]
    if kind != "gpu":
        return f"No Slurm here knows a generic resource named {kind!r}: `sinfo -o '%n %G'` shows the names."
    if script.gpus == 0:
        return "Now the job asks for no GPU at all, so Slurm gives it none, whatever the script sets itself."
    if script.nodes != 2:
        return f"The GPUs should be on two nodes, one on each; this asks for {script.nodes}."
    if script.gpus != 2:
        return (
            f"That comes to {script.gpus} GPUs: --gres counts per node, and there are {script.nodes} nodes."
        )
    if script.tasks != 2:
        return f"There should be one task beside each GPU, so two; this makes {script.tasks}."
    return ""


def _two_gpus_result(trial: Trial) -> str:
    for rank in range(2):
        line = trial.files.get(f"gpu-{rank}.txt", "")
        if "has GPU" not in line:
            return f"gpu-{rank}.txt was not written. {trial.trouble}".strip()
        if "none" in line:
            return f"task {rank} has no GPU."
    return ""


TWO_GPUS = repair(
    "3_two_gpus",
    "The job should have two GPUs in all: one on each of two nodes, with one task beside each.",
    _two_gpus_mistakes,
    _two_gpus_result,
    "--gres counts on each node; --gpus would count over the whole job.",
    (
        "`sinfo -N -o '%N %G'` shows how many GPUs each node has.",
        "Is the number in --gres for the whole job, or for each node?",
        "Two nodes with one GPU each: --nodes=2 and --gres=gpu:1.",
    ),
)

# 4. An array whose tasks write one file -----------------------------------------------------------------


def _four_rates_mistakes(script: JobScript) -> str:
    if trouble := shared_mistakes(script):
        return trouble
    body = script.body
    if len(script.array) != 4:
        return f"The array has {len(script.array)} tasks; there are four learning rates."
    if re.search(r">>", body):
        return (
            "Appending to one file works until two tasks write at once on a shared file system, and a second "
            "run doubles every line: give each task a file of its own."
        )
    if re.search(r">\s*\S*%[aAjJ]", body):
        return "%a is filled in by sbatch, and only in #SBATCH lines; in the script the index is a variable."
    if re.search(r">\s*\S*SLURM_ARRAY_JOB_ID", body):
        return "SLURM_ARRAY_JOB_ID is the same in every task of the array, so they still share one file."
    if re.search(r">\s*\S*SLURM_PROCID", body):
        return (
            "SLURM_PROCID counts tasks inside a job; each array task is a job by itself, so it is always 0."
        )
    if re.search(r">\s*\S*SLURM_JOB_ID", body):
        return (
            "Job ids do tell the tasks apart, but nobody knows them beforehand: result-0.txt to result-3.txt "
            "were asked for."
        )
    return ""


def _four_rates_result(trial: Trial) -> str:
    if "result.txt" in trial.files:
        return "All four tasks wrote result.txt, each over the last: one line is left of four."
    if "unbound variable" in trial.trouble:
        return f"{trial.trouble} Bash counts the rates from 0, so an index has none."
    for index, rate in enumerate(_RATES):
        found = trial.files.get(f"result-{index}.txt")
        if found is None:
            return f"result-{index}.txt is missing. {trial.trouble}".strip()
        if found.strip() != f"learning rate {rate}":
            return f"result-{index}.txt should hold 'learning rate {rate}', not {found.strip()[:60]!r}."
    extra = sorted(name for name in trial.files if name.startswith("result-"))[4:]
    return f"{extra[0]} is one file too many." if extra else ""


FOUR_RATES = repair(
    "4_four_rates",
    "Each of the four learning rates should run once and leave result-0.txt to result-3.txt.",
    _four_rates_mistakes,
    _four_rates_result,
    "Every array task has its own index, its own rate and its own file.",
    (
        "There are two mistakes: one ends a task, the other loses results. Read the four logs.",
        "Bash arrays count from 0. What do four tasks do that all write result.txt?",
        'Use --array=0-3, and write to "result-$SLURM_ARRAY_TASK_ID.txt".',
    ),
)

# 5. A log in a folder that is not there -----------------------------------------------------------------


def _lost_log_mistakes(script: JobScript) -> str:
    if trouble := shared_mistakes(script):
        return f"{trouble} The log then goes to slurm-<job id>.out by luck." if script.late else trouble
    for name in ("output", "error"):
        pattern = script.options.get(name, "")
        if pattern == "/dev/null":
            return "Now the log is thrown away: when the job fails, nothing will say why."
        if "$" in pattern or pattern.startswith("~"):
            return (
                f"--{name}={pattern}: sbatch fills in %x and %j, but not $ or ~, so it looks for a folder "
                "of that very name."
            )
        if "/" in pattern and not pattern.startswith("./"):
            return (
                f"--{name}={pattern} still names a folder. Slurm opens the log before the script's first "
                "line runs, so a mkdir inside the script comes too late."
            )
    if "output" in script.options and not re.search(r"%[jJA]", script.options["output"]):
        return "Each run should keep a log of its own; this name is the same every time: put %j into it."
    return ""


def _lost_log_result(trial: Trial) -> str:
    if any("the loss after 100 steps" in text for text in trial.files.values()):
        return ""
    return "No log holds the line that the job printed."


LOST_LOG = repair(
    "5_lost_log",
    "Every run should leave a log of its own, for whoever runs the script in any folder.",
    _lost_log_mistakes,
    _lost_log_result,
    "Slurm opens the log before the first line of the script runs, in a folder that is there.",
    (
        "`scontrol show job` says ExitCode=0:53: the script never began. What happens before it begins?",
        "Slurm opens the file of --output first. Is its folder there at that moment?",
        "Write the log beside the script, --output=%x-%j.out, or leave --output out.",
    ),
)

SCRIPTS = (FOUR_TASKS, THIRTY_MINUTES, TWO_GPUS, FOUR_RATES, LOST_LOG)
