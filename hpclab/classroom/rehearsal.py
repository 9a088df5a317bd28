"""Rehearse a lesson where the class will run it, as a Slurm job on a compute node; and what a class needs.

The job runs `hpclab rehearse --only NN --json` there, and what that prints comes back through a file.
"""

import json
import re
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpclab import checks, units
from hpclab.classroom import exchange
from hpclab.classroom.settings import Site
from hpclab.cluster.backends import command, site_settings
from hpclab.cluster.slurm import Job, Slurm, SlurmError
from hpclab.course import Lesson

_EVERY = 1.0  # seconds between two looks at the job
_LATE = 30.0  # seconds that a file may take from node to node
_TIME = 3600.0  # seconds that a job asks for, unless less is allowed
_LARGEST = 2**20  # bytes of a report


@dataclass(frozen=True)
class Rehearsed:
    """One lesson as a job: `waited` in the queue and ran for `seconds`, with `memory` bytes at most on its
    node (None: not known) and so many `nodes` of its pools at once; `minutes` as its opening says; and
    `failure`, "" or a sentence."""

    number: str
    title: str
    minutes: float
    waited: float | None
    seconds: float = 0.0
    memory: int = 0
    nodes: int = 0
    failure: str = ""


@dataclass(frozen=True)
class Needs:
    """What a class needs at once: `memory` of the learners' servers in bytes, `nodes`, each a job; and
    `node_hours` while it works at a lesson, at most, and for one run of it."""

    memory: int
    nodes: int
    node_hours: float
    run_hours: float


def script(lesson: Lesson, folder: Path, cell_timeout: float, site: Site | None = None) -> str:
    """The batch script: a site's modules, then one command, each word quoted; it writes `NN.json`."""
    python = (site and site.interpreter()) or shlex.quote(sys.executable)
    words = ["-P", "-m", "hpclab.cli", "rehearse", "--json", "--only", lesson.number,
             "--cell-timeout", f"{cell_timeout:g}"]  # fmt: skip
    to = shlex.quote(str(folder / f"{lesson.number}.json"))
    lines = ["#!/bin/bash", *(site.prologue() if site else []), f"exec {python} {shlex.join(words)} > {to}"]
    return "\n".join([*lines, ""])


def rehearse(
    slurm: Slurm, lesson: Lesson, folder: Path, cell_timeout: float = 180.0, *, cores: int = 1,
    memory: int = 0, site: Site | None = None,
) -> Rehearsed:  # fmt: skip
    """Run `lesson` as a job of `cores` and, where that is not 0, `memory` bytes, and wait for its end.

    `folder` is the caller's own, on a file system that the nodes see. An interrupt cancels the job.
    SubmitError where Slurm does not take it.
    """
    log = folder / f"{lesson.number}.log"
    longest = [_TIME, slurm.longest(site.partition if site else None), site.time if site else None]
    seconds = min(limit for limit in longest if limit)
    time_limit = site_settings.clock(round(seconds))
    options = [
        f"--job-name=hpclab-rehearse-{lesson.number}", f"--output={str(log).replace('%', '%%')}",
        "--nodes=1", "--ntasks=1", f"--cpus-per-task={cores}", f"--time={time_limit}",
        *([f"--mem={memory // 2**20}M"] if memory else []), *(site.directives() if site else []),
    ]  # fmt: skip
    job = slurm.submit(script(lesson, folder, cell_timeout, site), *options)
    last: Job | None = None
    try:
        while (found := slurm.queue([job])) and not (last := found[0]).ended:
            time.sleep(_EVERY)
    except BaseException:
        slurm.cancel(job)
        with suppress(SlurmError, TimeoutError):
            slurm.wait(job, 60)  # it ends what it started
        raise
    last = found[0] if found else last
    times = (last.started, last.submitted) if last else (None, None)
    waited = max(0.0, times[0] - times[1]) if times[0] and times[1] else None
    about = (lesson.number, lesson.title, minutes(lesson), waited)
    try:
        told = _report(folder / f"{lesson.number}.json")
        return Rehearsed(*about, told["seconds"], told["peak_memory"], told["nodes"], told["failure"])
    except (OSError, ValueError, LookupError, TypeError):
        said = command.last_lines(log, lines=1).strip() or "it printed nothing"
        state = last.state if last else "gone from the queue"
        return Rehearsed(*about, failure=f"its job {job} ended ({state}) without a report: {said}")


def needs(lesson: Rehearsed, learners: int) -> Needs:
    """For `learners` who begin at the same minute and keep their pools until the lesson's `minutes` are over:
    a job for each learner's server and one for each node of the pool, so learners × (1 + nodes) of them."""
    nodes = learners * (1 + lesson.nodes)
    hours = nodes * lesson.minutes / 60
    return Needs(learners * lesson.memory, nodes, hours, nodes * lesson.seconds / 3600)


def told(rehearsed: Sequence[Rehearsed], learners: int) -> list[str]:
    """What the class needs in lines, the arithmetic first."""
    every = [needs(lesson, learners) for lesson in rehearsed]
    lines = [
        f"For {learners} learners who begin each lesson at the same minute. A node is a job here:",
        "a learner's own server, or one node of a pool. For each lesson",
        f"  memory = {learners} × its memory, of the servers; not in it: JupyterLab itself, pools' nodes",
        f"  nodes = {learners} × (1 + nodes in its pools)",
        "  node-hours = nodes × its minutes / 60, at most: where pools are kept open so long;",
        "  and in brackets for one run of all cells.",
    ]
    for lesson, need in zip(rehearsed, every, strict=True):
        lines.append(f"{lesson.number}  {_line(need)}  ({lesson.minutes:g} minutes)")
    most = Needs(
        max(need.memory for need in every), max(need.nodes for need in every),
        sum(need.node_hours for need in every), sum(need.run_hours for need in every),
    )  # fmt: skip
    return [*lines, f"all {_line(most)}  (memory and nodes: the most of any lesson; hours: the sum)"]


def _line(need: Needs) -> str:
    hours = f"{need.node_hours:,.1f} node-hours ({need.run_hours:,.1f})"
    return f"{units.format_bytes(need.memory):>9}  {need.nodes:>6,} nodes  {hours:>26}"


def minutes(lesson: Lesson) -> float:
    """How long the lesson's opening says that it takes, or 0 where it does not."""
    cells = json.loads(lesson.path.read_text(encoding="utf-8"))["cells"]
    found = re.search(r"(\d+) minutes", "".join(cells[0]["source"]))
    return float(found[1]) if found else 0.0


def _report(file: Path) -> dict[str, Any]:
    """What the job wrote, which may come late from another node."""
    deadline = time.monotonic() + _LATE
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    (lesson,) = exchange.plain(exchange.read(file, _LARGEST)[0])["lessons"]
    for name, kind in (("seconds", float), ("peak_memory", int), ("nodes", int), ("failure", str)):
        checks.instance(name, lesson[name], kind)
    return lesson
