"""Why a job's worker did not join: its state, why it waits, the end of its log, and the likely cause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpclab.cluster.backends.command import last_lines
from hpclab.cluster.errors import BatchError

if TYPE_CHECKING:
    from hpclab.cluster.backends.batch import BatchNodes

_PROLOGUE, _WORKER = "jobqueue.slurm.job-script-prologue", "jobqueue.slurm.worker-extra-args"
_LOCAL, _INTERFACE = "jobqueue.slurm.local-directory", "jobqueue.slurm.interface"
# Signs in the log, and in the job's state, which stands in its first line; the first that is found counts.
_SIGNS = {
    r"(\w+): not set, but needed by (jobqueue\.\w+\.[\w-]+ in [\w.]*\w)":
        rf"\2 uses the variable \1, which the job does not have: write the value, or set it in {_PROLOGUE}",
    r"\b(module|ml|conda|mamba|spack): (?:command )?not found|command not found: (?:module|conda)":
        "a batch job's shell reads no profile, so it lacks that command: set jobqueue.slurm.shebang to "
        f'"#!/bin/bash -l", or source what defines it in {_PROLOGUE}',
    r"conda init|CondaError":
        f"conda is not set up in a batch job: source its etc/profile.d/conda.sh in {_PROLOGUE}",
    r"Lmod has detected|ModuleCmd_Load|[Uu]nable to (?:locate a modulefile|load module)":
        f"a module that {_PROLOGUE} loads is not on the node: `module avail` lists what is",
    r"GLIBC(?:XX)?_\S+ not found|Exec format error|cannot execute binary file|Illegal instruction":
        "the notebook's programs do not run on this kind of node (another system or processor): install the "
        "environment there, and name its jobqueue.slurm.python",
    r"[Dd]isk quota exceeded":
        "your quota is used up where the job writes: remove files, or set HPCLAB_STATE_DIR to a directory "
        "with room that the nodes share",
    r"No space left on device": "the disk is full",
    r"Read-only file system|Permission denied: |PermissionError":
        f"the job may not write where it wants to: set {_LOCAL} to a directory of your own on the node",
    r"CERTIFICATE_VERIFY_FAILED|certificate (?:is not yet valid|has expired)":
        "the node did not accept the pool's certificate, mostly because its clock is wrong: tell your "
        "support team, and leave the node out with --exclude",
    r"Address already in use":
        f"a port that the worker was told to use is taken: leave ports out of {_WORKER}",
    r"No such option|Unknown argument|unexpected extra argument":
        f"the worker does not know what {_WORKER} tells it",
    r"No module named":
        "the Python on the node lacks a package: the job must use the notebook's environment, "
        "on a file system that the nodes share",
    r"[Mm]ismatched versions|ImportError|[Uu]npickl":
        "the Python on the node has other versions of distributed, or of what it needs, than the notebook: "
        "the job must use the notebook's environment",
    r"python[^\n]*: (No such file or directory|command not found|not found|Permission denied)|execve\(\)":
        "the Python, or the shell, named in the job script does not exist on the node: the environment must "
        "be on a file system that the nodes share",
    r"interface .* doesn't have an IPv4 address|Unknown interface|is not a valid network interface":
        f"the node has no network interface of that name: set {_INTERFACE} in jobqueue.yaml",
    r"ProxyError|Tunnel connection failed":
        f"a proxy stands between the node and the notebook: unset http_proxy and https_proxy in {_PROLOGUE}",
    r"DUE TO TIME LIMIT|\ATIMEOUT": "the walltime was over before the worker had joined: ask for more",
    r"DUE TO PREEMPTION|\APREEMPTED":
        "a job of higher priority took its place: use another partition or try again",
    r"DUE TO NODE FAILURE|\ANODE_FAIL": "its node failed: try again",
    r"[Oo]ut [Oo]f [Mm]emory|oom.kill|MemoryError|\AOUT_OF_MEMORY":
        "the job used more memory than it asked for, or than its node has: ask for more memory",
    r"[Tt]imed out|[Cc]onnection refused|No route to host|Network is unreachable":
        f"the worker could not reach the scheduler in the notebook: set {_INTERFACE} in jobqueue.yaml to a "
        "network that both share",
    r"\AFAILED before its worker\n":
        f"the worker was never started; a command in {_PROLOGUE} (jobqueue.yaml) ended the job or failed "
        "before it",
    r"\ACANCELLED": "somebody cancelled it",
    r"(?s)\ARUNNING.*Waiting to connect to:\s+(\S+)":
        rf"the worker cannot reach the notebook's scheduler at \1: set {_INTERFACE} in jobqueue.yaml to a "
        "network that both share",
    r"\ARUNNING":
        "the job has only just begun, or its worker cannot reach the notebook's scheduler (interface, "
        "firewall)",
}  # fmt: skip


def explain_job(nodes: BatchNodes, number: int, logs: Sequence[Path]) -> str:
    """Return a paragraph on job `number`: why it waits, or the end of its `logs` and the likely cause."""
    batch = nodes.batch
    try:
        found = batch.queue([number])
    except BatchError as error:
        return f"Nothing is known of job {number}: {error}"
    if not found:
        return f"Job {number}: gone from the queue."
    job = found[-1]
    if job.state == "PENDING":
        return f"Job {number} is PENDING. {batch.explain(job.reason)}{_rivals(batch.queue(), nodes.name)}"
    whole = "".join(last_lines(log, 400, 40_000) for log in logs)  # a traceback hides what began it
    prologue = bool(nodes.settings.get("job-script-prologue"))
    log = whole if any(log.exists() for log in logs) else None
    cause = likely_cause(job.state, log, prologue, nodes.kind)
    end = "".join(map(last_lines, logs)) or " (empty)"
    return f"Job {number} is {job.state} on {job.node_list or 'no node'}. Its log ends:{end}\n{cause}"


def likely_cause(state: str, log: str | None, prologue: bool = False, kind: str = "slurm") -> str:
    """Return ``"Likely cause: ..."`` for a job's state and its log's text (None: no file), or where to look.
    `prologue`: whether the site's own commands run before the worker; `kind`: the backend's."""
    if log is None and state == "FAILED":
        return (
            "Likely cause: the node could not write the job's log, as it does not see the pool's directory: "
            "set HPCLAB_STATE_DIR to a directory of your own on a file system that the nodes share."
        )
    log = log or ""
    if prologue and "distributed" not in log:  # with which a worker's log begins
        state += " before its worker"
    for sign, cause in _SIGNS.items():
        if found := re.search(sign, f"{state}\n{log}"):
            return f"Likely cause: {found.expand(cause).replace('jobqueue.slurm', f'jobqueue.{kind}')}."
    return "The log above says what it did last; pool.job_script() shows what was submitted."


def _rivals(queue: list[Any], pool: str) -> str:
    """Return sentences on what else in this user's `queue` holds nodes that the pool `pool` may wait for."""
    held = [job for job in queue if job.name != pool and job.state == "RUNNING"]
    nodes = sum(job.nodes for job in held if job.name.startswith("hpclab-"))
    jobs = [f"{job.id} ({job.name})" for job in held if not job.name.startswith("hpclab-")]
    pools = (
        f" {nodes} node{' is' if nodes == 1 else 's are'} held by other pools of yours: close() what you no "
        "longer need, or restart the kernels that hold them."
    )
    running = f" Jobs of yours that run: {', '.join(jobs[:5])}; `scancel NUMBER` ends one."
    return pools * bool(nodes) + running * bool(jobs)
