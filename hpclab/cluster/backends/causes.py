"""Why a job's worker did not join: the likely cause, from the job's state and what it wrote."""

from __future__ import annotations

import re

_BEGUN = "distributed"  # what a worker's log begins with; without it the script did not get so far
_SIGNS = (
    (
        r"No module named",
        "the Python on the node lacks a package: the job must use the notebook's environment, "
        "on a file system that the nodes share",
    ),
    (
        r"python[^\n]*: (No such file or directory|command not found|not found|Permission denied)",
        "the Python named in the job script does not exist on the node: the environment must be on a file "
        "system that the nodes share",
    ),
    (
        r"interface .* doesn't have an IPv4 address|Unknown interface|is not a valid network interface",
        "the node has no network interface of that name: set jobqueue.slurm.interface in jobqueue.yaml",
    ),
    (
        r"[Tt]imed out|[Cc]onnection refused|No route to host|Network is unreachable",
        "the worker could not reach the scheduler in the notebook: set jobqueue.slurm.interface in "
        "jobqueue.yaml to a network that both share",
    ),
    (r"DUE TO TIME LIMIT", "the walltime was over before the worker had joined: ask for more"),
    (r"[Oo]ut [Oo]f [Mm]emory|oom.kill|MemoryError", "the node ran out of memory: ask for more memory"),
    (r"No space left on device", "the disk is full"),
)
_STATES = {
    "TIMEOUT": "the walltime was over: ask for more",
    "OUT_OF_MEMORY": "it used more memory than it asked for: ask for more memory",
    "NODE_FAIL": "its node failed: try again",
    "PREEMPTED": "a job of higher priority took its place: use another partition or try again",
    "CANCELLED": "somebody cancelled it",
}


def likely(state: str, log: str, prologue: bool = False) -> str:
    """``"Likely cause: ..."`` or, where nothing is recognised, where to look.

    `prologue`: whether the site has commands of its own run before the worker.
    """
    for sign, cause in _SIGNS:
        if re.search(sign, log):
            return f"Likely cause: {cause}."
    if prologue and state == "FAILED" and _BEGUN not in log:
        return (
            "Likely cause: the worker was never started; a command in jobqueue.slurm.job-script-prologue "
            "(jobqueue.yaml) ended the job or failed before it."
        )
    if state in _STATES:
        return f"Likely cause: {_STATES[state]}."
    if state == "RUNNING" and (tried := re.findall(r"Waiting to connect to:\s+(\S+)", log)):
        return (
            f"Likely cause: the worker cannot reach the notebook's scheduler at {tried[-1]}: set "
            "jobqueue.slurm.interface in jobqueue.yaml to a network that both share."
        )
    if state == "RUNNING":
        return (
            "Likely cause: the job has only just begun, or its worker cannot reach the notebook's scheduler "
            "(interface, firewall)."
        )
    return "The log above says what it did last; pool.job_script() shows what was submitted."
