"""What became of a job whose node did not join: its state, why it waits, its last words, the likely cause."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpclab.cluster.backends import causes
from hpclab.cluster.backends.command import last_lines
from hpclab.cluster.slurm import Slurm, SlurmError


def of_job(slurm: Slurm, pool: str, number: int, logs: Sequence[Path], prologue: bool) -> str:
    """A paragraph on job `number` of this pool; `prologue`: whether the site's own commands run before it."""
    try:
        found = slurm.queue([number])
    except SlurmError as error:
        return f"Nothing is known of job {number}: {error}"
    if not found:
        return f"Job {number}: gone from the queue."
    job = found[-1]
    if job.state == "PENDING":
        return f"Job {number} is PENDING. {slurm.explain(job.reason)}{_rivals(slurm, pool)}"
    whole = "".join(last_lines(log, 400, 40_000) for log in logs)  # a traceback hides what began it
    cause = causes.likely(job.state, whole if any(log.exists() for log in logs) else None, prologue)
    end = "".join(map(last_lines, logs)) or " (empty)"
    return f"Job {number} is {job.state} on {job.node_list or 'no node'}. Its log ends:{end}\n{cause}"


def _rivals(slurm: Slurm, pool: str) -> str:
    """The nodes that the learner's other pools hold: a cell run twice waits for its own first run."""
    held = [job for job in slurm.queue() if job.name.startswith("hpclab-") and job.name != pool]
    nodes = sum(job.nodes for job in held if job.state == "RUNNING")
    return (
        f" {nodes} node{' is' if nodes == 1 else 's are'} held by other pools of yours: close() what you no "
        "longer need, or restart the kernels that hold them." if nodes else ""
    )  # fmt: skip
