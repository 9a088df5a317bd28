"""Jobs and nodes as data, read from what squeue, sinfo, sacct and the completion log print.

Fields are asked for one by one and separated by a character that no name holds, so that the same lines are
read from every Slurm version. Times are seconds since 1970, durations seconds; None where Slurm says
unknown or not limited.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from hpclab import units

SEPARATOR = "\x1f"
_SQUEUE = ("A", "F", "K", "j", "T", "r", "P", "D", "N", "V", "S", "l", "Q", "u")
_REMEMBERED = ("A", "F", "K", "j", "T", "P", "D", "N", "V", "S", "e", "u")
_SINFO = ("N", "T", "c", "m", "G", "R", "E", "C")
_SACCT = ("JobID", "JobName", "State", "Partition", "NNodes", "NodeList", "Submit", "Start", "End",
          "ExitCode", "User")  # fmt: skip
SQUEUE_FORMAT = SEPARATOR.join(f"%{field}" for field in _SQUEUE)
REMEMBERED_FORMAT = SEPARATOR.join(f"%{field}" for field in _REMEMBERED)
EXIT_CODE_FORMAT = "JobID:20,exit_code:20"
SINFO_FORMAT = SEPARATOR.join(f"%{field}" for field in _SINFO)
TIME_LIMITS_FORMAT = SEPARATOR.join(("%P", "%l"))
SACCT_FORMAT = ",".join(_SACCT)
ENDED = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
    "REVOKED", "TIMEOUT",
})  # fmt: skip


@dataclass(frozen=True)
class Job:
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


@dataclass(frozen=True)
class Node:
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


@dataclass(frozen=True)
class FinishedJob:
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
    jobs = []
    for number, array, task, name, state, reason, partition, nodes, node_list, *rest in _rows(
        text, len(_SQUEUE)
    ):
        submitted, started, limit, priority, user = rest
        begun = _moment(started) if state != "PENDING" else None  # only a forecast until it runs
        of_array = (int(task), int(array)) if task.isdigit() else (None, None)
        jobs.append(
            Job(
                int(number), name, state, "" if reason == "None" else reason, partition, int(nodes or 0),
                node_list, _moment(submitted), begun, _limit(limit), int(priority or 0), user, *of_array,
            )
        )  # fmt: skip
    return jobs


def read_nodes(text: str) -> list[Node]:
    """One Node a name, though sinfo prints it once for each partition it is in."""
    nodes: dict[str, Node] = {}
    for name, state, cores, memory, gres, partition, reason, used in _rows(text, len(_SINFO)):
        if name in nodes:
            nodes[name] = replace(nodes[name], partitions=(*nodes[name].partitions, partition))
        else:
            nodes[name] = Node(
                name, state, int(cores), int(memory) * 2**20, _gpus(gres), (partition,),
                "" if reason == "none" else reason, int(used.split("/")[1]),
            )  # fmt: skip
    return list(nodes.values())


def read_time_limits(text: str) -> dict[str, float]:
    """Seconds by partition; the default one is there as ``*`` too, one without a limit is not."""
    limits: dict[str, float] = {}
    for name, limit in _rows(text, 2):
        if (seconds := _limit(limit)) is not None:
            limits |= dict.fromkeys((name.rstrip("*"), *("*" * name.endswith("*"))), seconds)
    return limits


def read_completion_log(lines: Iterable[str]) -> list[FinishedJob]:
    """From jobcomp/filetxt: ``JobId=2 UserId=ada(1000) ... Name=my job JobState=COMPLETED ...``."""
    jobs = []
    for line in lines:
        # A value may hold spaces (a job's name), so it ends where the next known "key=" begins.
        f = defaultdict(str, re.findall(r"(\w+)=(.*?)(?= \w+=|\s*$)", line))
        refused = f["JobState"] == "FAILED" and f["NodeCnt"] == "0"  # it never was a job
        if f["JobId"].isdigit() and f["JobState"] and not refused:
            times = f["SubmitTime"], f["StartTime"], f["EndTime"]
            jobs.append(
                _finished(f["JobId"], f["ArrayJobId"], f["ArrayTaskId"], f["Name"], f["JobState"],
                          f["Partition"], f["NodeCnt"], _no_null(f["NodeList"]), times, f["ExitCode"],
                          f["UserId"].split("(")[0])
            )  # fmt: skip
    return jobs


def read_accounting(text: str) -> list[FinishedJob]:
    """From ``sacct --parsable2``; a job that still runs is left out."""
    jobs = []
    for job, name, state, partition, nodes, node_list, *times, code, user in _rows(text, len(_SACCT)):
        number, _, task = job.partition("_")
        state = state.split(" ")[0]  # "CANCELLED by 1000"
        if number.isdigit() and state in ENDED:
            jobs.append(
                _finished(number, number, task, name, state, partition, nodes, node_list, times, code, user)
            )
    return jobs


def read_remembered(text: str, codes: str) -> list[FinishedJob]:
    """From what squeue prints of jobs that have ended (REMEMBERED_FORMAT), and of exit codes, which it only
    knows by that name (EXIT_CODE_FORMAT): wait statuses, or as sacct writes them."""
    pairs = dict(line.split() for line in codes.splitlines() if len(line.split()) == 2)
    jobs = []
    for number, array, task, name, state, partition, nodes, node_list, *times, user in _rows(
        text, len(_REMEMBERED)
    ):
        if number.isdigit() and state in ENDED:
            code = pairs.get(number, "0")
            if code.isdigit():
                code = f"{int(code) >> 8}:{int(code) & 127}"
            jobs.append(
                _finished(number, array, task, name, state, partition, nodes, node_list, times, code, user)
            )
    return jobs


def _finished(
    number: str, array: str, task: str, name: str, state: str, partition: str, nodes: str, node_list: str,
    times: Sequence[str], code: str, user: str,
) -> FinishedJob:  # fmt: skip
    """`times`: submitted, started, ended."""
    submitted, started, ended = map(_moment, times)
    of_array = (int(task), int(array)) if task.isdigit() else (None, None)
    return FinishedJob(
        int(number), name, state, partition, int(nodes or 0), node_list, submitted, started, ended,
        _exit_code(code), user, *of_array,
    )  # fmt: skip


def _rows(text: str, fields: int) -> list[list[str]]:
    rows = [[field.strip() for field in line.split(SEPARATOR)] for line in text.splitlines()]
    return [row for row in rows if len(row) == fields]


def _moment(text: str) -> float | None:
    if re.fullmatch(r"\d{9,}", text):
        return float(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _limit(text: str) -> float | None:
    try:
        return units.parse_seconds(text)
    except ValueError:
        return None


def _gpus(gres: str) -> int:
    """3 from ``gpu:a100:2(S:0-1),gpu:1``; 0 from ``(null)``."""
    without_places = re.sub(r"\([^)]*\)", "", gres)
    return sum(
        int(match[1])
        for entry in without_places.split(",")
        if (match := re.fullmatch(r"gpu(?::[^:]+)?:(\d+)", entry.strip()))
    )


def _exit_code(text: str) -> int:
    code, _, number = text.partition(":")
    return 128 + int(number) if number.isdigit() and int(number) else int(code) if code.isdigit() else 0


def _no_null(text: str) -> str:
    return "" if text == "(null)" else text
