"""What may be handed to sbatch; why it refuses a job, and why a job waits, in plain words."""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
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
_BEGIN = "must begin with #! and the path of an interpreter, such as #!/bin/bash, in its first line"
_SAVE = "Save it as UTF-8 without a byte order mark (BOM) and with the line ends of Unix (LF)."
LARGEST = 4 * 2**20  # bytes of a script; Slurm's own limit
LIMITS_FORMAT = "%R|%l|%D|%c|%m|%G"


class SubmitError(SlurmError):
    """sbatch refused, or would have; the message carries Slurm's own sentence."""


def check_options(options: Sequence[str]) -> None:
    """Raise ValueError for an option that could become more than one option, directive or word."""
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


def script_text(script: object) -> str | None:
    """Check a batch script and return its text, or None if `script` is a path. SubmitError where sbatch would
    not take it; a warning of directives that sbatch would ignore."""
    if not isinstance(script, str | os.PathLike) or "\0" in str(script):
        raise ValueError(
            f"A batch script is a path, or text that begins with #!, without NUL, not {checks.shown(script)}."
        )
    text, name = None, ""
    if isinstance(script, str) and (re.search(r"[\r\n]", script) or script.lstrip("\ufeff \t")[:2] == "#!"):
        text, content = script, script.encode(errors="replace")
    else:
        name = checks.shown(os.path.basename(os.path.abspath(script)))
        if os.path.isdir(script):
            raise SubmitError(f"{name} is a directory: name a batch script in it.")
        if not os.path.isfile(script):
            raise SubmitError(f"There is no batch script at {checks.shown(str(script))}.")
        try:
            with open(script, "rb") as file:
                content = file.read(LARGEST + 1)
        except OSError as error:
            raise SubmitError(f"{name} cannot be read: {error.strerror}.") from None
    if fault := script_fault(content):
        raise SubmitError(f"{name}: {fault}" if name else fault)
    if late := late_directives(content):
        warnings.warn(f"sbatch does not read {', '.join(late)}: a command stands before it.", stacklevel=3)
    return text


def script_fault(script: bytes) -> str:
    """Return why sbatch would refuse this content as a batch script, and how to mend it, in a sentence; ""
    where it would not."""
    first = script.split(b"\n", 1)[0]
    seen = f"that line is {checks.shown(first.decode(errors='replace'))}"
    if script.lstrip().startswith(b"#!"):
        seen = "blanks or an empty line stand before it"
    faults = [
        (script.startswith((b"\xff\xfe", b"\xfe\xff")),
         f"is UTF-16, so that sbatch finds no #! in its first line. {_SAVE}"),
        (b"\0" in script, f"holds a NUL character, so it is no text file. {_SAVE}"),
        (script.startswith(b"\xef\xbb\xbf"),
         f"begins with a byte order mark, so that its first line is not #!. {_SAVE}"),
        (b"\r\n" in script, "has DOS line breaks (\\r\\n), as editors on Windows write them. dos2unix FILE, "
         "or sed -i 's/\\r$//' FILE, takes them out."),
        (b"\r" in script, "has a carriage return (\\r), which is no line break of Unix: tr '\\r' '\\n' "
         "< FILE > NEW makes one of it."),
        (not script.strip(), f"is empty; it {_BEGIN}."),
        (not first.startswith(b"#!") or not first[2:].strip(), f"{_BEGIN}; {seen}."),
        (len(script) > LARGEST, "is larger than 4 MB, which is more than Slurm takes."),
    ]  # fmt: skip
    return next((f"The batch script {what}" for is_so, what in faults if is_so), "")


def late_directives(script: bytes) -> list[str]:
    """The #SBATCH lines after the first command, which sbatch ignores without a warning."""
    lines = script.decode(errors="replace").splitlines()
    head = next((n for n, line in enumerate(lines) if line.strip() and line[0] != "#"), len(lines))
    return [line for line in lines[head:] if re.match(r"#SBATCH\s", line)]


def job_id(said: str) -> int | None:
    """The job's number in `said`, the output of sbatch and of a site's wrapper; None where there is none."""
    numbers = re.findall(r"^(?:Submitted batch job )?(\d+)(?:;\S+| on cluster \S+)?\s*$", said, re.MULTILINE)
    return int(numbers[-1]) if numbers else None


def explain_refusal(refusal: str, limits: str, environment: Mapping[str, str]) -> str:
    """Return sbatch's error `refusal`; where a limit was broken what the partitions allow (`limits`: sinfo's
    output in LIMITS_FORMAT); what to do; and which variables of `environment` override the script."""
    told, allowed = [refusal], []
    for line in limits.splitlines():
        name, time, nodes, cores, memory, gres = ([*map(str.strip, line.split("|"))] + [""] * 6)[:6]
        if memory.rstrip("+").isdecimal():  # else a line that a site's wrapper prints beside the answer
            size = units.format_bytes(int(memory.rstrip("+")) * 2**20) + f", {gres}" * (gres != "(null)")
            allowed.append(f"{name} has {nodes} node(s) of {cores} core(s), {size}, for at most {time}")
    if allowed and re.search(_BROKE_A_LIMIT, refusal):
        told.append(f"Partitions here: {'; '.join(allowed)}")
    told += [remedy for sign, remedy in _REMEDIES.items() if re.search(sign, refusal)]
    spoke = [f"{name}={value}" for name, value in sorted(environment.items()) if name.startswith("SBATCH_")]
    if spoke:
        before = "which sbatch takes before what the script says: unset what is not meant"
        told.append(f"The environment sets {', '.join(spoke)}, {before}")
    return told[0] if len(told) == 1 else " ".join(f"{part.rstrip('.')}." for part in told)


# By how a reason begins, of which the longest counts; the words after it name a limit or a node.
_REASONS = {
    "None": "Slurm has not looked at it yet; ask again in a second or two",
    "Resources": "it is the next to start, as soon as enough cores, memory or GPUs are free",
    "Priority": "other jobs stand before it in the queue; a shorter time limit lets it slip into a gap",
    "Dependency": "it waits for another job to end as its --dependency says",
    "DependencyNeverSatisfied": "the job it depends on did not end as it had to: cancel it",
    "BeginTime": "it may not start before a set time (--begin, or the pause after a requeue)",
    "JobHeldUser": "it is held by its owner: scontrol release",
    "JobHeldAdmin": "it is held by an administrator: ask them",
    "JobArrayTaskLimit": "as many tasks of this array run as its own limit (%) allows",
    "PartitionTimeLimit": "its time limit is longer than the partition allows: ask for less",
    "PartitionNodeLimit": "it asks for more nodes than the partition has, or gives one job: ask for fewer",
    "PartitionConfig": "the partition can never give what it asks for (nodes, cores, memory): ask for less",
    "PartitionDown": "the partition is down: use another, or ask the administrators",
    "PartitionInactive": "the partition starts no jobs now: use another, or ask the administrators",
    "ReqNodeNotAvail": "a node it needs is down, drained or reserved",
    "NodeDown": "a node it needs is down",
    "Nodes_required": "the nodes it needs are down, drained, or taken by a partition of higher priority",
    "BadConstraints": "no node has the features it asks for: change --constraint",
    "Licenses": "a licence it needs is in use",
    "Reservation": "it waits for its reservation to begin",
    "ReservationDeleted": "its reservation is gone: submit it again without",
    "InvalidAccount": "its account is not valid here: check --account",
    "InvalidQOS": "its quality of service is not valid here: check --qos",
    "AccountNotAllowed": "its account may not use this partition: try another partition",
    "Job's_account_not": "its account may not use this partition: try another partition",
    "Cleaning": "it was requeued and its last run is still being cleaned up",
    "Prolog": "the nodes are being prepared for it",
    "JobLaunchFailure": "it could not be started: its working directory or script may be missing on the node",
    "launch_failed_requeued_held": "it could not be started and is held: scontrol release tries again",
    "NonZeroExitCode": "it ended with an exit status other than 0",
    "TimeLimit": "it ran into its time limit",
    "QOS": "the limit of a quality of service keeps it waiting: ask for less, or use another --qos",
    "QOSGrp": "this quality of service is used up to its limit; it starts as other jobs end",
    "QOSMax": "you, or your quality of service, already use its whole limit; it starts as others end",
    "Assoc": "an account's limit keeps it waiting; it starts as other jobs end",
    "AssocGrp": "your account already uses as much as its limit allows; it starts as other jobs end",
    "AssocMax": "you already use as much as your account allows one person; it starts as your others end",
    "Max": "you already use as much as the site allows one person; it starts as your others end",
}


def explain(reason: str) -> str:
    """Return what Slurm's `reason` means: ``"Resources: it is the next to start, ..."``, or where to look."""
    word = re.sub(r"^\((.*)\)$", r"\1", reason.strip()).replace(" ", "_")
    if not word:
        return "It does not wait, or Slurm has not looked at it yet."
    known = max((begin for begin in _REASONS if word.startswith(begin)), key=len, default="")
    said = _REASONS.get(known, "not one of the common reasons; the squeue manual lists all of them")
    return f"{word.replace('_', ' ').rstrip(':.')}: {said}."
