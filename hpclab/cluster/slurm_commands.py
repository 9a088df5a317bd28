"""Finds Slurm's programs, runs them with a time limit, and reports their failures in one sentence."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from hpclab.cluster.errors import BatchError, BatchMissing

_ALSO_IN = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/slurm/sbin", "/opt/slurm/bin")
# What a job inherits is called SLURM_*; what a person or a site sets for every command is one of these.
_SETTINGS = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT", "SLURM_CLUSTERS", "SLURM_TIME_FORMAT")
# What makes a command that only asks or cancels hide rows: SQUEUE_STATES, SINFO_PARTITION and the like.
_HIDING = ("SQUEUE_", "SINFO_", "SACCT_", "SCANCEL_")
_OVERLOADED = "timed out|Unable to contact|Connection refused|temporarily"
_LONGEST = 1000  # characters of a program's error output


class SlurmError(BatchError):
    """A request to Slurm failed; the message quotes the command's error output, if there is any."""


class SlurmMissing(SlurmError, BatchMissing):
    """There is no Slurm on this machine and none can be started."""


class SlurmTimeout(SlurmError):
    """A Slurm command did not answer in time."""


def path() -> str:
    """PATH, extended by directories of daemons (/usr/sbin ...), which an ordinary user's PATH often lacks."""
    have = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(have + [place for place in _ALSO_IN if place not in have])


def find(program: str) -> str:
    """The full path of a program; SlurmMissing says which packages bring it."""
    if found := shutil.which(program, path=path()):
        return found
    raise SlurmMissing(
        f"There is no {program} on this machine, so no Slurm can be started here. On Debian or Ubuntu: "
        "sudo apt install slurm-wlm munge. Without it everything still runs, on this machine's processes."
    )


def without_job(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without what a Slurm job hands down (SLURM_JOB_ID, SLURM_NTASKS ...).

    A kernel that itself runs inside a job would pass these on, and a nested sbatch or srun would take them
    for its own options.
    """
    kept = {name: environment[name] for name in _SETTINGS if name in environment}
    return _without(environment, "SLURM_", "SLURMD_") | kept


def hiding_nothing(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without the variables by which squeue, sinfo, sacct and scancel leave jobs out."""
    return _without(environment, *_HIDING)


def without_site(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without any variable of Slurm's commands, as a module of the site sets them.

    With a site's SBATCH_PARTITION our own Slurm would be asked for a partition that no script names.
    """
    return _without(environment, "SLURM_", "SLURMD_", "SBATCH_", "SALLOC_", "SRUN_", "SCONTROL_", *_HIDING)


def _without(environment: Mapping[str, str], *begins: str) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(begins)}


def run(
    arguments: Sequence[str], environment: Mapping[str, str], timeout: float = 10.0, attempts: int = 1,
    text: str | None = None,
) -> str:  # fmt: skip
    """Run a command and return its standard output; `text` goes to its standard input.

    A command that does not answer within `timeout` seconds, or whose controller does not, is ended and tried
    again up to `attempts` times in all: only ask for more than one where asking twice does no harm. Raises
    SlurmMissing, SlurmTimeout or SlurmError with the command's error output.
    """
    name, times = os.path.basename(arguments[0]), f", {attempts} times" if attempts > 1 else ""
    for _ in range(attempts):
        try:
            done = subprocess.run(
                list(arguments), input=text or "", env=dict(environment), capture_output=True, text=True,
                errors="replace", timeout=timeout,
            )  # fmt: skip
        except (FileNotFoundError, PermissionError):
            raise SlurmMissing(f"There is no {name} on this machine's PATH that you may run.") from None
        except subprocess.TimeoutExpired:
            failure: SlurmError = SlurmTimeout(
                f"{name} did not answer within {timeout:g} s{times}: Slurm's controller is overloaded or "
                "cannot be reached; try again in a minute."
            )
            continue
        if done.returncode == 0:
            return done.stdout
        said = sentence(done.stderr) or sentence(done.stdout) or f"exit status {done.returncode}"
        failure = SlurmError(f"{name}: {said}")
        if not re.search(_OVERLOADED, said):
            break
    raise failure


def version(environment: Mapping[str, str]) -> str:
    """Slurm's version, such as ``"slurm-wlm 22.05.8"``: of sinfo, which asks no controller for it."""
    return run(["sinfo", "--version"], environment).strip()


def sentence(output: str) -> str:
    """All lines of a command's `output` in one: Slurm often gives the cause, or its half, in an earlier line.

    The program's name before each line is removed, and so are frames, debug lines and repetitions; a line
    that continues the one before follows it directly.
    """
    lines = [re.sub(r"^(\w+: )?(error|fatal|warning): |^(sbatch|srun|salloc): ", "", line.strip())
             for line in output.splitlines() if not re.match(r"\w+: debug", line)]  # fmt: skip
    told = ""
    words = [" ".join(line.strip("*|= ").split()) for line in lines if re.search(r"\w", line)]
    for line in dict.fromkeys(words):
        goes_on = line[0].islower() or told.endswith((".", "!", "?", ":", ",", ";"))
        told += f"{'' if not told else ' ' if goes_on else '; '}{line}"
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"
