"""Jobs and nodes as data, read from what squeue, sinfo, sacct and the completion log print.

Fields are asked for one by one and separated by a character that no name holds, so that the same lines are
read from every Slurm version. Times are seconds since 1970, durations seconds; None where Slurm says
unknown or not limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    for f in _rows(text, len(_SQUEUE)):
        values = dict(zip(_SQUEUE, f, strict=True))
        task = int(values["K"]) if values["K"].isdigit() else None
        started = _moment(values["S"]) if values["T"] != "PENDING" else None  # only a forecast until it runs
        jobs.append(
            Job(
                int(values["A"]), values["j"], values["T"],
                "" if values["r"] == "None" else values["r"], values["P"], int(values["D"] or 0),
                values["N"], _moment(values["V"]), started, _limit(values["l"]), int(values["Q"] or 0),
                values["u"], task, int(values["F"]) if task is not None else None,
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
        values = dict(re.findall(r"(\w+)=(.*?)(?= \w+=|\s*$)", line))
        if not values.get("JobId", "").isdigit() or "JobState" not in values:
            continue
        if values["JobState"] == "FAILED" and values.get("NodeCnt") == "0":
            continue  # refused at submission: a number was used up, but it never was a job
        task = values.get("ArrayTaskId", "")
        jobs.append(
            FinishedJob(
                int(values["JobId"]), values.get("Name", ""), values["JobState"], values.get("Partition", ""),
                int(values.get("NodeCnt", 0)), _no_null(values.get("NodeList", "")),
                _moment(values.get("SubmitTime", "")), _moment(values.get("StartTime", "")),
                _moment(values.get("EndTime", "")), _exit_code(values.get("ExitCode", "0:0")),
                values.get("UserId", "").split("(")[0], int(task) if task.isdigit() else None,
                int(values["ArrayJobId"]) if task.isdigit() else None,
            )
        )  # fmt: skip
    return jobs


def read_accounting(text: str) -> list[FinishedJob]:
    """From ``sacct --parsable2``; a job that still runs is left out."""
    jobs = []
    for f in _rows(text, len(_SACCT)):
        values = dict(zip(_SACCT, f, strict=True))
        number, _, task = values["JobID"].partition("_")
        state = values["State"].split(" ")[0]  # "CANCELLED by 1000"
        if number.isdigit() and state in ENDED:
            jobs.append(
                FinishedJob(
                    int(number), values["JobName"], state, values["Partition"], int(values["NNodes"] or 0),
                    values["NodeList"], _moment(values["Submit"]), _moment(values["Start"]),
                    _moment(values["End"]), _exit_code(values["ExitCode"]), values["User"],
                    int(task) if task.isdigit() else None, int(number) if task.isdigit() else None,
                )
            )  # fmt: skip
    return jobs


def read_remembered(text: str, codes: str) -> list[FinishedJob]:
    """From what squeue prints of jobs that have ended (REMEMBERED_FORMAT), and of exit codes, which it only
    knows by that name (EXIT_CODE_FORMAT): wait statuses, or as sacct writes them."""
    pairs = dict(line.split() for line in codes.splitlines() if len(line.split()) == 2)
    jobs = []
    for f in _rows(text, len(_REMEMBERED)):
        number, array, task, name, state, partition, nodes, node_list, submitted, started, ended, user = f
        if number.isdigit() and state in ENDED:
            code = pairs.get(number, "0")
            if code.isdigit():
                code = f"{int(code) >> 8}:{int(code) & 127}"
            jobs.append(
                FinishedJob(
                    int(number), name, state, partition, int(nodes or 0), node_list, _moment(submitted),
                    _moment(started), _moment(ended), _exit_code(code), user,
                    int(task) if task.isdigit() else None, int(array) if task.isdigit() else None,
                )
            )  # fmt: skip
    return jobs


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
