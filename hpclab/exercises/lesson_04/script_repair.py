"""The judge of a repaired job script: it is read first, as most mistakes can be named by what sbatch would
make of a line; then tried on this machine's processes; and submitted where a Slurm is at hand."""

from collections.abc import Callable, Mapping
from pathlib import Path

from hpclab.exercises import Exercise, Verdict
from hpclab.exercises.judges import Mistakes, told
from hpclab.exercises.lesson_04 import job_trials
from hpclab.exercises.lesson_04.job_folder import original
from hpclab.exercises.lesson_04.job_scripts import parse
from hpclab.exercises.lesson_04.job_trials import JobTrial

_SHARED = (
    (lambda f: f.nearly, "{f.nearly[0]!r} is no directive: it must begin with exactly #SBATCH and a space."),
    (lambda f: f.late, "{f.late[0]!r} stands after the first command, so sbatch passes over it in silence."),
)  # fmt: skip


def repair(
    name: str, leaves: Mapping[str, str], mistakes: Mistakes, *, ran: Mistakes = (), hints: tuple[str, ...],
    because: str, mended: Callable[[], bool] = bool,
) -> Exercise:  # fmt: skip
    """The exercise on ``broken/<name>.sh``. A job should leave the files `leaves`, each with those words in
    it; `mistakes` are read from the script, and `ran` are those that its JobTrial shows. Where `mended()`,
    what was wrong is mended outside the script, which may be as it was."""

    def result(trial: JobTrial) -> str:
        return told(ran, trial) or _missing(trial, leaves) or trial.trouble

    def judge(answer: object) -> Verdict:
        script = parse(_text(answer, "" if mended() else f"broken/{name}.sh"))
        if wrong := told((*_SHARED, *mistakes), script) or result(job_trials.dry_run(script)):
            return Verdict(False, wrong)
        why_not, trial = job_trials.submit_here(script)
        if why_not:
            return Verdict(True, f"{because} (Tried on this machine's processes{why_not})")
        if trouble := trial.trouble or result(trial):
            return Verdict(False, f"It reads well, but on the real Slurm {trouble}")
        return Verdict(True, f"{because} (Proved by job {trial.job} on the Slurm here.)")

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
