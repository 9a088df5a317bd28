"""Lesson 04: two right repairs of each broken script, written differently, and wrong ones with words of the
hint that must name the mistake. Each is the shipped script with some lines changed."""

from functools import partial

from hpclab.exercises.lesson_04.job_folder import original


def repaired(name, *changes):
    """The broken script with each (old, new) replaced; an old text that is not there is a mistake here."""
    text = original(f"broken/{name}.sh")
    for old, new in changes:
        assert old in text, (name, old)
        text = text.replace(old, new)
    return text


def _four_tasks(*lines, changes=()):
    """With the late directive gone and these before the first command."""
    top = "#SBATCH --time=00:05:00\n"
    return repaired("1_four_tasks", (_LATE, ""), (top, top + "\n".join([*lines, ""])), *changes)


def _thirty(time):
    return repaired("2_thirty_minutes", ("--time=30:00:00", time))


_gpus, _rates, _log = (partial(repaired, name) for name in ("3_two_gpus", "4_four_rates", "5_lost_log"))
_LATE, _FOUR = "#SBATCH --ntasks=4\n\n", "#SBATCH --ntasks=4"
_GRES = "#SBATCH --gres=gpu:2\n"
_INDEX = ("--array=1-4", "--array=0-3")
_FILE = ("> result.txt", '> "result-$SLURM_ARRAY_TASK_ID.txt"')
_ALL = (
    'echo "learning rate $rate" > result.txt',
    'for i in 0 1 2 3; do echo "learning rate ${rates[$i]}" > result-$i.txt; done',
)
_OUTPUT = "#SBATCH --output=logs/%x-%j.out\n"

RIGHT = {
    "FOUR_TASKS": [_four_tasks(_FOUR), _four_tasks("#SBATCH -J four-tasks -n 4")],
    "THIRTY_MINUTES": [_thirty("--time=30"), _thirty("-t 0-00:30:00 # with a margin")],
    "TWO_GPUS": [_gpus(("gpu:2", "gpu:1")), _gpus((_GRES, "#SBATCH -G 2\n"))],
    "FOUR_RATES": [
        _rates(_INDEX, _FILE),
        _rates(
            ("rate=${rates[$SLURM_ARRAY_TASK_ID]}", "i=$((SLURM_ARRAY_TASK_ID - 1))\nrate=${rates[$i]}"),
            ("> result.txt", "> result-$i.txt"),
        ),
    ],
    "PACK": [["ef", "gbac", "idh", "kj"], [[*"ekc"], [*"fia"], [*"gbh"], [*"dj"]]],
    "LOST_LOG": [_log(("logs/%x", "%x"), ("mkdir -p logs\n", "")), _log((_OUTPUT, ""))],
}  # fmt: skip

WRONG = {
    "FOUR_TASKS": [
        (_four_tasks(), "a request for 1 task"),
        (_four_tasks("# SBATCH --ntasks=4"), "exactly #SBATCH"),
        (_four_tasks("#SBATCH --cpus-per-task=4"), "more cores"),
        (_four_tasks(changes=[("srun bash", "srun --ntasks=4 bash")]), "More processors requested"),
        (_four_tasks("#SBATCH --nodes=4"), "Any four cores"),
        (_four_tasks("#SBATCH --nodes=4 --ntasks=4"), "to 4 node(s)"),
        (_four_tasks("#SBATCH --array=0-3"), "a job of each index"),
        (_four_tasks(_FOUR, changes=[("srun bash", "for i in 1 2 3 4; do srun -n 1 bash"),
                                     ("PROCID.txt'", "PROCID.txt'; done")]), "rank 0 of 4"),
        (_four_tasks(_FOUR, changes=[("srun bash", "bash")]), "Without srun"),
        (repaired("1_four_tasks", ("set -euo", _LATE + "set -euo")), "after the first command"),
        (_four_tasks("#SBATCH --ntasks 4", changes=[("part-$", "piece-$")]), "part-0.txt"),
        (_four_tasks().replace("\n", "\r\n"), "DOS line breaks"),
        ("\n" + _four_tasks(), "must begin with #!"),
    ],
    "THIRTY_MINUTES": [
        (_thirty("--time=00:30"), "minutes:seconds"), (_thirty("--time=1:00"), "minutes:seconds"),
        (_thirty("--time=1800"), "30 h"),
        (_thirty("--time=30m"), "Invalid --time"), (_thirty("--time=20"), "a run took 22"),
        (_thirty("--time=UNLIMITED"), "no limit at all"), (_thirty("--time=1"), "That is 1 min,"),
        (_thirty("--time=22"), "would end the next one"),
        (_thirty("--time=29:59"), "the next may take longer"),
        (_thirty("--time=30:01"), "thirty minutes were meant"),
        (_thirty("--time=00:60:00"), "thirty minutes were meant"),
        (_thirty("--time=00:60:01"), "a number alone is minutes"), (_thirty("--time=0-30"), "after a dash"),
        (_thirty("# no limit"), "partition's default"),
        (_thirty("--time:30"), "would not understand"),
    ],
    "TWO_GPUS": [
        (_gpus(("--nodes=2", "--nodes=1")), "asks for 1"),
        (_gpus(("gres=gpu:2", "gres=gpus:1")), "resource named 'gpus'"),
        (_gpus((_GRES, "#SBATCH --gpus=1\n")), "GPUs in all: 1. --gpus counts over the whole job"),
        (_gpus((_GRES, "#SBATCH --gpus-per-task=2\n")), "for each task"),
        (_gpus(("gpu:2", "gpu:1"), ("srun bash", "bash")), "Without srun"),
        (_gpus((_GRES, "export CUDA_VISIBLE_DEVICES=0,1\n")), "no GPU at all"),
        (_gpus(("gpu:2", "gpu:1"), ("--ntasks-per-node=1", "--ntasks=1")), "this makes 1"),
    ],
    "FOUR_RATES": [
        (_rates(_FILE), "index has none"),
        (_rates(_INDEX, ("> result.txt", "> result-$SLURM_JOB_ID.txt")), "nobody knows them"),
        (_rates(_INDEX, ("> result.txt", "> result-$SLURM_ARRAY_JOB_ID.txt")), "the same in every task"),
        (_rates(_INDEX, ("> result.txt", ">> result.txt")), "Appending"),
        (_rates(_INDEX, ("> result.txt", "> result-%a.txt")), "only in #SBATCH lines"),
        (_rates(_INDEX, ("> result.txt", '> "result-$SLURM_TASK_ID.txt"')), "no variable of that name"),
        (_rates(_INDEX, ("> result.txt", '> "result-$rate.txt"')), "The job left result-0.003.txt"),
        (_rates(("1-4", "0-9999999")), "larger than a Slurm allows"), (_rates(("1-4", "0"), _FILE), "(0,)"),
        (_rates(("1-4", "0-3%1")), "each over the last"),
        (_rates(_INDEX, ("> result.txt", "> result-$SLURM_PROCID.txt")), "counts tasks inside a job"),
        (_rates(_INDEX, _FILE, ("rates=", "mkdir scratch\nrates=")), "wrote result-0.txt and scratch"),
        (_rates(_INDEX, _FILE, ("rates=", "[ ! -e result-0.txt ]\nrates=")), "Array task 1 ended with"),
        (_rates(_INDEX, _ALL), "Array task 0 wrote result-0.txt, result-1.txt, result-2.txt and"),
        (_rates(_INDEX, (_ALL[0], "[ $SLURM_ARRAY_TASK_ID = 2 ] || exit 0\n" + _ALL[1])), "Array task 2 "),
        (_rates(("#SBATCH --array=1-4\n", "")), "indices ()"),
    ],
    "PACK": [
        ([[run] for run in "abcdefghijk"], "One job a run, as they come, takes 149 s"),
        (["abcdefghijk"], "be faster"), (["abc", "def", "ghi"], "is done once: look at j, k."),
        (["abc", "def", "ghi", "jka"], "look at a."), (["abcdefghijkz"], "look at z."),
        (["ef", "gbac", "idh", "kj", []], "still costs a start"), ("abc", "a list of jobs"),
    ],
    "LOST_LOG": [
        (_log(("#SBATCH --job-name", "mkdir -p logs\n#SBATCH --job-name")), "after the first command"),
        (_log(("logs/%x", "$PWD/%x")), "neither $ nor ~"),
        (_log(("logs/%x-%j.out", "/dev/null")), "thrown away"), (_log(("logs/%x", "output/%x")), "too late"),
        (_log(("logs/%x", "/tmp/%x")), "each node has another one"),
        (_log(("logs/%x-%j.out", "log.txt")), "put %j into it"),
        (_log((_OUTPUT, _OUTPUT + "#SBATCH --open-mode=append\n")), "too late"),
    ],
}  # fmt: skip
