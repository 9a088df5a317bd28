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
from hpclab.cluster.slurm.one_line import OneLineJob, OneLineNode

T = TypeVar("T")
SEPARATOR = "\x1f"  # in no name
# What each program calls a field, in the order in which it is asked for them.
_SQUEUE = {
    "id": "%A", "array_job": "%F", "array_task": "%K", "name": "%j", "state": "%T", "reason": "%r",
    "partition": "%P", "nodes": "%D", "node_list": "%N", "submitted": "%V", "started": "%S", "ended": "%e",
    "limit": "%l", "priority": "%Q", "user": "%u",
}  # fmt: skip
_SINFO = {"name": "%N", "state": "%T", "cores": "%c", "memory": "%m", "gpus": "%G", "partitions": "%R",
          "reason": "%E", "idle": "%C"}  # fmt: skip
_SACCT = {
    "id": "JobID", "name": "JobName", "state": "State", "partition": "Partition", "nodes": "NNodes",
    "node_list": "NodeList", "submitted": "Submit", "started": "Start", "ended": "End",
    "exit_code": "ExitCode", "user": "User",
}  # fmt: skip
_COMPLETION_LOG = {
    "id": "JobId", "array_job": "ArrayJobId", "array_task": "ArrayTaskId", "name": "Name", "nodes": "NodeCnt",
    "state": "JobState", "partition": "Partition", "node_list": "NodeList", "submitted": "SubmitTime",
    "started": "StartTime", "ended": "EndTime", "exit_code": "ExitCode", "user": "UserId",
}  # fmt: skip
SQUEUE = ("squeue", "--noheader", "--array", "--states=all")
SQUEUE_FORMAT = SEPARATOR.join(_SQUEUE.values())
LOAD_FORMAT, TIME_LIMITS_FORMAT = f"%T{SEPARATOR}%N", f"%P{SEPARATOR}%l"
SINFO_FORMAT = SEPARATOR.join(_SINFO.values())
SACCT_FORMAT = ",".join(_SACCT.values())
EXIT_CODE_FORMAT = "JobID:20,exit_code:20"
_NONE = ("None", "none", "(null)")
ENDED = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
    "REVOKED", "TIMEOUT",
})  # fmt: skip


@dataclass(frozen=True, repr=False)
class Job(OneLineJob):
    """One job, or one task of an array (`array_task`, else None), in the queue or just out of it.

    `state` is Slurm's long word (PENDING, RUNNING, COMPLETED ...); `reason` why it waits, explained by
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
    priority: int
    user: str
    array_task: int | None = None
    array_job: int | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, repr=False)
class Node(OneLineNode):
    """`state` as sinfo writes it (idle, mixed, allocated, drained, down* ...); `memory` in bytes; `reason`
    is empty unless somebody or something took the node out; `idle` of its `cores` run no job."""

    name: str
    state: str
    cores: int
    memory: int
    gpus: int
    partitions: tuple[str, ...]
    reason: str
    idle: int = 0


@dataclass(frozen=True, repr=False)
class FinishedJob(OneLineJob):
    """One job that has ended. `exit_code` is that of its batch script, or 128 + the signal that ended it."""

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
    user: str
    array_task: int | None = None
    array_job: int | None = None


def read_queue(text: str) -> list[Job]:
    jobs = [_made(Job, said) for said in _rows(text, _SQUEUE)]
    # The start of one that waits is only a forecast.
    return [replace(job, started=None) if job.state == "PENDING" else job for job in jobs]


def read_nodes(text: str) -> list[Node]:
    """One Node a name, though sinfo prints it once for each partition it is in."""
    nodes: dict[str, Node] = {}
    for said in _rows(text, _SINFO):
        node = _made(Node, said)
        before = nodes[node.name].partitions if node.name in nodes else ()
        nodes[node.name] = replace(node, partitions=before + node.partitions)
    return list(nodes.values())


def node_names(node_list: str) -> list[str]:
    """``node[1-2,7]`` as node1, node2, node7; at most a thousand."""
    names: list[str] = []
    for prefix, numbers in re.findall(r"([^,\[\]]+)(?:\[([^\]]*)\])?", node_list):
        for part in numbers.split(","):
            first, _, last = part.partition("-")
            if first.isdecimal() and (last or first).isdecimal():
                span = range(int(first), min(int(last or first), int(first) + 1000) + 1)
                names += [f"{prefix}{number:0{len(first)}d}" for number in span]
            else:
                names.append(prefix + part)
    return names[:1000]


def read_load(text: str) -> tuple[int, int]:
    """On how many nodes jobs run and how many jobs wait, from LOAD_FORMAT."""
    rows = [line.split(SEPARATOR) for line in text.splitlines() if SEPARATOR in line]
    busy = {name for state, nodes in rows if state == "RUNNING" for name in node_names(nodes)}
    return len(busy), sum(state == "PENDING" for state, _ in rows)


def read_time_limits(text: str) -> dict[str, float]:
    """Seconds by partition; the default one is there as ``*`` too, one without a limit is not."""
    limits: dict[str, float] = {}
    for said in _rows(text, ("name", "limit")):
        name, seconds = said["name"], _limit(said["limit"])
        if seconds is not None:
            limits |= dict.fromkeys((name.rstrip("*"), *("*" * name.endswith("*"))), seconds)
    return limits


def read_completion_log(lines: Iterable[str]) -> list[FinishedJob]:
    """From jobcomp/filetxt: ``JobId=2 UserId=ada(1000) ... Name=my job JobState=COMPLETED ...``."""
    jobs = []
    for line in lines:
        # A value may hold spaces (a job's name), so it ends where the next known "key=" begins.
        found = defaultdict(str, re.findall(r"(\w+)=(.*?)(?= \w+=|\s*$)", line))
        said = {name: found[key] for name, key in _COMPLETION_LOG.items()}
        refused = said["state"] == "FAILED" and said["nodes"] == "0"  # it never was a job
        if said["id"].isdigit() and said["state"] and not refused:
            jobs.append(_made(FinishedJob, said))
    return jobs


def read_accounting(text: str) -> list[FinishedJob]:
    """From ``sacct --parsable2``; a job that still runs is left out."""
    rows = list(_rows(text, _SACCT))
    for said in rows:
        said["id"], _, said["array_task"] = said["id"].partition("_")
        said["array_job"], said["state"] = said["id"], said["state"].split(" ")[0]  # "CANCELLED by 1000"
    return _ended(rows)


def read_remembered(text: str, codes: str) -> list[FinishedJob]:
    """From what squeue prints of jobs (SQUEUE_FORMAT), and of exit codes, which it only knows by that name
    (EXIT_CODE_FORMAT): wait statuses, or as sacct writes them."""
    pairs = dict(line.split() for line in codes.splitlines() if len(line.split()) == 2)
    return _ended(said | {"exit_code": pairs.get(said["id"], "0")} for said in _rows(text, _SQUEUE))


def _ended(rows: Iterable[dict[str, str]]) -> list[FinishedJob]:
    return [_made(FinishedJob, said) for said in rows if said["id"].isdigit() and said["state"] in ENDED]


def _rows(text: str, fields: Iterable[str]) -> Iterator[dict[str, str]]:
    names = list(fields)
    for line in text.splitlines():
        row = [field.strip() for field in line.split(SEPARATOR)]
        if len(row) == len(names):
            yield dict(zip(names, row, strict=True))


def _made(kind: Callable[..., T], said: Mapping[str, str]) -> T:
    """A Job, Node or FinishedJob from what was said of it; what is none of its fields is left out."""
    names = said.keys() & kind.__annotations__
    values: dict[str, Any] = {name: _READ.get(name, str)(said[name]) for name in names}
    if values.get("array_task") is None:  # a job of its own says its own number here
        values = {name: value for name, value in values.items() if not name.startswith("array_")}
    return kind(**values)


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _moment(text: str) -> float | None:
    with suppress(ValueError):
        return float(text) if re.fullmatch(r"\d{9,}", text) else datetime.fromisoformat(text).timestamp()
    return None


def _limit(text: str) -> float | None:
    with suppress(ValueError):
        return units.parse_seconds(text)
    return None


def _gpus(gres: str) -> int:
    """3 from ``gpu:a100:2(S:0-1),gpu:1``; 0 from ``(null)``."""
    entries = re.sub(r"\([^)]*\)", "", gres).split(",")
    found = [re.fullmatch(r"gpu(?::[^:]+)?:(\d+)", entry.strip()) for entry in entries]
    return sum(int(match[1]) for match in found if match)


def _exit_code(text: str) -> int:
    """From ``CODE:SIGNAL``, or from a wait status."""
    code, _, signal = text.partition(":")
    if text.isdigit():
        code, signal = str(int(text) >> 8), str(int(text) & 127)
    return 128 + int(signal) if signal.isdigit() and int(signal) else _number(code) or 0


_READ: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("id", "array_job", "array_task"), _number),
    **dict.fromkeys(("cores", "nodes", "priority"), lambda text: int(text or 0)),
    **dict.fromkeys(("submitted", "started", "ended"), _moment),
    **dict.fromkeys(("reason", "node_list"), lambda text: text if text not in _NONE else ""),
    "limit": _limit, "gpus": _gpus, "exit_code": _exit_code,
    "user": lambda text: text.split("(")[0],
    "memory": lambda text: int(text) * 2**20,
    "partitions": lambda text: (text,),
    "idle": lambda text: int(text.split("/")[1]),  # of "allocated/idle/other/all"
}  # fmt: skip
