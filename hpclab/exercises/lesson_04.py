"""Lesson 04: five broken job scripts to repair. Each fails on a real Slurm in a way that people meet."""

from __future__ import annotations

from hpclab.exercises import job_mistakes
from hpclab.exercises.job_trials import Trial
from hpclab.exercises.script_repair import repair

_RATES = ("0.1", "0.03", "0.01", "0.003")

# 1. A directive after the first command -----------------------------------------------------------------


def _four_tasks_result(trial: Trial) -> str:
    for rank in range(4):
        if not trial.files.get(f"part-{rank}.txt", "").startswith(f"rank {rank} of 4"):
            return f"part-{rank}.txt is missing, or not written by rank {rank} of 4. {trial.trouble}".strip()
    return ""


FOUR_TASKS = repair(
    "1_four_tasks",
    "The job should run four tasks, wherever there is room, and leave part-0.txt to part-3.txt.",
    job_mistakes.four_tasks,
    _four_tasks_result,
    "sbatch stops reading directives at the first command; now it sees all of them before it.",
    (
        "How many tasks did the job get? Put `scontrol show job $SLURM_JOB_ID` into it and look at NumTasks.",
        "sbatch reads #SBATCH lines only up to a certain line. Which?",
        "Every #SBATCH line must stand above `set -euo pipefail`, the first command.",
    ),
)

# 2. A time limit in the wrong unit ----------------------------------------------------------------------


def _model_result(trial: Trial) -> str:
    return "" if trial.files.get("model.txt", "").strip() == "trained" else "model.txt was not written."


THIRTY_MINUTES = repair(
    "2_thirty_minutes",
    "The job should ask for thirty minutes.",
    job_mistakes.thirty_minutes,
    _model_result,
    "Thirty minutes, with a margin over the twenty-two measured, and short enough to slip into a gap.",
    (
        "Submit it and read what sbatch says. Which limit did it break?",
        "`sinfo -o '%P %l'` shows each partition's limit. How long is 30:00:00?",
        "Slurm reads minutes, minutes:seconds, hours:minutes:seconds and days-hours. Write 30, or 00:30:00.",
    ),
)

# 3. More GPUs than a node has ---------------------------------------------------------------------------


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
    job_mistakes.two_gpus,
    _two_gpus_result,
    "--gres counts on each node; --gpus would count over the whole job.",
    (
        "`sinfo -N -o '%N %G'` shows how many GPUs each node has.",
        "Is the number in --gres for the whole job, or for each node?",
        "Two nodes with one GPU each: --nodes=2 and --gres=gpu:1.",
    ),
)

# 4. An array whose tasks write one file -----------------------------------------------------------------


def _four_rates_result(trial: Trial) -> str:
    if "result.txt" in trial.files:
        return "All four tasks wrote result.txt, each over the last: one line is left of four."
    if "]: unbound variable" in trial.trouble:
        return f"{trial.trouble} Bash counts the rates from 0, so an index has none."
    if "unbound variable" in trial.trouble:
        return f"{trial.trouble} Slurm sets no variable of that name: the index is in SLURM_ARRAY_TASK_ID."
    left = sorted(name for name in trial.files if not name.endswith(".out"))
    for index, rate in enumerate(_RATES):
        found = trial.files.get(f"result-{index}.txt")
        if found is None:
            shown = f" The job left {', '.join(left)}." if left else ""
            return f"result-{index}.txt is missing.{shown} {trial.trouble}".strip()
        if found.strip() != f"learning rate {rate}":
            return f"result-{index}.txt should hold 'learning rate {rate}', not {found.strip()[:60]!r}."
    extra = sorted(name for name in trial.files if name.startswith("result-"))[4:]
    return f"{extra[0]} is one file too many." if extra else ""


FOUR_RATES = repair(
    "4_four_rates",
    "Each of the four learning rates should run once and leave result-0.txt to result-3.txt.",
    job_mistakes.four_rates,
    _four_rates_result,
    "Every array task has its own index, its own rate and its own file.",
    (
        "There are two mistakes: one ends a task, the other loses results. Read the four logs.",
        "Bash arrays count from 0. What do four tasks do that all write result.txt?",
        'Use --array=0-3, and write to "result-$SLURM_ARRAY_TASK_ID.txt".',
    ),
)

# 5. A log in a folder that is not there -----------------------------------------------------------------


def _lost_log_result(trial: Trial) -> str:
    if any("the loss after 100 steps" in text for text in trial.files.values()):
        return ""
    return "No log holds the line that the job printed."


LOST_LOG = repair(
    "5_lost_log",
    "Every run should leave a log of its own, for whoever runs the script in any folder.",
    job_mistakes.lost_log,
    _lost_log_result,
    "Slurm opens the log before the first line of the script runs, in a folder that is there.",
    (
        "`scontrol show job` says ExitCode=0:53: the script never began. What happens before it begins?",
        "Slurm opens the file of --output first. Is its folder there at that moment?",
        "Write the log beside the script, --output=%x-%j.out, or leave --output out.",
    ),
)

SCRIPTS = (FOUR_TASKS, THIRTY_MINUTES, TWO_GPUS, FOUR_RATES, LOST_LOG)
