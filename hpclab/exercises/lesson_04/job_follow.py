"""Follow a job that a notebook submitted, up to a deadline; without a Slurm, run its script here instead."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

from hpclab.cluster import slurm as slurms
from hpclab.cluster.slurm import FinishedJob, Slurm, SlurmError, SlurmMissing, submission
from hpclab.exercises.lesson_04 import job_trials
from hpclab.exercises.lesson_04.job_scripts import JobScript

_LONGEST_LOG = 1500  # characters
_NO_OUTPUT = 128 + 53  # Slurm's 0:53
_PATIENCE = 5.0  # seconds


def connect(settings: Mapping[str, str] = {}) -> Slurm:
    """Connect to the site's Slurm or our own, or return a ThisMachine where there is none or it takes no job;
    print which. `settings` go into this process's environment, so that every sbatch and srun finds them."""
    try:
        slurm = slurms.connect()
    except SlurmMissing as missing:
        return _instead(str(missing), "No Slurm on this machine: scripts run on its processes.")
    except SlurmError as broken:
        said = f"{broken} Meanwhile the scripts of this lesson run on this machine's processes."
        return _instead(said, "No Slurm that answers: scripts run on this machine's processes.")
    finally:  # and not before: connect() takes away what it cannot tell from a module's or a job's
        os.environ.update(settings)
    slurm.environment = {**slurm.environment, **settings}
    print(f"{'Your site' if slurm.kind == 'site' else 'hpclab'}'s own Slurm, {slurm.version}.")
    if slurm.kind == "site" and (refusal := slurm.refusal()):
        said = (
            f"It takes no job of yours: {slurm.explain_refusal(refusal)} A partition or an account is named "
            "in site.env, beside the scripts; then run this cell again. Until then scripts run on this "
            "machine's processes."
        )
        return _instead(said, "A Slurm that takes no job of yours: scripts run on this machine.")
    if slurm.kind == "local" and not any(node.gpus for node in slurm.nodes()):
        print("It has no pretend GPUs: end its jobs, then `hpclab slurm up --restart`.")
    return slurm


@dataclass
class ThisMachine(Slurm):
    """Stands in for a Slurm: `submit` runs the script at once as a plain shell script; nothing ever waits."""

    _done: list[FinishedJob] = field(default_factory=list, repr=False)
    logs: dict[int, str] = field(default_factory=dict, repr=False)

    def submit(self, script: str | Path, *options: str) -> int:
        begin = time.time()
        trial = job_trials.dry_run(JobScript(Path(script).read_text(encoding="utf-8")), seconds=30)
        number, state = len(self._done) + 1, "FAILED" if trial.trouble else "COMPLETED"
        one = (number, Path(script).stem, state, "", 1, "this machine", begin, begin, time.time(), 0)
        self._done.append(FinishedJob(*one))
        self.logs[number] = "".join(text for file, text in trial.files.items() if file.endswith(".out"))
        return number

    def history(self, job_ids: list[int] | None = None) -> list[FinishedJob]:
        return [job for job in self._done if job_ids is None or job.id in job_ids]

    history_source = property(lambda self: "What ran in this notebook; there is no Slurm.")

    def _run(self, *_: object, **__: object) -> str:
        """Return "", what a Slurm program prints where nothing waits or runs."""
        return ""


def _instead(said: str, why: str) -> ThisMachine:
    """Print `said`, and return a ThisMachine that has the sentence `why` as its version."""
    print(said)
    return ThisMachine("none", why, {})


def follow(
    slurm: Slurm, job: int | Sequence[str], script: str = "", *, timeout: float = 30.0
) -> list[FinishedJob]:
    """Wait until `job`, an id or what ``!sbatch --parsable`` printed, has ended, print its state, times
    and log, and return it (its tasks, for an array). After `timeout` seconds print the pending reason and
    return [], so that a long queue never stops a lesson. Without a Slurm, run the path `script` here."""
    number = job_number(job)
    if slurm.kind == "none" and script and not isinstance(job, int):
        number = slurm.submit(script)
    if slurm.kind == "none" and number is not None:
        print(f"{slurm.version} Job numbers and node names stand in for real ones.")
    if number is None:
        said = "" if isinstance(job, int) else "\n".join(job)
        print(slurm.explain_refusal(said) if said and slurm.kind != "none" else said)
        return []
    try:
        with contextlib.suppress(SlurmError):  # it has long ended
            if slurm.kind != "none":
                slurm.wait(number, timeout)
        ids, ended = sorted({number, *(task.id for task in slurm.queue([number]))}), time.monotonic()
        while len(done := slurm.history(ids)) < len(ids) and time.monotonic() - ended <= _PATIENCE:
            time.sleep(0.2)  # a history learns of an end a moment after the queue has shown it
    except (TimeoutError, SlurmError) as error:
        late = " The lesson goes on; run this cell again later." * isinstance(error, TimeoutError)
        print(f"{error}{late}")
        return []
    for one in sorted(done, key=lambda job: (job.array_task or 0, job.id)):
        name = f"{one.id}" if one.array_task is None else f"{number}_{one.array_task}"  # as squeue writes it
        times = (("waited", one.submitted, one.started), ("ran", one.started, one.ended))
        shown = (f", {what} {b - a:.0f} s" for what, a, b in times if a is not None and b is not None)
        print(f"job {name} ({one.name}): {one.state} on {one.node_list or 'no node'}{''.join(shown)}")
    if any(one.exit_code == _NO_OUTPUT for one in done):
        print(
            "It ended before its first line, as the node could not open the output file. Does it see this "
            f"folder, {Path.cwd()}, and what stands before a / in --output? Where nodes have homes of their "
            "own, start `hpclab lab --folder` with one on a file system that they share."
        )
    if not done:
        print(f"Job {number} has ended. {slurm.history_source} Of this one only its output is left.")
    if len(done) <= 1:
        logs = [Path(name) for name in sorted(glob(f"*-{number}.out"))]
        read = "".join(f"{log.name}:\n{log.read_text(errors='replace')[:_LONGEST_LOG]}" for log in logs)
        print(slurm.logs.get(number, "") if isinstance(slurm, ThisMachine) else read, end="")
    return done


def job_number(job: int | Sequence[str]) -> int | None:
    """The id in what ``!sbatch --parsable`` printed, without greetings and ``;cluster``; None for none."""
    return job if isinstance(job, int) else submission.job_id("\n".join(job))
