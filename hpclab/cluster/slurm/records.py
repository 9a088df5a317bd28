"""Jobs and nodes as data, read from what squeue, sinfo, sacct and the completion log print.

Times are seconds since 1970, durations seconds; None where Slurm says unknown or not limited.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from hpclab import units

T = TypeVar("T")
SEPARATOR = "\x1f"  # in no name
# What each program calls a field, in the order in which it is asked for them.
_SQUEUE = {
    "id": "%A", "array_job": "%F", "array_task": "%K", "name": "%j", "state": "%T", "reason": "%r",
    "partition": "%P", "nodes": "%D", "node_list": "%N", "submitted": "%V", "started": "%S", "ended": "%e",
    "limit": "%l",
}  # fmt: skip
_SINFO = {"name": "%N", "state": "%T", "cores": "%c", "memory": "%m", "gpus": "%G", "reason": "%E",
          "idle": "%C"}  # fmt: skip
_SACCT = {
    "id": "JobID", "name": "JobName", "state": "State", "partition": "Partition", "nodes": "NNodes",
    "node_list": "NodeList", "submitted": "Submit", "started": "Start", "ended": "End",
    "exit_code": "ExitCode", "limit": "Timelimit",
}  # fmt: skip
_COMPLETION_LOG = {
    "id": "JobId", "array_job": "ArrayJobId", "array_task": "ArrayTaskId", "name": "Name", "nodes": "NodeCnt",
    "state": "JobState", "partition": "Partition", "node_list": "NodeList", "submitted": "SubmitTime",
    "started": "StartTime", "ended": "EndTime", "exit_code": "ExitCode",
    "limit": "TimeLimit",
}  # fmt: skip
SQUEUE = ("squeue", "--noheader", "--array", "--states=all")
SQUEUE_FORMAT, SINFO_FORMAT = SEPARATOR.join(_SQUEUE.values()), SEPARATOR.join(_SINFO.values())
LOAD_FORMAT, TIME_LIMITS_FORMAT = f"%T{SEPARATOR}%N", f"%P{SEPARATOR}%l"
SACCT_FORMAT, EXIT_CODE_FORMAT = ",".join(_SACCT.values()), "JobID:20,exit_code:20"
ENDED = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
    "REVOKED", "TIMEOUT",
})  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One job, or one task of an array (`array_task`, else None), in the queue or just out of it.

    `state` is Slurm's full name (PENDING, RUNNING, COMPLETED ...); `reason` why it waits, explained by
    `Slurm.explain`; `nodes` how many it has or asks for; `limit` its time limit.
    """

    id: int
    name: str
    state: str
    reason: str
    partition: str
    nodes: int
    node_list: str
    submitted: float | None
    started: float | None
    limit: float | None
    array_task: int | None = None
    array_job: int | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def __repr__(self) -> str:
        return _in_a_line(self, self.node_list or self.reason)


@dataclass(frozen=True)
class Node:
    """A node: `state` as sinfo writes it (idle, mixed, allocated, drained, down* ...); `memory` in bytes;
    `reason` is empty unless somebody or something took the node out; `idle` of its `cores` run no job."""

    name: str
    state: str
    cores: int
    memory: int
    gpus: int
    reason: str
    idle: int = 0

    def __repr__(self) -> str:
        return f"<Node {self.name}: {self.state}, {self.idle} of {self.cores} cores idle>"


@dataclass(frozen=True)
class FinishedJob:
    """One job that has ended. `exit_code` is that of its batch script, or 128 + the signal that ended it;
    `limit` its time limit."""

    id: int
    name: str
    state: str
    partition: str
    nodes: int
    node_list: str
    submitted: float | None
    started: float | None
    ended: float | None
    exit_code: int
    array_task: int | None = None
    array_job: int | None = None
    limit: float | None = None

    def __repr__(self) -> str:
        return _in_a_line(self, f"exit code {self.exit_code}")


def _in_a_line(job: Job | FinishedJob, more: str) -> str:
    task = "" if job.array_task is None else f"_{job.array_task}"
    return f"<Job {job.array_job or job.id}{task} {job.name}: {job.state}{', ' * bool(more)}{more}>"


def read_queue(text: str) -> list[Job]:
    """Return the jobs in what squeue prints in SQUEUE_FORMAT."""
    jobs = [_record(Job, said) for said in _rows(text, _SQUEUE)]
    # The start of one that waits is only a forecast.
    return [replace(job, started=None) if job.state == "PENDING" else job for job in jobs]


def read_nodes(text: str) -> list[Node]:
    """Return the nodes in what sinfo prints in SINFO_FORMAT, where each has a line for every partition."""
    return [*{said["name"]: _record(Node, said) for said in _rows(text, _SINFO)}.values()]


def node_names(node_list: str) -> list[str]:
    """Return the names in a Slurm node list, at most a thousand: node1, node2, node7 for ``node[1-2,7]``."""
    names: list[str] = []
    for prefix, numbers in re.findall(r"([^,\[\]]+)(?:\[([^\]]*)\])?", node_list):
        for part in numbers.split(","):
            if span := re.fullmatch(r"(\d+)(?:-(\d+))?", part):
                first, last = int(span[1]), int(span[2] or span[1])
                several = range(first, min(last, first + 1000) + 1)
                names += [f"{prefix}{number:0{len(span[1])}d}" for number in several]
            else:
                names.append(prefix + part)
    return names[:1000]


def read_load(text: str) -> tuple[int, int]:
    """Return how many nodes run jobs and how many jobs wait, from what squeue prints in LOAD_FORMAT."""
    rows = [*_rows(text, ("state", "nodes"))]
    busy = {name for row in rows if row["state"] == "RUNNING" for name in node_names(row["nodes"])}
    return len(busy), sum(row["state"] == "PENDING" for row in rows)


def read_time_limits(text: str) -> dict[str, float]:
    """Return the time limits by partition in seconds, from what sinfo prints in TIME_LIMITS_FORMAT. The
    default partition is there as ``*``, too; one without a limit is left out."""
    limits = {said["name"]: _limit(said["limit"]) for said in _rows(text, ("name", "limit"))}
    limits |= {"*" if name.endswith("*") else name: limit for name, limit in limits.items()}
    return {name.rstrip("*") or name: limit for name, limit in limits.items() if limit is not None}


def read_completion_log(text: str) -> list[FinishedJob]:
    """The jobs in a jobcomp/filetxt log: ``JobId=2 UserId=ada(1000) ... Name=my job JobState=COMPLETED``."""
    jobs = []
    for line in text.splitlines():
        # A value may hold spaces (a job's name), so it ends where the next known "key=" begins.
        found = defaultdict(str, re.findall(r"(\w+)=(.*?)(?= \w+=|\s*$)", line))
        said = {name: found[key] for name, key in _COMPLETION_LOG.items()}
        said["limit"] += " min"
        refused = said["state"] == "FAILED" and said["nodes"] == "0"  # it never was a job
        if said["id"].isdigit() and said["state"] and not refused:
            jobs.append(_record(FinishedJob, said))
    return jobs


def read_accounting(text: str) -> list[FinishedJob]:
    """Return the ended jobs in what ``sacct --parsable2`` prints in SACCT_FORMAT."""
    rows = list(_rows(text, _SACCT))
    for said in rows:
        said["id"], _, said["array_task"] = said["id"].partition("_")
        said["array_job"], said["state"] = said["id"], said["state"].split(" ")[0]  # "CANCELLED by 1000"
    return _ended(rows)


def read_remembered(text: str, codes: str) -> list[FinishedJob]:
    """Return the ended jobs in what squeue prints in SQUEUE_FORMAT (`text`). It prints exit codes only in
    EXIT_CODE_FORMAT (`codes`): as wait statuses, or as sacct writes them."""
    pairs = dict(line.split() for line in codes.splitlines() if len(line.split()) == 2)
    return _ended(said | {"exit_code": pairs.get(said["id"], "0")} for said in _rows(text, _SQUEUE))


def _ended(rows: Iterable[dict[str, str]]) -> list[FinishedJob]:
    return [_record(FinishedJob, said) for said in rows if said["id"].isdigit() and said["state"] in ENDED]


def _rows(text: str, fields: Iterable[str]) -> Iterator[dict[str, str]]:
    names = list(fields)
    for line in text.splitlines():
        row = [field.strip() for field in line.split(SEPARATOR)]
        if len(row) == len(names):
            yield dict(zip(names, row, strict=True))


def _record(kind: Callable[..., T], said: Mapping[str, str]) -> T:
    """Make a Job, Node or FinishedJob (`kind`) of its fields' texts `said`."""
    names = said.keys() & kind.__annotations__
    values: dict[str, Any] = {name: _READ.get(name, str)(said[name]) for name in names}
    if values.get("array_task") is None:  # a job of its own says its own number here
        values = {name: value for name, value in values.items() if not name.startswith("array_")}
    return kind(**values)


def _moment(text: str) -> float | None:
    with suppress(ValueError):
        return float(text) if re.fullmatch(r"\d{9,}", text) else datetime.fromisoformat(text).timestamp()
    return None


def _limit(text: str) -> float | None:
    with suppress(ValueError):
        return units.parse_seconds(text)
    return None


def _gpus(gres: str) -> int:
    """The number of GPUs in a Gres: 3 in ``gpu:a100:2(S:0-1),gpu:1``; 0 in ``(null)``."""
    return sum(map(int, re.findall(r"(?:^|,)gpu(?::[^:,]+)?:(\d+)(?=,|$)", re.sub(r"\([^)]*\)", "", gres))))


def _exit_code(text: str) -> int:
    """The exit code, or 128 + the signal, in ``CODE:SIGNAL`` or in a wait status."""
    code, _, signal = text.partition(":")
    if text.isdigit():
        code, signal = str(int(text) >> 8), str(int(text) & 127)
    return 128 + int(signal) if signal.isdigit() and int(signal) else int(code) if code.isdigit() else 0


_READ: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("id", "array_job", "array_task"), lambda text: int(text) if text.isdigit() else None),
    **dict.fromkeys(("cores", "nodes"), lambda text: int(text or 0)),
    **dict.fromkeys(("submitted", "started", "ended"), _moment),
    **dict.fromkeys(("reason", "node_list"), lambda text: "" if text in ("None", "none", "(null)") else text),
    "limit": _limit, "gpus": _gpus, "exit_code": _exit_code,
    "memory": lambda text: int(text) * 2**20,
    "idle": lambda text: int(text.split("/")[1]),  # of "allocated/idle/other/all"
}  # fmt: skip
