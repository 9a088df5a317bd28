"""What may be handed to sbatch, and what its refusal means: the limit that was broken, and what to do."""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from hpclab import checks, units
from hpclab.cluster.slurm_commands import SlurmError

_NAMED = {"--job-name": "job name", "-J": "job name", "--partition": "partition", "-p": "partition",
          "--account": "account", "-A": "account", "--qos": "qos", "-q": "qos"}  # fmt: skip
_BROKE_A_LIMIT = r"[Rr]equested|Memory|Node count|generic resource|partition|exceeds"
_PLACE = (
    "Name a partition that takes you (--partition, Pool(partition=...), or queue in jobqueue.yaml); `sinfo` "
    "lists those you may see"
)
_REMEDIES = {
    r"mutually exclusive|--mem\b":
        "Say memory in one way. A site that wants none of a pool's --mem says so in jobqueue.yaml, in "
        'jobqueue.slurm: job-directives-skip: ["--mem="]',
    r"[Ii]nvalid account|(must|need|specify|name|give)\b.* account|account .*(must|required|missing)":
        "Name an account of yours with --account, Pool(account=...) or account in jobqueue.yaml; `sacctmgr "
        "show associations user=$USER` lists them",
    r"[Ii]nvalid qos": "`sacctmgr show associations user=$USER format=account,qos` lists what you may use",
    r"[Jj]ob submit limit|QOSMaxSubmit|MaxSubmit": "You have as many jobs as you may: wait, or scancel some",
    r"timed out": "The job may or may not be in the queue: look before sending it again",
    r"I/O error writing": "The disk where Slurm keeps its state is full",
    r"group not permitted|partition not available|No partition specified|[Ii]nvalid partition": _PLACE,
    r"[Aa]ccess/permission denied": f"This host, or you, may not submit there. {_PLACE}",
    r"node configuration is not available|[Mm]emory (specification|required)":
        "Ask for less. A partition may also limit memory for each core (MaxMemPerCPU in `scontrol show "
        "partition`): then less memory, or more cores",
    r"temporarily unable to accept|[Jj]ob (count|queue) limit|MaxJobCount":
        "Slurm holds as many jobs as it can: wait, or end some of yours",
    r"[Rr]equested time limit": "Ask for less time: --time, Pool(walltime=...), or walltime in jobqueue.yaml",
}  # fmt: skip
LIMITS_FORMAT = "%R|%l|%D|%c|%m|%G"


class SubmitError(SlurmError):
    """sbatch refused, or would have; the message carries Slurm's own sentence."""


def check(options: Sequence[str]) -> None:
    """ValueError for an option that could become more than one option, directive or word."""
    for option, following in zip_longest(options, options[1:], fillvalue=""):
        if not isinstance(option, str) or len(option) > 4096 or re.search(r"[\x00-\x1f\x7f]", option):
            raise ValueError(
                f"An option for sbatch is a line of at most 4096 characters without control characters, not "
                f"{str(option)[:40]!r}."
            )
        word, _, value = option.partition("=")
        if word in _NAMED:
            checks.identifier(f"The {_NAMED[word]}", value if "=" in option else following)
        elif word[:2] in _NAMED and not word.startswith("--"):
            checks.identifier(f"The {_NAMED[word[:2]]}", option[2:])


def job_id(said: str) -> int | None:
    """The number of the job among what sbatch printed, and a site's wrapper around it; None without one."""
    numbers = re.findall(r"^(?:Submitted batch job )?(\d+)(?:;\S+| on cluster \S+)?\s*$", said, re.MULTILINE)
    return int(numbers[-1]) if numbers else None


def explained(refusal: str, limits: str, environment: Mapping[str, str]) -> str:
    """Slurm's own sentence; where a limit was broken what the partitions allow (sinfo, LIMITS_FORMAT); what
    to do; and which variables of `environment` spoke before the script."""
    told = [refusal]
    allowed = "; ".join(_partitions(limits))
    if allowed and re.search(_BROKE_A_LIMIT, refusal):
        told.append(f"Partitions here: {allowed}")
    told += [remedy for sign, remedy in _REMEDIES.items() if re.search(sign, refusal)]
    spoke = [f"{name}={value}" for name, value in sorted(environment.items()) if name.startswith("SBATCH_")]
    if spoke:
        before = "which sbatch takes before what the script says: unset what is not meant"
        told.append(f"The environment sets {', '.join(spoke)}, {before}")
    return told[0] if len(told) == 1 else " ".join(f"{part.rstrip('.')}." for part in told)


def _partitions(limits: str) -> Iterable[str]:
    for line in limits.splitlines():
        name, time, nodes, cores, memory, gres = ([*map(str.strip, line.split("|"))] + [""] * 6)[:6]
        if not memory.rstrip("+").isdecimal():  # a line that a site's wrapper prints beside the answer
            continue
        size = units.format_bytes(int(memory.rstrip("+")) * 2**20)
        gpus = "" if gres == "(null)" else f", {gres}"
        yield f"{name} has {nodes} node(s) of {cores} core(s), {size}{gpus}, for at most {time}"
