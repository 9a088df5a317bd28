"""`hpclab rehearse --site`: each lesson rehearsed by a Slurm job, and what a class needs."""

import argparse
import functools
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hpclab import checks, units
from hpclab.classroom import settings
from hpclab.cli.rehearse import Report
from hpclab.cluster import slurm
from hpclab.cluster.backends import command, site_settings
from hpclab.course import Lesson

_EVERY = 1.0  # seconds between two looks at the job
_LATE = 30.0  # seconds that a file may take from node to node
_TIME = 3600.0  # seconds that a job asks for, unless less is allowed


def as_job(options: argparse.Namespace) -> Callable[[Lesson, Path, float], Report]:
    """Bind `rehearse` to the site's Slurm and `options` (or ValueError); set its variables in os.environ."""
    cores = checks.integer("--cores", options.cores or 1, 1, 1024)
    memory = [f"--mem={units.parse_bytes(options.memory) // 2**20}M"] if options.memory else []
    site = settings.found()
    os.environ.update(site.environment() | os.environ)  # for sbatch, and so for the lessons' own jobs
    client = slurm.connect(start=False, export=False)
    return functools.partial(rehearse, client, site, [f"--cpus-per-task={cores}", *memory])


def script(lesson: Lesson, folder: Path, cell_timeout: float, site: settings.Site) -> str:
    """Return the batch script that loads the site's modules and rehearses `lesson` into `folder`/NN.json."""
    words = ["--json", "--only", lesson.number, "--cell-timeout", f"{cell_timeout:g}"]
    python, to = site.interpreter() or shlex.quote(sys.executable), folder / f"{lesson.number}.json"
    run = f"exec {python} -P -m hpclab.cli rehearse {shlex.join(words)} > {shlex.quote(str(to))}"
    return "\n".join(["#!/bin/bash", *site.prologue(), run, ""])


def rehearse(
    client: slurm.Slurm, site: settings.Site, options: Sequence[str], lesson: Lesson, folder: Path,
    cell_timeout: float,
) -> Report:  # fmt: skip
    """Run `lesson` as a job with these further `options` of sbatch and wait for its end; an interrupt cancels
    it. `folder` is the caller's own, on a file system that the nodes see. SubmitError where Slurm does not
    take it."""
    log, last = folder / f"{lesson.number}.log", None
    seconds = min(limit for limit in (_TIME, client.longest(site.partition), site.time) if limit)
    job = client.submit(
        script(lesson, folder, cell_timeout, site),
        f"--job-name=hpclab-rehearse-{lesson.number}", f"--output={str(log).replace('%', '%%')}",
        "--nodes=1", "--ntasks=1", f"--time={site_settings.clock(round(seconds))}", *options,
        *site.directives(),
    )  # fmt: skip
    try:
        while found := client.queue([job]):
            if (last := found[0]).ended:
                break
            time.sleep(_EVERY)
    except BaseException:
        client.cancel(job)
        with suppress(slurm.SlurmError, TimeoutError):
            client.wait(job, 60)  # it ends what it started
        raise
    waited = last.started - last.submitted if last and last.started and last.submitted else None
    file, deadline = folder / f"{lesson.number}.json", time.monotonic() + _LATE
    while not file.exists() and time.monotonic() < deadline:  # it may come late from another node
        time.sleep(0.2)
    try:
        (told,) = json.loads(file.read_text())["lessons"]
        return Report(**told | {"waited": waited})
    except (OSError, ValueError, LookupError, TypeError):
        said = command.last_lines(log, lines=1).strip() or "it printed nothing"
        state = last.state if last else "gone from the queue"
        failure = f"its job {job} ended ({state}) without a report: {said}"
        return Report(lesson.number, lesson.name, 0.0, 0, failure, waited=waited)


def needs(lesson: Lesson, report: Report, learners: int) -> dict[str, float]:
    """What `learners` need who begin at the same minute and keep their pools until the lesson's minutes are
    over: `memory` of their servers in bytes; `nodes`, a job each, for a learner's server and for each node of
    the pool; `node_hours` at most."""
    nodes = learners * (1 + report.nodes)
    hours = nodes * minutes(lesson) / 60
    return {"memory": learners * report.peak_memory, "nodes": nodes, "node_hours": hours}


def class_needs(needed: Mapping[str, Mapping[str, float]], learners: int) -> list[str]:
    """Lines that say what so many `learners` need, the formulas first; `needed`: `needs` by lesson number."""
    every = {name: max(one[name] for one in needed.values()) for name in ("memory", "nodes")}
    every["node_hours"] = sum(one["node_hours"] for one in needed.values())
    return [
        f"For {learners} learners at once, where a node is a job (a learner's server, or a pool's):",
        f"  memory = {learners} × its own, without JupyterLab and the nodes of pools",
        f"  nodes = {learners} × (1 + nodes of its pools)",
        "  node-hours = nodes × its minutes / 60, at most: where pools stay open so long",
        "  all: the most memory and nodes of any lesson, and the sum of the hours",
        *(f"{number:<3} {units.format_bytes(one['memory']):>9}  {one['nodes']:>6,} nodes  "
          f"{one['node_hours']:>8,.1f} node-hours" for number, one in {**needed, "all": every}.items()),
    ]  # fmt: skip


def minutes(lesson: Lesson) -> float:
    """Minutes that the lesson takes by its first cell, or 0 where that does not say."""
    cells = json.loads(lesson.path.read_text(encoding="utf-8"))["cells"]
    found = re.search(r"(\d+) minutes", "".join(cells[0]["source"]))
    return float(found[1]) if found else 0.0
