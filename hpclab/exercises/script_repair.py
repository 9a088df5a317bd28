"""An exercise whose answer is a repaired job script.

A repair is read first, because what sbatch would make of a line is where most mistakes can be named; then it
is tried on this machine's processes; and where a Slurm is at hand it is submitted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hpclab.cluster import slurm
from hpclab.exercises import Exercise, Verdict, job_trials
from hpclab.exercises.job_folder import original
from hpclab.exercises.job_scripts import JobScript, parse
from hpclab.exercises.job_trials import Trial


def repair(
    name: str, task: str, mistakes: Callable[[JobScript], str], result: Callable[[Trial], str],
    because: str, hints: tuple[str, ...],
) -> Exercise:  # fmt: skip
    """An exercise on ``broken/<name>.sh``: `mistakes` names what the script's lines get wrong, `result` what
    is wrong with what came out of a trial; both return "" where nothing is."""

    def judge(answer: object) -> Verdict:
        script = parse(_text(answer, f"broken/{name}.sh"))
        if trouble := mistakes(script) or shared_mistakes(script):
            return Verdict(False, trouble)
        trial = job_trials.dry_run(script)
        if trouble := result(trial) or trial.trouble:
            return Verdict(False, trouble)
        return _submitted(script, result, because)

    return Exercise(name, task, judge, hints)


def _text(answer: object, name: str) -> str:
    """The script: `answer` is its path, or already its text."""
    if isinstance(answer, Path) or (isinstance(answer, str) and "\n" not in answer):
        try:
            answer = Path(answer).read_bytes()[: 2**20].decode("utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is not text"
            raise ValueError(f"{str(answer)[:80]!r} cannot be read as a script: {why}.") from None
    if not isinstance(answer, str):
        raise ValueError("The answer is the path of your repaired script, or its text.")
    if answer.strip() == original(name).strip():
        raise ValueError(
            f"Not solved yet: the file {name} is as it was. Open it, repair it, save it, run this cell."
        )
    return answer


def shared_mistakes(script: JobScript) -> str:
    """What no job script should have, whatever it is for; "" where it has none of it."""
    if script.nearly:
        return (
            f"sbatch does not take {script.nearly[0].strip()!r} for a directive: it must begin with exactly "
            "#SBATCH and a space, at the start of the line."
        )
    if script.late:
        return f"{script.late[0]!r} stands after the first command, so sbatch passes over it in silence."
    return ""


def _submitted(script: JobScript, result: Callable[[Trial], str], because: str) -> Verdict:
    try:
        here = slurm.connect(start=False, export=False)
    except slurm.SlurmError:
        return Verdict(True, f"{because} (Tried on this machine's processes: no Slurm runs here.)")
    if script.gpus and not any(node.gpus for node in here.nodes()):
        return Verdict(True, f"{because} (Tried on this machine's processes: this Slurm has no GPUs.)")
    trial = job_trials.submit(here, script, Path.cwd())
    if trial.waited:
        return Verdict(True, f"{because} (Tried on this machine's processes, because {trial.trouble})")
    if trouble := trial.trouble or result(trial):
        return Verdict(False, f"It reads well, but on the real Slurm {trouble}")
    return Verdict(True, f"{because} (Proved by {trial.where} on the Slurm here.)")
