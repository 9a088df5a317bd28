"""Why a job's worker did not join: the likely cause, from the job's state and what it wrote."""

from __future__ import annotations

import re

_BEGUN = "distributed"  # what a worker's log begins with; without it the script did not get so far
_PROLOGUE, _WORKER, _LOCAL = (
    f"jobqueue.slurm.{key}" for key in ("job-script-prologue", "worker-extra-args", "local-directory")
)
_SIGNS = (
    (
        r"(\w+): not set, but needed by (jobqueue\.slurm\.[\w-]+ in [\w.]*\w)",
        rf"\2 uses the variable \1, which the job does not have: write the value, or set it in {_PROLOGUE}",
    ),
    (
        r"\b(module|ml|conda|mamba|spack): (?:command )?not found|command not found: (?:module|conda)",
        "a batch job's shell reads no profile, so it lacks that command: set jobqueue.slurm.shebang to "
        f'"#!/bin/bash -l", or source what defines it in {_PROLOGUE}',
    ),
    (
        r"conda init|CondaError",
        f"conda is not set up in a batch job: source its etc/profile.d/conda.sh in {_PROLOGUE}",
    ),
    (
        r"Lmod has detected|ModuleCmd_Load|[Uu]nable to (?:locate a modulefile|load module)",
        f"a module that {_PROLOGUE} loads is not on the node: `module avail` lists what is",
    ),
    (
        r"GLIBC(?:XX)?_\S+ not found|Exec format error|cannot execute binary file|Illegal instruction",
        "the notebook's programs do not run on this kind of node (another system or processor): install the "
        "environment there, and name its jobqueue.slurm.python",
    ),
    (
        r"[Dd]isk quota exceeded",
        "your quota is used up where the job writes: remove files, or set HPCLAB_STATE_DIR to a directory "
        "with room that the nodes share",
    ),
    (r"No space left on device", "the disk is full"),
    (
        r"Read-only file system|Permission denied: |PermissionError",
        f"the job may not write where it wants to: set {_LOCAL} to a directory of your own on the node",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate (?:is not yet valid|has expired)",
        "the node did not accept the pool's certificate, mostly because its clock is wrong: tell your "
        "support team, and leave the node out with --exclude",
    ),
    (
        r"Address already in use",
        f"a port that the worker was told to use is taken: leave ports out of {_WORKER}",
    ),
    (
        r"No such option|Unknown argument|unexpected extra argument",
        f"the worker does not know what {_WORKER} tells it",
    ),
    (
        r"No module named",
        "the Python on the node lacks a package: the job must use the notebook's environment, "
        "on a file system that the nodes share",
    ),
    (
        r"[Mm]ismatched versions|ImportError|[Uu]npickl",
        "the Python on the node has other versions of distributed, or of what it needs, than the notebook: "
        "the job must use the notebook's environment",
    ),
    (
        r"python[^\n]*: (No such file or directory|command not found|not found|Permission denied)|execve\(\)",
        "the Python, or the shell, named in the job script does not exist on the node: the environment must "
        "be on a file system that the nodes share",
    ),
    (
        r"interface .* doesn't have an IPv4 address|Unknown interface|is not a valid network interface",
        "the node has no network interface of that name: set jobqueue.slurm.interface in jobqueue.yaml",
    ),
    (
        r"ProxyError|Tunnel connection failed",
        f"a proxy stands between the node and the notebook: unset http_proxy and https_proxy in {_PROLOGUE}",
    ),
    (r"DUE TO TIME LIMIT", "the walltime was over before the worker had joined: ask for more"),
    (r"DUE TO PREEMPTION", "a job of higher priority took its place: use another partition or try again"),
    (r"DUE TO NODE FAILURE", "its node failed: try again"),
    (r"[Oo]ut [Oo]f [Mm]emory|oom.kill|MemoryError", "the node ran out of memory: ask for more memory"),
    (
        r"[Tt]imed out|[Cc]onnection refused|No route to host|Network is unreachable",
        "the worker could not reach the scheduler in the notebook: set jobqueue.slurm.interface in "
        "jobqueue.yaml to a network that both share",
    ),
)
_STATES = {
    "TIMEOUT": "the walltime was over: ask for more",
    "OUT_OF_MEMORY": "it used more memory than it asked for: ask for more memory",
    "NODE_FAIL": "its node failed: try again",
    "PREEMPTED": "a job of higher priority took its place: use another partition or try again",
    "CANCELLED": "somebody cancelled it",
}


def likely(state: str, log: str | None, prologue: bool = False) -> str:
    """``"Likely cause: ..."`` or, where nothing is recognised, where to look.

    `log` is None where there is none. `prologue`: whether the site has commands of its own run before the
    worker.
    """
    if log is None and state == "FAILED":
        return (
            "Likely cause: the node could not write the job's log, as it does not see the pool's directory: "
            "set HPCLAB_STATE_DIR to a directory of your own on a file system that the nodes share."
        )
    log = log or ""
    for sign, cause in _SIGNS:
        if found := re.search(sign, log):
            return f"Likely cause: {found.expand(cause)}."
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
