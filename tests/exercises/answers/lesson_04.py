"""Lesson 04: two right repairs of each broken script, written differently, and wrong ones with words of the
hint that must name the mistake. Each is the shipped script with some lines changed."""

from hpclab.exercises.lesson_04.job_folder import original


def repaired(name, *changes):
    """The broken script with each (old, new) replaced; an old text that is not there is a mistake here."""
    text = original(f"broken/{name}.sh")
    for old, new in changes:
        assert old in text, (name, old)
        text = text.replace(old, new)
    return text


def _four_tasks(*changes):
    return repaired("1_four_tasks", *changes)


_LATE = "#SBATCH --ntasks=4\n\n"
_TOP = "#SBATCH --time=00:05:00\n"
_FOUR = (_TOP, _TOP + "#SBATCH --ntasks=4\n")


def _thirty(line):
    return repaired("2_thirty_minutes", ("#SBATCH --time=30:00:00\n", line))


def _gpus(*changes):
    return repaired("3_two_gpus", *changes)


_GRES = "#SBATCH --gres=gpu:2\n"


def _rates(*changes):
    return repaired("4_four_rates", *changes)


_INDEX = ("--array=1-4", "--array=0-3")
_FILE = ("> result.txt", '> "result-$SLURM_ARRAY_TASK_ID.txt"')


def _log(*changes):
    return repaired("5_lost_log", *changes)


_OUTPUT = "#SBATCH --output=logs/%x-%j.out\n"

RIGHT = {
    "FOUR_TASKS": [
        _four_tasks((_LATE, ""), (_TOP, _TOP + "#SBATCH --ntasks=4\n")),
        _four_tasks((_LATE, ""), ("#SBATCH --job-name=four-tasks\n", "#SBATCH -J four-tasks -n 4\n")),
    ],
    "THIRTY_MINUTES": [_thirty("#SBATCH --time=30\n"), _thirty("#SBATCH -t 0-00:30:00 # with a margin\n")],
    "TWO_GPUS": [_gpus(("gpu:2", "gpu:1")), _gpus((_GRES, "#SBATCH -G 2\n"))],
    "FOUR_RATES": [
        _rates(_INDEX, _FILE),
        _rates(
            ("rate=${rates[$SLURM_ARRAY_TASK_ID]}", "i=$((SLURM_ARRAY_TASK_ID - 1))\nrate=${rates[$i]}"),
            ("> result.txt", "> result-$i.txt"),
        ),
    ],
    "LOST_LOG": [_log(("logs/%x", "%x"), ("mkdir -p logs\n", "")), _log((_OUTPUT, ""))],
}

WRONG = {
    "FOUR_TASKS": [
        (_four_tasks((_LATE, "")), "a request for 1 task"),
        (_four_tasks((_LATE, ""), (_TOP, _TOP + "# SBATCH --ntasks=4\n")), "exactly #SBATCH"),
        (_four_tasks((_LATE, ""), (_TOP, _TOP + "#SBATCH --cpus-per-task=4\n")), "more cores"),
        (_four_tasks((_LATE, ""), ("srun bash", "srun --ntasks=4 bash")), "More processors requested"),
        (_four_tasks((_LATE, ""), (_TOP, _TOP + "#SBATCH --nodes=4\n")), "Any four cores"),
        (_four_tasks((_LATE, ""), (_TOP, _TOP + "#SBATCH --nodes=4 --ntasks=4\n")), "to 4 node(s)"),
        (_four_tasks((_LATE, ""), (_TOP, _TOP + "#SBATCH --ntasks-per-node=4\n")), "to 1 node(s)"),
        (_four_tasks((_LATE, ""), (_TOP, _TOP + "#SBATCH --array=0-3\n")), "a job of each index"),
        (_four_tasks((_LATE, ""), _FOUR, ("srun bash", "for i in 1 2 3 4; do srun -n 1 bash"),
                     ("PROCID.txt'", "PROCID.txt'; done")), "rank 0 of 4"),
        (_four_tasks((_LATE, ""), _FOUR, ("srun bash", "bash")), "Without srun"),
        (_four_tasks(("set -euo", _LATE + "set -euo")), "after the first command"),
        (
            _four_tasks((_LATE, ""), (_TOP, _TOP + "#SBATCH --ntasks 4\n"), ("part-$", "piece-$")),
            "part-0.txt",
        ),
        (_four_tasks((_LATE, "")).replace("\n", "\r\n"), "DOS line breaks"),
        ("\n" + _four_tasks((_LATE, "")), "must begin with #!"),
    ],
    "THIRTY_MINUTES": [
        (_thirty("#SBATCH --time=00:30\n"), "minutes:seconds"),
        (_thirty("#SBATCH --time=1800\n"), "30 h"),
        (_thirty("#SBATCH --time=30m\n"), "Invalid --time"),
        (_thirty("#SBATCH --time=20\n"), "a run took 22"),
        (_thirty("#SBATCH --time=UNLIMITED\n"), "no limit at all"),
        (_thirty("#SBATCH --time=0\n"), "no limit at all"),
        (_thirty("#SBATCH --time=1\n"), "That is 1 min,"),
        (_thirty("#SBATCH --time=25\n"), "the next may take longer"),
        (_thirty("#SBATCH --time=00:60:00\n"), "half would do"),
        (_thirty("#SBATCH --time=0-30\n"), "after a dash"),
        (_thirty(""), "partition's default"),
        (_thirty("#SBATCH --time:30\n"), "would not understand"),
    ],
    "TWO_GPUS": [
        (_gpus(("--nodes=2", "--nodes=1")), "asks for 1"),
        (_gpus((_GRES, "")), "no GPU at all"),
        (_gpus(("gres=gpu:2", "gres=gpus:1")), "resource named 'gpus'"),
        (_gpus(("gpu:2", "gpu:4")), "GPUs in all: 8."),
        (_gpus((_GRES, "#SBATCH --gpus=1\n")), "GPUs in all: 1. --gpus counts over the whole job"),
        (_gpus((_GRES, "#SBATCH --gpus-per-task=2\n")), "for each task"),
        (_gpus(("gpu:2", "gpu:1"), ("srun bash", "bash")), "Without srun"),
        (_gpus((_GRES, "export CUDA_VISIBLE_DEVICES=0,1\n")), "no GPU at all"),
        (_gpus(("gpu:2", "gpu:1"), ("--ntasks-per-node=1", "--ntasks=1")), "this makes 1"),
    ],
    "FOUR_RATES": [
        (_rates(_FILE), "index has none"),
        (_rates(_INDEX), "each over the last"),
        (_rates(_INDEX, ("> result.txt", "> result-$SLURM_JOB_ID.txt")), "nobody knows them"),
        (_rates(_INDEX, ("> result.txt", "> result-$SLURM_PROCID.txt")), "always 0"),
        (_rates(_INDEX, ("> result.txt", "> result-$SLURM_ARRAY_JOB_ID.txt")), "the same in every task"),
        (_rates(_INDEX, ("> result.txt", ">> result.txt")), "Appending"),
        (_rates(_INDEX, ("> result.txt", "> result-%a.txt")), "only in #SBATCH lines"),
        (_rates(_INDEX, ("> result.txt", '> "result-$SLURM_TASK_ID.txt"')), "no variable of that name"),
        (_rates(_INDEX, ("> result.txt", '> "result-$rate.txt"')), "The job left result-0.003.txt"),
        (_rates(("rates=(0.1", "rates=(0 0.1"), _FILE), "The job left result-1.txt"),
        (_rates(("1-4", "0-4"), _FILE), "(0, 1, 2, 3, 4)"),
        (_rates(("1-4", "0"), _FILE), "(0,)"),
        (_rates(("1-4", "0-3%1")), "each over the last"),
        (_rates(("#SBATCH --array=1-4\n", "")), "indices ()"),
    ],
    "LOST_LOG": [
        (_log(("#SBATCH --job-name", "mkdir -p logs\n#SBATCH --job-name")), "after the first command"),
        (_log(("logs/%x", "$PWD/%x")), "not $ or ~"),
        (_log(("logs/%x", "~/%x")), "not $ or ~"),
        (_log(("logs/%x-%j.out", "/dev/null")), "thrown away"),
        (_log(("logs/%x", "output/%x")), "too late"),
        (_log(("logs/%x", "./logs/%x")), "too late"),
        (_log(("logs/%x", "/scratch/%x")), "one place for everybody"),
        (_log(("logs/%x-%j.out", "log.txt")), "put %j into it"),
        (_log((_OUTPUT, _OUTPUT + "#SBATCH --open-mode=append\n")), "too late"),
    ],
}  # fmt: skip
