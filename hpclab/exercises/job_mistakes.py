"""What is still wrong in a repaired script of lesson 04, found by reading it: a sentence, or "" for nothing.

A function for each exercise. What only running a script shows is judged in `lesson_04`.
"""

from __future__ import annotations

import re

from hpclab.exercises.job_scripts import JobScript
from hpclab.exercises.script_repair import shared_mistakes

_SRUN = re.compile(r"(?<![\w./-])srun\s")


def four_tasks(script: JobScript) -> str:
    if trouble := shared_mistakes(script):
        return trouble
    if not _SRUN.search(script.body):
        return "Without srun the script's lines run once, on the first node, however many tasks were given."
    if script.tasks == 4 and "ntasks" not in script.options and script.nodes == 4:
        return "Four nodes make four tasks, but any four cores would do: now the job waits for four nodes."
    at_most = "-" in script.options.get("nodes", "-")  # a range, such as 1-4, ties them to nothing
    if script.tasks == 4 and ("ntasks-per-node" in script.options or not at_most):
        where = "one node" if script.nodes == 1 else f"{script.nodes} nodes"
        return f"That ties the four tasks to {where}; they should run wherever there are four free cores."
    if script.tasks != 4 and script.array:
        return "An array makes a job of each index, and in each of them the rank is 0: ask for four tasks."
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


def thirty_minutes(script: JobScript) -> str:
    if trouble := shared_mistakes(script):
        return trouble
    seconds = script.seconds
    if seconds is None:
        return (
            "Without --time the job gets the partition's default, which may end it too early, or be so long "
            "that it cannot slip into a gap: ask for the thirty minutes."
        )
    if seconds <= 60 and ":" in script.options["time"]:
        return (
            f"That is {seconds:g} seconds: two numbers are minutes:seconds. It would be ended after a minute."
        )
    if seconds < 23 * 60:
        return f"That is {_minutes(seconds)}, and a run took 22: Slurm would end it before it is done."
    if seconds < 30 * 60:
        return f"That is {_minutes(seconds)}: the longest run took 22, and the next may take longer."
    if 30 * 60 < seconds <= 3600:
        return f"That is {_minutes(seconds)}: half of them would do, and long jobs wait longest."
    if seconds > 3600:
        size = "no limit at all" if seconds == float("inf") else f"{seconds / 3600:g} hours"
        return (
            f"That is {size}: a number alone is minutes, and with two colons or after a dash the first is "
            "hours. A partition refuses what is above its limit, and long jobs wait longest."
        )
    return ""


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:g} minute{'s' * (seconds != 60)}"


def two_gpus(script: JobScript) -> str:
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
        total = f"That comes to {script.gpus} GPU{'s' * (script.gpus > 1)}"
        if "gpus" in script.options:
            return f"{total}: --gpus counts over the whole job."
        if "gpus-per-task" in script.options:
            return f"{total}: --gpus-per-task counts for each task, and there are {script.tasks} of them."
        return f"{total}: --gres counts per node, and there are {script.nodes} nodes."
    if not _SRUN.search(script.body):
        return "Without srun the script's lines run once, on the first node: the second task never starts."
    if script.tasks != 2:
        return f"There should be one task beside each GPU, so two; this makes {script.tasks}."
    return ""


def four_rates(script: JobScript) -> str:
    if trouble := shared_mistakes(script):
        return trouble
    body = script.body
    if len(script.array) != 4:
        count = len(script.array)
        return f"The array has {count} task{'s' * (count != 1)}; there are four learning rates."
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


def lost_log(script: JobScript) -> str:
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
        if pattern.startswith("/"):
            return (
                f"--{name}={pattern} is one place for everybody: others may not have it, or may not write "
                "there, and a folder for temporary files is another one on each node."
            )
        if "/" in pattern.removeprefix("./"):
            return (
                f"--{name}={pattern} still names a folder. Slurm opens the log before the script's first "
                "line runs, so a mkdir inside the script comes too late."
            )
    if "output" in script.options and not re.search(r"%[jJA]", script.options["output"]):
        return "Each run should keep a log of its own; this name is the same every time: put %j into it."
    return ""
