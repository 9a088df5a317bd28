"""`hpclab rehearse --site`: every lesson as a job of its own, and what a class will need."""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from hpclab import checks, units
from hpclab.classroom import rehearsal, settings
from hpclab.cli.rehearse import shared
from hpclab.cluster import slurm
from hpclab.course import Lesson


def run(options: argparse.Namespace, chosen: Sequence[Lesson], cell_timeout: float) -> int:
    """One job after another, so that no lesson takes another's nodes."""
    learners = options.learners and checks.integer("--learners", options.learners, 1, 100_000)
    cores = checks.integer("--cores", options.cores or 1, 1, 1024)
    memory = units.parse_bytes(options.memory) if options.memory else 0
    site = None
    with suppress(FileNotFoundError):
        site = settings.read()
        os.environ.update(site.environment() | os.environ)  # for sbatch, and so for the lessons' own jobs
    client = slurm.connect(start=False, export=False)
    out = sys.stderr if options.json else sys.stdout
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    found, place = [], shared()
    try:
        with tempfile.TemporaryDirectory(prefix="hpclab-s-", dir=place, ignore_cleanup_errors=True) as name:
            for lesson in chosen:
                print(f"{lesson.number}  {lesson.title[:46]:<46}  ", end="", file=out, flush=True)
                found.append(
                    rehearsal.rehearse(
                        client, lesson, Path(name), cell_timeout, cores=cores, memory=memory, site=site
                    )
                )
                print(line(found[-1]), file=out, flush=True)
    except KeyboardInterrupt:
        print("interrupted; the job is cancelled.", file=out)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
        with suppress(OSError):  # others may use it
            place.rmdir()
    failed, passed = [one for one in found if one.failure], [one for one in found if not one.failure]
    if options.json:
        told = [asdict(one) | ({"class": asdict(rehearsal.needs(one, learners))} if learners else {})
                for one in found]  # fmt: skip
        print(json.dumps({"passed": not failed, "learners": learners, "lessons": told}, indent=1))
    else:
        print(f"{len(failed)} failed." if failed else f"{len(passed)} of {len(found)} lessons passed.")
        if learners and passed:
            print(*rehearsal.told(passed, learners), sep="\n")
    return int(bool(failed))


def line(one: rehearsal.Rehearsed) -> str:
    """One lesson in one line, and where it failed in a second."""
    waited = "?" if one.waited is None else units.format_seconds(one.waited)
    figures = f"waited {waited}, took {units.format_seconds(one.seconds)}, {units.format_bytes(one.memory)}, "
    figures += f"{one.nodes} node{'s' * (one.nodes != 1)} in pools"
    return f"{figures}  FAILED\n    {one.failure}" if one.failure else f"{figures}  passed"
