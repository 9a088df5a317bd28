"""The judge of a repaired job script.

A repair is read first, because what sbatch would make of a line is where most mistakes can be named; then it
is tried on this machine's processes; and where a Slurm is at hand it is submitted.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from hpclab.cluster import slurm
from hpclab.exercises import Exercise, Verdict
from hpclab.exercises.judges import Mistakes, told
from hpclab.exercises.lesson_04 import job_trials
from hpclab.exercises.lesson_04.job_folder import original
from hpclab.exercises.lesson_04.job_scripts import JobScript, parse
from hpclab.exercises.lesson_04.job_trials import JobTrial

_SHARED = (
    (lambda f: f.nearly, "{f.nearly[0]!r} is no directive: it must begin with exactly #SBATCH and a space."),
    (lambda f: f.late, "{f.late[0]!r} stands after the first command, so sbatch passes over it in silence."),
)  # fmt: skip


def repair(
    name: str, leaves: Mapping[str, str], mistakes: Mistakes, *, ran: Mistakes = (), hints: tuple[str, ...],
    because: str, around: Callable[[], bool] = bool,  # nothing
) -> Exercise:  # fmt: skip
    """The exercise on ``broken/<name>.sh``. A job should leave the files `leaves`, each with those words
    in it; `mistakes` are read from the script, and `ran` are those that its JobTrial shows. Where `around()`,
    what was wrong is mended outside the script, which may be as it was."""

    def result(trial: JobTrial) -> str:
        return told(ran, trial) or _missing(trial, leaves) or trial.trouble

    def judge(answer: object) -> Verdict:
        script = parse(_text(answer, "" if around() else f"broken/{name}.sh"))
        if wrong := told((*_SHARED, *mistakes), script) or result(job_trials.dry_run(script)):
            return Verdict(False, wrong)
        return _submitted(script, result, because)

    return Exercise("04", name, judge, hints)


def _missing(trial: JobTrial, leaves: Mapping[str, str]) -> str:
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
    """The script: `answer` is its path, or already its text; ValueError where it is the one called `name`."""
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


def _submitted(script: JobScript, result: Callable[[JobTrial], str], because: str) -> Verdict:
    here = f"{because} (Tried on this machine's processes"
    try:
        found = slurm.connect(start=False, export=False)
    except slurm.SlurmError:
        return Verdict(True, f"{here}: no Slurm runs here.)")
    if script.log.startswith("/") or ".." in script.log:
        return Verdict(True, f"{here}: the job's log is not for a check to write.)")
    if script.gpus and not any(node.gpus for node in found.nodes()):
        return Verdict(True, f"{here}: this Slurm has no GPUs.)")
    trial = job_trials.submit(found, script)
    if trial.waited:
        return Verdict(True, f"{here}, because {trial.trouble})")
    if trouble := trial.trouble or result(trial):
        return Verdict(False, f"It reads well, but on the real Slurm {trouble}")
    return Verdict(True, f"{because} (Proved by job {trial.job} on the Slurm here.)")
